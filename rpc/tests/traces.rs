//! A trace goes with the call, and nobody has to carry it.

use std::sync::{Arc, Mutex};

use rpc::{Context, Fault};
use tracing_subscriber::layer::SubscriberExt;

use crate::calls::{client, server, start};
use crate::redis_server::Redis;

#[tokio::test]
async fn a_trace_goes_from_the_source_of_the_caller_to_the_handler() {
    let redis = Redis::start().await;
    let trace = |(): (), context: Context| async { Ok::<_, Fault>(context.traceparent) };
    start(server(&redis).method("trace", trace)).await;
    let client = client(&redis);
    tokio::task_local!(static CURRENT: &'static str);
    rpc::trace::set_source(|| CURRENT.try_with(|current| current.to_string()).ok());
    let seen = CURRENT
        .scope("00-1-2-01", client.call::<Option<String>>("trace", ()))
        .await
        .unwrap();
    assert_eq!(seen.as_deref(), Some("00-1-2-01"));
    let explicit = client
        .request("trace")
        .traceparent("00-3-4-01")
        .send::<Option<String>>();
    assert_eq!(
        CURRENT.scope("00-1-2-01", explicit).await.unwrap().as_deref(),
        Some("00-3-4-01")
    );
    assert_eq!(client.call::<Option<String>>("trace", ()).await.unwrap(), None);
}

/// Remembers the spans of this crate as `name{field=value …}`.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Spans {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        struct Fields(Vec<String>);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                // How long the request was queued is never the same.
                let value = if field.name() == "queued_ms" {
                    &"…"
                } else {
                    value
                };
                self.0.push(format!("{field}={value:?}"));
            }
        }
        let mut fields = Fields(Vec::new());
        attributes.record(&mut fields);
        let metadata = attributes.metadata();
        if metadata.target() == "rpc" {
            self.0
                .lock()
                .unwrap()
                .push(format!("{}{{{}}}", metadata.name(), fields.0.join(" ")));
        }
    }
}

#[tokio::test]
async fn a_handler_runs_in_a_span_that_continues_the_trace() {
    let (redis, spans) = (Redis::start().await, Spans::default());
    let _installed = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    // Other tests meet the same span without a subscriber, maybe at this very moment.
    tracing::callsite::rebuild_interest_cache();
    let inside = |_: ()| async {
        tokio::task::yield_now().await;
        Ok::<_, Fault>(
            tracing::Span::current()
                .metadata()
                .map(|metadata| metadata.name()),
        )
    };
    start(server(&redis).method("inside", inside)).await;
    let client = client(&redis);
    assert_eq!(client.call::<String>("inside", ()).await.unwrap(), "rpc");
    assert_eq!(
        client
            .request("inside")
            .traceparent("00-1-2-01")
            .send::<String>()
            .await
            .unwrap(),
        "rpc"
    );
    let expected = [
        r#"rpc{method="inside" queued_ms="…"}"#,
        r#"rpc{method="inside" traceparent="00-1-2-01" queued_ms="…"}"#,
    ];
    assert_eq!(*spans.0.lock().unwrap(), expected);
}
