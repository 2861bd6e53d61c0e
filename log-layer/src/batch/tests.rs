//! What a batch looks like, whole and in halves.

use std::time::Duration;

use tracing_core::Level;

use super::*;
use serde_json::{Value, json};
use tracing_core::dispatcher::{Dispatch, with_default};
use tracing_core::{Metadata, Subscriber, span};

/// The static metadata of one real event.
fn metadata() -> &'static Metadata<'static> {
    struct Catch(std::sync::Mutex<Option<&'static Metadata<'static>>>);
    impl Subscriber for Catch {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing_core::Event<'_>) {
            *self.0.lock().unwrap() = Some(event.metadata());
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    let dispatch = Dispatch::new(Catch(None.into()));
    with_default(&dispatch, || tracing::warn!(target: "here", "once"));
    let caught = dispatch.downcast_ref::<Catch>().unwrap().0.lock().unwrap();
    caught.unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(r#"{"service":"a \"service\"","boot":"b"}"#.to_owned())
}

fn chunk(bodies: &[&str]) -> Chunk {
    let mut chunk = Chunk {
        first_seq: 11,
        ..Chunk::default()
    };
    for body in bodies {
        let site = r#"{"target":"foreign"}"#;
        let own = body.starts_with(site);
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(5);
        let mut head = Head::new(time, metadata(), if own { site.len() } else { 0 });
        chunk.bytes.extend_from_slice(body.as_bytes());
        head.end = count(chunk.bytes.len());
        chunk.heads.push(head);
    }
    chunk
}

fn sealed(sealer: &mut Sealer, chunks: &[Chunk], declared: Tally) -> Batch {
    let mut draft = sealer.draft();
    chunks.iter().for_each(|chunk| sealer.add(&mut draft, chunk));
    sealer.seal(draft, declared)
}

fn parse(batch: &Batch) -> Value {
    serde_json::from_str::<Vec<Value>>(&batch.text).unwrap().remove(0)
}

const BODIES: [&str; 4] = [
    r#","message":"one""#,
    r#"{"target":"foreign"},"message":"two""#,
    "",
    r#"{"target":"foreign"},"message":"four""#,
];

#[test]
fn a_batch_has_each_callsite_once_and_numbers_its_records() {
    let batch = parse(&sealed(&mut sealer(), &[chunk(&BODIES)], Tally::default()));
    assert_eq!(batch["no"], 1);
    assert_eq!(batch["source"]["service"], "a \"service\"");
    assert_eq!(batch["callsites"][0]["target"], "here");
    assert_eq!(batch["callsites"][0]["level"], "warn");
    assert_eq!(batch["callsites"][1], json!({"target": "foreign"}));
    assert_eq!(batch["callsites"].as_array().unwrap().len(), 2);
    assert_eq!(
        batch["records"],
        json!([
            {"seq": 11, "ts": 5, "callsite": 0, "message": "one"},
            {"seq": 12, "ts": 5, "callsite": 1, "message": "two"},
            {"seq": 13, "ts": 5, "callsite": 0},
            {"seq": 14, "ts": 5, "callsite": 1, "message": "four"},
        ])
    );
}

#[test]
fn halves_have_the_same_records_under_new_numbers() {
    let mut tally = Tally::default();
    tally.add(&Dropped::one(
        Level::DEBUG,
        DropReason::Full,
        SystemTime::UNIX_EPOCH,
    ));
    let mut sealer = sealer();
    let whole = sealed(&mut sealer, &[chunk(&BODIES[..3])], tally);
    let expected = parse(&whole);
    let cost = whole.claim.cost;

    let (first, rest) = whole.split().unwrap();
    let (second, third) = rest.split().unwrap();
    let third = third.split().expect_err("one record is not split");

    assert_eq!(first.claim.cost + second.claim.cost + third.claim.cost, cost);
    assert_eq!(
        [
            first.claim.seqs.clone(),
            second.claim.seqs.clone(),
            third.claim.seqs.clone()
        ],
        [11..12, 12..13, 13..14].map(Ranges::from)
    );
    assert_eq!(third.claim.content.lines()[0].level, Level::WARN);
    let parts = [&first, &second, &third].map(parse);
    let records: Vec<_> = parts.iter().map(|part| part["records"][0].clone()).collect();
    assert_eq!(json!(records), expected["records"]);
    assert_eq!(parts[0]["dropped"], expected["dropped"]);
    assert_eq!(parts[1]["dropped"], json!([]));
    assert!(
        parts
            .iter()
            .all(|part| part["callsites"] == expected["callsites"])
    );
    assert_eq!(
        parts.map(|part| part["no"].as_u64().unwrap() - 1),
        [2 << 40, 6 << 40, 7 << 40]
    );
}

#[test]
fn a_batch_of_declarations_alone_is_valid() {
    let mut tally = Tally::default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(7);
    for time in [at, SystemTime::UNIX_EPOCH] {
        tally.add(&Dropped::one(Level::INFO, DropReason::Recursion, time));
    }
    tally.add(&Dropped::one(Level::ERROR, DropReason::Full, at));
    let batch = parse(&sealed(&mut sealer(), &[], tally));
    assert_eq!(
        batch["dropped"],
        json!([
            {"level": "info", "reason": "recursion", "count": 2, "from": 0, "to": 7},
            {"level": "error", "reason": "full", "count": 1, "from": 7, "to": 7},
        ])
    );
    assert_eq!(batch["records"], json!([]));
}

#[test]
fn a_batch_that_comes_back_from_disk_knows_what_it_was() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(7);
    let mut tally = Tally::default();
    for reason in DropReason::ALL {
        tally.add(&Dropped::one(Level::DEBUG, reason, at));
        tally.add(&Dropped::one(Level::ERROR, reason, SystemTime::UNIX_EPOCH));
    }
    for bodies in [&[BODIES[0], BODIES[2]][..], &[]] {
        let batch = sealed(&mut sealer(), &[chunk(bodies)], tally.clone());
        let back = Batch::back(batch.no, batch.records, batch.text.clone()).unwrap();
        assert_eq!((back.claim.cost, back.claim.spooled), (0, bodies.len() as u64));
        let mut left = batch.claim;
        left.spooled = bodies.len() as u64;
        assert_eq!(left.seqs, back.claim.seqs);
        assert_eq!(left.content.lines(), back.claim.content.lines());
        left.remove(&back.claim);
        assert!(left.seqs.is_empty() && left.declared.lines().is_empty() && left.content.lines().is_empty());
    }
    assert!(Batch::back(1, 1, "[{}]".to_owned()).is_none());
}
