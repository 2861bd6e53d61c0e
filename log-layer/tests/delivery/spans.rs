//! Records carry the spans around them.

use log_layer::SpanEvents;
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
fn spans_carry_the_fields_that_are_wanted_and_continue_their_trace_with_any() {
    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (wanted, expected) in [
        ("all", json!({"path": "/live", "user": 7, "late": 1})),
        ("user,late", json!({"user": 7, "late": 1})),
        ("none", json!({})),
    ] {
        let records = shipped_with(
            |builder| builder.span_fields(wanted.parse().unwrap()),
            || {
                let span = info_span!(
                    "request",
                    path = "/live",
                    user = 7,
                    late = tracing::field::Empty,
                    traceparent = HEADER
                );
                span.record("late", 1);
                span.in_scope(|| info!(path = "/own", "done"));
            },
        );
        let record = &records[0];
        assert_eq!(spans(record), ["request"], "{wanted}");
        assert_eq!(record["spans"][0]["fields"], expected, "{wanted}");
        assert_eq!(record["fields"], json!({"path": "/own"}), "{wanted}");
        assert_eq!(record["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{wanted}");
    }
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

#[test]
fn beginnings_and_ends_of_spans_are_records_if_that_is_wanted() {
    let records = shipped_with(
        |builder| builder.span_events(SpanEvents::All),
        || {
            let outer = info_span!("outer", path = "/live");
            let inner = info_span!(parent: &outer, "inner");
            inner.in_scope(|| info!("event"));
            drop(inner);
            debug_span!("quiet").in_scope(|| ());
        },
    );
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            let kind = record["callsite"]["kind"].as_str().unwrap();
            (kind, record["message"].as_str().unwrap(), spans(record).join(">"))
        })
        .collect();
    let [outer, inner] = ["outer", "outer>inner"].map(str::to_owned);
    assert_eq!(
        told,
        [
            ("span", "new", outer.clone()),
            ("span", "new", inner.clone()),
            ("event", "event", inner.clone()),
            ("span", "close", inner),
            ("span", "close", outer),
        ]
    );
    let [outer_new, inner_new, _, inner_close, outer_close] = &records[..] else {
        panic!("{records:?}")
    };
    assert!(outer_new.get("fields").is_none());
    assert_eq!(inner_new["fields"]["parent_span_id"], outer_new["span_id"]);
    assert_eq!(inner_close["span_id"], inner_new["span_id"]);
    assert_eq!(inner_close["callsite"]["line"], inner_new["callsite"]["line"]);
    assert!(inner_close["fields"]["busy_ns"].as_u64().unwrap() > 0);
    assert_eq!(outer_close["fields"]["busy_ns"], 0);
    assert!(outer_close["fields"]["idle_ns"].as_u64().unwrap() > 0);
}

#[test]
fn records_of_spans_obey_the_level_of_events_and_only_what_is_wanted_is_told() {
    let log = || {
        let _span = info_span!("request").entered();
        error!("inside");
    };
    let quiet = shipped_with(
        |builder| builder.level(LevelFilter::WARN).span_events(SpanEvents::All),
        log,
    );
    assert_eq!((quiet.len(), spans(&quiet[0])), (1, vec!["request"]));
    let ends = shipped_with(|builder| builder.span_events(SpanEvents::Close), log);
    let messages: Vec<_> = ends.iter().map(|record| record["message"].clone()).collect();
    assert_eq!(messages, ["inside", "close"]);
}

#[test]
fn spans_have_a_level_of_their_own() {
    let records = shipped_with(
        |builder| builder.span_level(LevelFilter::DEBUG).level(LevelFilter::WARN),
        || {
            let _kept = debug_span!("kept").entered();
            let _not = tracing::trace_span!("not kept").entered();
            error!("inside");
        },
    );
    assert_eq!(spans(&records[0]), ["kept"]);
}

#[test]
fn each_target_may_have_a_level_of_its_own() {
    let records = shipped_with(
        |builder| builder.targets("warn,loud::part=debug,quiet=off".parse().unwrap()),
        || {
            tracing::debug!(target: "loud::part::deep", "1");
            info!(target: "loud", "not");
            error!(target: "quiet", "not");
            tracing::warn!("2");
        },
    );
    let messages: Vec<_> = records.iter().map(|record| record["message"].clone()).collect();
    assert_eq!(messages, ["1", "2"]);
}

#[test]
fn ten_thousand_spans_inside_each_other_are_closed_without_a_stack_for_each() {
    let records = shipped(|| {
        // The registry closes them one inside the other, and it needs the room.
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let mut innermost = info_span!("span");
                for _ in 0..10_000 {
                    innermost = info_span!(parent: &innermost, "span");
                }
                info!(parent: &innermost, "deep");
            });
        };
        thread.spawn(work).unwrap().join().unwrap();
    });
    assert_eq!(spans(&records[0]).len(), 32);
}
