//! A trace is one across spans, and across services.

use std::time::Duration;

use log_layer::SpanEvents;
use rpc::{Client, Fault, Server};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::dispatcher::{set_default, with_default};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info, info_span};

use crate::collector::Collector;
use crate::redis::Place;
use crate::stack::{builder, install, shipped};
use crate::wait::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[track_caller]
fn id(record: &Value, name: &str, digits: usize) -> String {
    let id = record[name].as_str().unwrap().to_owned();
    assert_eq!(id.len(), digits);
    assert!(
        id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
        "{id}"
    );
    assert_ne!(id, "0".repeat(digits));
    id
}

#[test]
fn spans_of_one_root_share_its_trace_and_have_ids_of_their_own() {
    let records = shipped(|| {
        for _ in 0..2 {
            let _root = info_span!("root").entered();
            info!("in the root");
            let _child = info_span!("child").entered();
            info!("in the child");
            info!("again");
        }
    });
    let trace: Vec<_> = records.iter().map(|record| id(record, "trace_id", 32)).collect();
    let span: Vec<_> = records.iter().map(|record| id(record, "span_id", 16)).collect();
    assert!(trace[0] == trace[1] && trace[0] != trace[3]);
    assert!(span[0] != span[1] && span[1] == span[2] && span[1] != span[4]);
}

#[test]
fn a_span_with_a_traceparent_continues_that_trace_and_does_not_show_it() {
    let records = shipped(|| {
        let _root = info_span!("root").entered();
        info_span!("text", traceparent = HEADER, kept = 1).in_scope(|| {
            info!("text");
            info_span!("child").in_scope(|| info!("child"));
        });
        info_span!("display", traceparent = %HEADER).in_scope(|| info!("display"));
        let late = info_span!("late", traceparent = tracing::field::Empty);
        late.record("traceparent", HEADER);
        late.in_scope(|| info!("late"));
        info_span!("invalid", traceparent = "00-0-0-0").in_scope(|| info!("invalid"));
        info!("root");
    });
    for record in &records[..4] {
        assert_eq!(record["trace_id"], TRACE, "{record}");
        assert!(!record["spans"].to_string().contains("traceparent"), "{record}");
    }
    assert_eq!(records[0]["spans"][1]["fields"]["kept"], 1);
    assert_eq!(records[4]["spans"][1]["fields"]["traceparent"], "00-0-0-0");
    assert_eq!(records[4]["trace_id"], records[5]["trace_id"]);
}

#[test]
fn the_header_of_the_current_span_can_be_had() {
    let records = shipped(|| {
        assert_eq!(log_layer::traceparent(), None);
        let _root = info_span!("root").entered();
        // Not kept by the layer, so the header is that of the span around it.
        let _detail = tracing::debug_span!("detail").entered();
        info!(header = log_layer::traceparent().unwrap(), "here");
    });
    let record = &records[0];
    let expected = format!(
        "00-{}-{}-01",
        id(record, "trace_id", 32),
        id(record, "span_id", 16)
    );
    assert_eq!(record["fields"]["header"], expected);
}

#[test]
fn a_call_carries_the_trace_to_the_service_that_answers_it() {
    let redis = Place::new().start();
    let url = redis.url();
    let collector = Collector::start(&url);
    let (dispatch, guard) = install(builder(&url));

    let stop = CancellationToken::new();
    let service = std::thread::spawn({
        let (url, stop) = (url.clone(), stop.clone());
        move || {
            let (layer, logs) = log_layer::builder("auth").redis(&url).build();
            let subscriber =
                tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), layer);
            let _default = set_default(&tracing::Dispatch::new(subscriber));
            let server = Server::builder("auth")
                .redis(&url)
                .method("check", |user: u64| async move {
                    info!(user, "checked");
                    Ok::<_, Fault>(true)
                });
            runtime().block_on(server.build().unwrap().run(stop)).unwrap();
            logs.flush(PATIENCE);
        }
    });
    with_default(&dispatch, || {
        runtime().block_on(async {
            let client = Client::builder("auth")
                .redis(&url)
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap();
            let call = async {
                info!("asking");
                client.call::<bool>("check", (42,)).await.unwrap()
            };
            assert!(call.instrument(info_span!("request")).await);
        });
    });
    stop.cancel();
    service.join().unwrap();
    guard.flush(PATIENCE);

    let records = collector.records();
    let find = |message: &str| {
        records
            .iter()
            .find(|record| record["message"] == message)
            .unwrap()
    };
    let (asking, checked) = (find("asking"), find("checked"));
    assert_eq!(id(asking, "trace_id", 32), id(checked, "trace_id", 32));
    assert_ne!(id(asking, "span_id", 16), id(checked, "span_id", 16));
    assert!(!checked["spans"].to_string().contains("traceparent"), "{checked}");
}

/// Caller and callee in one process, with one layer, and neither says anything about the other.
#[test]
fn how_long_a_call_was_queued_is_recorded_apart_from_how_long_it_ran() {
    const LONG: Duration = Duration::from_millis(300);
    let redis = Place::new().start();
    let url = redis.url();
    let collector = Collector::start(&url);
    let (dispatch, guard) = install(builder(&url).span_events(SpanEvents::Close));
    with_default(&dispatch, || {
        runtime().block_on(async {
            let server = Server::builder("auth")
                .redis(&url)
                .concurrency(1)
                .method("check", async || {
                    tokio::time::sleep(LONG).await; // slow: that is how long it runs
                });
            let client = Client::builder("auth")
                .redis(&url)
                .timeout(PATIENCE)
                .build()
                .unwrap();
            client.queue_state().await.unwrap();
            let request = async move { client.call::<()>("check", ()).await.unwrap() };
            let call = tokio::spawn(
                request
                    .instrument(info_span!("request"))
                    .with_current_subscriber(),
            );
            tokio::time::sleep(LONG).await; // slow: that is how long it is queued at least
            let stop = CancellationToken::new();
            let serving = server.build().unwrap().run(stop.clone());
            let serving = tokio::spawn(serving.with_current_subscriber());
            call.await.unwrap();
            stop.cancel();
            serving.await.unwrap().unwrap();
        });
    });
    guard.flush(PATIENCE);

    let records = collector.records();
    let closed = |span: &str| {
        let is_it = |record: &&Value| record["message"] == "close" && record["spans"][0]["name"] == span;
        records
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{records:#?}"))
    };
    let (request, run) = (closed("request"), closed("rpc"));
    assert_eq!(id(request, "trace_id", 32), id(run, "trace_id", 32));
    let took = |record: &Value| {
        let part = |name: &str| record["fields"][name].as_u64().unwrap();
        Duration::from_nanos(part("busy_ns") + part("idle_ns"))
    };
    let queued = Duration::from_millis(run["spans"][0]["fields"]["queued_ms"].as_u64().unwrap());
    assert!(queued >= LONG && took(run) >= LONG, "{run}");
    // One does not contain the other. They are measured by two clocks.
    assert!(queued + took(run) <= took(request) + LONG / 2, "{request} {run}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
