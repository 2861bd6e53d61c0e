//! What goes in comes out, whatever it is.

use std::error::Error;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};
use tracing_core::dispatcher::{Dispatch, with_default};
use tracing_core::{Event, Metadata, Subscriber, span};

use super::*;
use crate::buffer::Head;
use crate::fields::{Budget, Fields};
use crate::span::Node;

const RECORD_BYTES: usize = 16 << 10;

/// An event's head, its bytes, and the time that it brought along.
type Caught = (Head, Vec<u8>, Option<SystemTime>);

/// Packs every event.
#[derive(Default)]
struct Catch {
    suppressed: u64,
    spans: Vec<&'static Metadata<'static>>,
    caught: Mutex<Vec<Caught>>,
}

impl Subscriber for Catch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut packed = Vec::new();
        let mut span: Option<std::sync::Arc<Node>> = None;
        for metadata in &self.spans {
            span = Some(Node::new(metadata, Fields::default(), span, None, None).into());
        }
        let mut packer = Packer::new(&mut packed, Budget::of_event(RECORD_BYTES), event);
        let mut around = Around::new("worker");
        around.pack(None, span.as_deref(), RECORD_BYTES / 4);
        let weight = packer.surround(&around, self.suppressed, None);
        let time = packer.time;
        let head = Head::packed(SystemTime::UNIX_EPOCH, event.metadata(), 0, weight);
        self.caught.lock().unwrap().push((head, packed, time));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn caught(catch: Catch, log: impl FnOnce()) -> Vec<Caught> {
    let dispatch = Dispatch::new(catch);
    with_default(&dispatch, log);
    let catch = dispatch.downcast_ref::<Catch>().unwrap();
    std::mem::take(&mut *catch.caught.lock().unwrap())
}

fn unpack(head: &Head, packed: &[u8]) -> Value {
    let mut out = b"{\"seq\":1".to_vec();
    Unpacker::default().write(&mut out, head, packed, RECORD_BYTES);
    out.push(b'}');
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

#[track_caller]
fn check(log: impl FnOnce(), expected: Value) {
    let caught = caught(Catch::default(), log);
    let [(head, packed, _)] = &caught[..] else {
        panic!("not one event")
    };
    let record = unpack(head, packed);
    assert_eq!(record["fields"], expected["fields"]);
    assert_eq!(record.get("message"), expected.get("message"));
    assert_eq!(record.get("flags"), expected.get("flags"));
    assert_eq!(record["thread"], "worker");
}

#[test]
fn every_kind_of_value_is_unpacked_as_it_was_packed() {
    #[derive(Debug)]
    struct Failed(Option<Box<Failed>>);
    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if self.0.is_some() { "outer" } else { "inner" })
        }
    }
    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_deref().map(|cause| cause as _)
        }
    }
    let failed = Failed(Some(Box::new(Failed(None))));
    check(
        || {
            tracing::info!(
                low = i64::MIN,
                high = u64::MAX,
                float = -0.25,
                nan = f64::NAN,
                yes = true,
                no = false,
                text = "\"\n登",
                wide = u128::MAX,
                debug = ?Some(1),
                failed = &failed as &(dyn Error + 'static),
                password = "hunter2",
                "said {}",
                "so"
            );
        },
        json!({"message": "said so", "fields": {
            "low": i64::MIN, "high": u64::MAX, "float": -0.25, "nan": "NaN", "yes": true, "no": false,
            "text": "\"\n登", "wide": u128::MAX.to_string(), "debug": "Some(1)",
            "failed": {"message": "outer", "chain": ["inner"]}, "password": "[redacted]",
        }}),
    );
}

#[test]
fn a_name_twice_is_its_last_value_and_says_so() {
    check(
        || tracing::info!(twice = 1, twice = 2),
        json!({"fields": {"twice": 2}, "flags": ["duplicate_field"]}),
    );
}

