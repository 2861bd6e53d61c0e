//! Beside OpenTelemetry's own layer, records and calls name its traces. Both layers are global, so this needs a process
//! of its own.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "delivery/wait.rs"]
mod wait;
#[path = "delivery/redis.rs"]
mod redis;
#[path = "delivery/collector.rs"]
mod collector;

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, info, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The ids that OpenTelemetry gave the span.
fn ids(span: &Span) -> (String, String) {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    assert!(ids.is_valid());
    (ids.trace_id().to_string(), ids.span_id().to_string())
}

#[test]
fn records_and_calls_name_the_span_of_opentelemetrys_own_layer() {
    let redis = redis::Place::new().start();
    let collector = collector::Collector::start(&redis.url());
    let provider = SdkTracerProvider::builder().build();
    let theirs = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let (ours, guard) = log_layer::builder("opentelemetry").redis(redis.url()).build();
    tracing_subscriber::registry().with(theirs).with(ours).init();

    let request = info_span!("request", user = 42);
    let query = info_span!(parent: &request, "query");
    let (mut expected, mut headers) = (Vec::new(), Vec::new());
    for span in [&request, &query] {
        span.in_scope(|| {
            info!("inside");
            headers.push(log_layer::traceparent().unwrap());
        });
        expected.push(ids(span));
    }
    info!("outside");
    guard.flush(wait::PATIENCE);

    let records = collector.records();
    let told = records.iter().map(|record| {
        let id = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        (id("trace_id"), id("span_id"))
    });
    let (inside, outside) = (told.clone().take(2), told.skip(2));
    assert_eq!(inside.collect::<Vec<_>>(), expected);
    assert_eq!(outside.collect::<Vec<_>>(), [(String::new(), String::new())]);
    assert_eq!(expected[0].0, expected[1].0, "one trace");
    assert_eq!(records[1]["spans"][0]["fields"]["user"], 42);
    let of = |(trace, span): &(String, String)| format!("00-{trace}-{span}-01");
    assert_eq!(headers, expected.iter().map(of).collect::<Vec<_>>());
}
