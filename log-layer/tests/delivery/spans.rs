//! Records carry the spans around them.

use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;
use tracing::{debug_span, error, info, info_span};

use crate::stack::{shipped, shipped_with};

fn spans(record: &Value) -> Vec<&str> {
    let spans = record["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().map(|span| span["name"].as_str().unwrap()).collect()
}

#[test]
fn spans_stand_outermost_first_with_their_fields() {
    let records = shipped(|| {
        let request = info_span!("request", path = "/live", user = 42_u64);
        let query = info_span!(parent: &request, "query", ?request);
        info!(parent: &query, "by parent");
        request.in_scope(|| query.in_scope(|| info!("entered")));
        info!(parent: None, "none");
    });
    for record in &records[..2] {
        assert_eq!(spans(record), ["request", "query"]);
        assert_eq!(record["spans"][0]["fields"], json!({"path": "/live", "user": 42}));
        assert!(record["spans"][1]["fields"]["request"].is_string());
    }
    assert!(records[2].get("spans").is_none());
    assert!(records[2].get("trace_id").is_none());
}

#[test]
fn what_is_recorded_late_replaces_what_was_there() {
    let records = shipped(|| {
        let span = info_span!("span", first = 1, late = tracing::field::Empty);
        let _entered = span.enter();
        info!("before");
        for late in [2, 3] {
            span.record("late", late);
            span.record("first", "changed");
        }
        info!("after");
    });
    assert_eq!(records[0]["spans"][0]["fields"], json!({"first": 1}));
    assert_eq!(
        records[1]["spans"][0]["fields"],
        json!({"first": "changed", "late": 3})
    );
}

#[test]
fn an_error_has_its_info_spans_whatever_the_level_of_events() {
    let records = shipped_with(
        |builder| builder.level(LevelFilter::ERROR),
        || {
            let _request = info_span!("request").entered();
            let _detail = debug_span!("detail").entered();
            info!("not shipped");
            error!("shipped");
        },
    );
    assert_eq!(records.len(), 1);
    assert_eq!(spans(&records[0]), ["request"]);
}

#[test]
fn of_too_many_spans_the_innermost_are_kept() {
    fn nested(depth: u64) {
        let _span = info_span!("span", depth).entered();
        if depth < 39 {
            nested(depth + 1);
        } else {
            info!("deep");
        }
    }
    let records = shipped(|| nested(0));
    let record = &records[0];
    assert_eq!(spans(record).len(), 32);
    assert_eq!(record["spans"][31]["fields"]["depth"], 39);
    assert_eq!(record["spans"][0]["fields"]["depth"], 8);
    assert_eq!(record["flags"], json!(["truncated"]));
}

#[test]
fn a_span_that_ends_on_another_thread_is_still_around_its_records() {
    let records = shipped(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let span = info_span!("request");
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("worker-7".to_owned());
            let work = || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _entered = span.entered();
                    info!("elsewhere");
                });
            };
            thread.spawn_scoped(scope, work).unwrap();
        });
    });
    assert_eq!(spans(&records[0]), ["request"]);
    assert_eq!(records[0]["thread"], "worker-7");
}