#[test]
fn errors_and_panics_while_printing_leave_a_text_and_spare_the_neighbours() {
    struct Half;
    impl fmt::Debug for Half {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half ")?;
            Err(fmt::Error)
        }
    }
    #[derive(Debug)]
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            panic!("expected by this test")
        }
    }
    impl Error for Bomb {}
    check(
        || {
            tracing::info!(before = 1, half = ?Half, bomb = %Bomb, error = &Bomb as &(dyn Error + 'static), after = 2);
        },
        json!({"fields": {
            "before": 1, "half": "half <error in Debug>", "bomb": "<panic in Debug>",
            "error": {"message": "<panic in Debug>", "chain": []}, "after": 2,
        }}),
    );
}

#[test]
fn an_error_with_endless_causes_ends() {
    #[derive(Debug)]
    struct Cycle;
    impl fmt::Display for Cycle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Cycle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Cycle)
        }
    }
    check(
        || tracing::info!(error = &Cycle as &(dyn Error + 'static)),
        json!({"fields": {"error": {"message": "again", "chain": vec!["again"; crate::encode::CAUSES]}}}),
    );
}

#[test]
fn an_own_time_is_no_field_unless_it_is_none() {
    let times: Vec<_> = caught(Catch::default(), || {
        tracing::info!(log.time = 7_u64, "u64");
        tracing::info!(log.time = 7_i64, "i64");
        tracing::info!(log.time = -7_i64, "negative");
        tracing::info!("none");
    })
    .iter()
    .map(|(head, packed, time)| (*time, unpack(head, packed)["fields"].clone()))
    .collect();
    let seven = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(7));
    assert_eq!(
        times,
        [
            (seven, Value::Null),
            (seven, Value::Null),
            (None, json!({"log.time": -7})),
            (None, Value::Null)
        ]
    );
}

#[test]
fn what_stands_around_an_event_comes_back() {
    let metadata = caught(Catch::default(), || tracing::info!(name: "around", "any"))[0]
        .0
        .metadata;
    let catch = Catch {
        suppressed: 3,
        spans: vec![metadata; 2],
        ..Catch::default()
    };
    let caught = caught(catch, || tracing::info!("inside"));
    let record = unpack(&caught[0].0, &caught[0].1);
    let span = json!({"name": "around", "fields": {}});
    assert_eq!(record["spans"], json!([span, span]));
    assert_eq!(record["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(record["span_id"].as_str().unwrap().len(), 16);
    assert_eq!(record["fields"], json!({"suppressed": 3}));
}

proptest! {
    #[test]
    fn any_event_becomes_strict_json_with_the_values_it_had(
        texts in prop::array::uniform3(any::<String>()),
        numbers in any::<(i64, u64, bool, i128)>(),
    ) {
        let [message, text, shown] = &texts;
        let (signed, unsigned, yes, wide) = numbers;
        let caught = caught(Catch::default(), || {
            tracing::info!(text, shown = %shown, signed, unsigned, yes, wide, "{message}");
        });
        let record = unpack(&caught[0].0, &caught[0].1);
        prop_assert_eq!(&record["message"], message);
        prop_assert_eq!(&record["fields"], &json!({
            "text": text, "shown": shown, "signed": signed, "unsigned": unsigned, "yes": yes,
            "wide": wide.to_string(),
        }));
    }

    #[test]
    fn a_record_is_strict_json_within_its_bound_however_long_its_values(
        texts in prop::collection::vec((any::<char>(), 0_usize..30_000), 3),
    ) {
        let [a, b, c] = [0, 1, 2].map(|at: usize| {
            let (character, times) = texts[at];
            character.to_string().repeat(times)
        });
        let caught = caught(Catch::default(), || tracing::info!(a, number = 42, b = %b, "{c}"));
        let mut out = Vec::new();
        Unpacker::default().write(&mut out, &caught[0].0, &caught[0].1, RECORD_BYTES);
        let record = unpack(&caught[0].0, &caught[0].1);
        let whole = record["fields"]["a"] == a && record["fields"]["b"] == b && record["message"] == c;
        prop_assert_eq!(whole, record.get("flags").is_none());
        prop_assert_eq!(&record["fields"]["number"], 42);
        prop_assert!(out.len() <= RECORD_BYTES, "{}", out.len());
    }

    #[test]
    fn any_bytes_at_all_become_strict_json(
        packed in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..200),
    ) {
        let head = caught(Catch::default(), || tracing::info!(a = 1, b = 2, "c")).remove(0).0;
        unpack(&head, &packed);
    }
}
