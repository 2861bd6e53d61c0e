//! A batch survives the wire, and what is wrong with one is told apart from what is wrong with a record.

use std::sync::Arc;

use log_record::{
    Batch, BatchError, CallSite, Dropped, Fields, Flags, Kind, Level, LogRecord, Source, Span, Timestamp,
    Value, limits,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const ARRIVED: Timestamp = Timestamp::from_nanos(1_790_000_000_000_000_000);

fn parse(json: &str) -> Batch {
    Batch::parse(json, ARRIVED).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn only(json: &str) -> LogRecord {
    let batch = parse(&format!(r#"{{"source":{{"service":"s"}},"records":[{json}]}}"#));
    assert_eq!(batch.rejected, [], "{json}");
    batch.records.into_iter().next().expect("one record was sent")
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            named(inner).prop_map(Value::Map),
        ]
    })
}

fn named(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Fields> {
    prop::collection::btree_map("\\PC{0,20}|[a-z_.]{1,12}", value, 0..5).prop_map(|map| {
        map.into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    })
}

prop_compose! {
    fn any_callsite()(target in "[a-z:]{0,20}", file in option::of("[a-z/]{1,20}"), line in any::<Option<u32>>(), level in 0..5usize, span in any::<bool>()) -> Arc<CallSite> {
        Arc::new(CallSite {
            target: target.into(),
            file: file.map(Into::into),
            line,
            level: Level::ALL[level],
            kind: if span { Kind::Span } else { Kind::Event },
        })
    }
}

prop_compose! {
    fn any_record(callsites: Vec<Arc<CallSite>>)(
        seq in any::<Option<u64>>(),
        // Within a day of the arrival, so that no time is suspect.
        offset in -80_000_000_000_000i64..80_000_000_000_000,
        callsite in prop::sample::select(callsites),
        message in any::<String>(),
        fields in named(any_value()),
        spans in vec(("\\PC{0,10}", named(any_value())).prop_map(|(name, fields)| Span { name: name.into(), fields }), 0..3),
        trace_id in option::of("[0-9a-f]{32}"),
        span_id in option::of("[0-9a-f]{16}"),
        thread in option::of("\\PC{0,10}"),
    ) -> LogRecord {
        let time = Timestamp::from_nanos(ARRIVED.as_nanos() + offset);
        LogRecord {
            seq,
            time,
            callsite,
            message: message.into(),
            fields,
            spans,
            trace_id: trace_id.map(Into::into),
            span_id: span_id.map(Into::into),
            thread: thread.map(Into::into),
            flags: Flags::default(),
        }
    }
}

prop_compose! {
    fn any_batch()(callsites in vec(any_callsite(), 1..4))(
        records in vec(any_record(callsites), 0..6),
        service in "[a-z\\u{4e00}-\\u{4eff}]{1,10}",
        boot in "[0-9a-f]{32}",
        no in any::<u64>(),
        attrs in named(any_value()),
        dropped in any::<Option<u64>>(),
    ) -> Batch {
        let source = Source { service: service.into(), boot: Some(boot.into()), attrs, host: Some("h".into()), ..Source::default() };
        let dropped = dropped.map(|count| Dropped { level: Level::Debug, reason: "full".into(), count, from: ARRIVED, to: ARRIVED });
        Batch { source: Arc::new(source), no: Some(no), sent: Some(ARRIVED), dropped: dropped.into_iter().collect(), records, rejected: vec![] }
    }
}

proptest! {
    #[test]
    fn a_batch_written_and_read_is_the_same_batch(batch in any_batch()) {
        prop_assert_eq!(Batch::parse(&batch.to_json(), ARRIVED).unwrap(), batch);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*", cut in any::<prop::sample::Index>()) {
        // Either outcome is right; what matters is that there is one.
        let _ = Batch::parse(&text, ARRIVED);
        let whole = r#"{"v":1,"source":{"service":"s","boot":"b"},"no":1,"records":[{"ts":"\ud800","message":"\ud800","fields":{"a":[1e400]}}]}"#;
        let _ = Batch::parse(&whole[..cut.index(whole.len())], ARRIVED);
    }
}

#[test]
fn the_form_in_the_wire_document_is_read() {
    let batch = parse(
        r#"{"v": 1,
        "source": {"service": "iptv", "instance": "host-7:4312", "boot": "9f3c", "host": "host-7", "version": "1.4.2", "attrs": {"env": "prod"}},
        "no": 17, "sent": 1790000000123456789, "unknown": [],
        "dropped": [{"level": "debug", "reason": "full", "count": 132, "from": 1790000000000000000, "to": 1790000004000000000}],
        "callsites": [{"target": "iptv::catalog", "file": "src/catalog.rs", "line": 41, "level": "info", "kind": "event"}],
        "records": [
        {"seq": 9001, "ts": 1790000000120000000, "callsite": 0, "message": "channel opened",
         "fields": {"user_id": 42, "latency_ms": 3.5, "ok": true},
         "spans": [{"name": "request", "fields": {"path": "/live"}}],
         "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "thread": "tokio-rt-worker"}]}"#,
    );
    assert_eq!(
        (&*batch.source.service, batch.no, batch.dropped[0].count),
        ("iptv", Some(17), 132)
    );
    let record = &batch.records[0];
    assert_eq!(
        (&*record.callsite.target, record.level(), record.seq),
        ("iptv::catalog", Level::Info, Some(9001))
    );
    assert_eq!(record.fields[1], ("latency_ms".into(), Value::Float(3.5)));
    assert_eq!(record.spans[0].name, "request");
}

#[test]
fn the_short_form_needs_a_service_and_nothing_else() {
    let batch = parse(
        r#"{"source":{"service":"webapi"},"records":[{"level":"error","message":"登录失败"},{},{"level":30,"ts":1790000000.5}]}"#,
    );
    assert_eq!(batch.no, None);
    assert_eq!(
        (batch.records[0].level(), &*batch.records[0].message),
        (Level::Error, "登录失败")
    );
    assert_eq!(
        (batch.records[1].level(), batch.records[1].time),
        (Level::Info, ARRIVED)
    );
    assert_eq!(
        (batch.records[2].level(), batch.records[2].time.as_nanos()),
        (Level::Warn, 1_790_000_000_500_000_000)
    );
}

#[test]
fn a_number_without_a_boot_identifies_nothing() {
    assert_eq!(
        parse(r#"{"source":{"service":"s"},"no":3,"records":[]}"#).no,
        None
    );
}

#[test]
fn a_bad_record_is_named_and_its_neighbours_stay() {
    let batch = parse(
        r#"{"source":{"service":"s"},"callsites":[{"level":"warn"}],"records":[{"message":"good"},7,{"callsite":1},{"seq":"x"},{"fields":[]},{"spans":[3]},{"callsite":0,"message":"also good"}]}"#,
    );
    assert_eq!(
        batch
            .records
            .iter()
            .map(|record| &*record.message)
            .collect::<Vec<_>>(),
        ["good", "also good"]
    );
    assert_eq!(
        batch
            .rejected
            .iter()
            .map(|rejected| rejected.index)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert!(
        batch.rejected[1]
            .why
            .contains("call-site 1 is not among the batch's 1"),
        "{:?}",
        batch.rejected[1]
    );
}

#[track_caller]
fn check_flags(record: &str, expected: &[&str]) -> LogRecord {
    let record = only(record);
    assert_eq!(record.flags.names().collect::<Vec<_>>(), expected);
    record
}

#[test]
fn what_is_repaired_is_flagged_and_what_was_sent_can_be_found() {
    let record = check_flags(r#"{"ts":"tomorrow","message":"m"}"#, &["time_repaired"]);
    assert_eq!(
        (record.time, &record.fields[0]),
        (ARRIVED, &("ts".into(), Value::Text("tomorrow".into())))
    );
    let record = check_flags(r#"{"level":"loud"}"#, &["level_unknown"]);
    assert_eq!(
        (record.level(), &record.fields[0].1),
        (Level::Info, &Value::Text("loud".into()))
    );
    check_flags(r#"{"ts":0}"#, &["time_suspect"]);
    check_flags(r#"{"ts":"2005-12-04T04:47:44Z"}"#, &["time_suspect"]);
    check_flags(r#"{"message":"a\ud800"}"#, &["surrogate"]);
    check_flags(r#"{"fields":{"n":1180591620717411303424}}"#, &["big_number"]);
    check_flags(
        r#"{"message":{"a":1},"flags":["truncated","from_the_future"]}"#,
        &["truncated"],
    );
}

#[test]
fn a_record_over_the_limit_is_cut_and_flagged() {
    let long = "登".repeat(2_000_000);
    let record = check_flags(
        &format!(r#"{{"message":"{long}","fields":{{"dump":"{long}","n":7}}}}"#),
        &["truncated"],
    );
    let Value::Text(dump) = &record.fields[0].1 else {
        panic!("a text stays a text")
    };
    assert!(
        record.message.len() + dump.len() <= limits::RECORD_BYTES,
        "{} + {}",
        record.message.len(),
        dump.len()
    );
    assert!(record.message.len() > limits::RECORD_BYTES / 3 && dump.len() > limits::RECORD_BYTES / 3);
    assert_eq!(record.fields[1].1, Value::Int(7));
    check_flags(
        &format!(r#"{{"message":"{}"}}"#, "x".repeat(limits::RECORD_BYTES)),
        &[],
    );
}

#[track_caller]
fn check_refused(json: &str, expected: &str) {
    let error = Batch::parse(json, ARRIVED).expect_err(json);
    assert!(error.to_string().contains(expected), "{json:.80}: {error}");
}

#[test]
fn a_batch_that_cannot_be_used_is_refused_with_the_reason() {
    check_refused("", "could not be read");
    check_refused("[]", "could not be read");
    check_refused(r#"{"records":[]}"#, "source");
    check_refused(r#"{"source":{},"records":[]}"#, "must name the service");
    check_refused(r#"{"source":{"service":"s"}}"#, "records");
    for version in ["0", "2", "-1", "\"1\""] {
        check_refused(
            &format!(r#"{{"v":{version},"source":{{"service":"s"}},"records":[]}}"#),
            "reads version 1",
        );
    }
    let many = vec!["{}"; limits::BATCH_RECORDS + 1].join(",");
    check_refused(
        &format!(r#"{{"source":{{"service":"s"}},"records":[{many}]}}"#),
        "5001 records",
    );
    let large = vec![format!("{{\"message\":\"{}\"}}", "x".repeat(limits::RECORD_BYTES / 2)); 40].join(",");
    let refused = Batch::parse(
        &format!(r#"{{"source":{{"service":"s"}},"records":[{large}]}}"#),
        ARRIVED,
    );
    assert!(matches!(refused, Err(BatchError::TooLarge { .. })));
}

#[test]
fn what_is_wrong_is_said_in_words_and_with_its_place() {
    check_refused(
        "{\"source\":{\"service\":\"s\"},\n\"records\":[{]}",
        "key must be a string at line 2 column 13",
    );
    check_refused(
        r#"{"no":-1,"source":{"service":"s"},"records":[]}"#,
        "`no` is not an unsigned integer at line 1 column 7",
    );
    check_refused(
        r#"{"no":1,"source":{"service":"s"},"no":1,"records":[]}"#,
        "duplicate field `no` at line 1 column 39",
    );
    check_refused(
        r#"[1,{"service":"s"},null,null,null,null,[]]"#,
        "the batch is not an object at line 1 column 1",
    );
    let batch =
        parse("{\"source\":{\"service\":\"s\"},\"records\":[{},\n{\"seq\":\"x\"},{\"seq\":1,\"seq\":1}]}");
    let whys: Vec<&str> = batch.rejected.iter().map(|rejected| &*rejected.why).collect();
    assert_eq!(
        whys,
        [
            "`seq` is not an unsigned integer at line 1 column 8",
            "duplicate field `seq` at line 1 column 16"
        ]
    );
}

#[test]
fn records_may_come_before_their_callsites() {
    let batch = parse(
        r#"{"records":[{"callsite":0,"message":"early"},{"callsite":1}],"source":{"service":"s"},"callsites":[{"level":"warn"}]}"#,
    );
    assert_eq!((batch.records.len(), batch.rejected.len()), (1, 1));
    assert_eq!(
        (batch.records[0].level(), &*batch.records[0].message),
        (Level::Warn, "early")
    );
}
