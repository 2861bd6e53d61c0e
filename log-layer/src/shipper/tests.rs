//! Batches on which the shipper panics. Nothing that a program can log does that, so these are broken on purpose.

use std::time::SystemTime;

use tracing_core::callsite::Callsite;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata, metadata};

use super::*;
use crate::buffer::Head;
use crate::dropped::DropReason;

struct Site;

static SITE: Site = Site;

static METADATA: Metadata<'static> = metadata! {
    name: "event", target: "here", level: Level::WARN, fields: &[], callsite: &SITE, kind: Kind::EVENT
};

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

/// A shipper to whose Redis nobody answers, and whose batches are of one record.
fn shipper() -> Shipper {
    let limits = Limits {
        buffer_bytes: 1 << 20,
        batch_bytes: 1 << 16,
        batch_records: 1,
        record_bytes: 1 << 12,
    };
    let orders = Orders {
        redis: "redis://127.0.0.1:1".to_owned(),
        queue: "logs".to_owned(),
        identity: Identity::default(),
        linger: Duration::from_millis(1),
        ack_timeout: Duration::from_secs(1),
        levels: None,
        limits,
        spool: None,
    };
    let client = Client::builder(&orders.queue)
        .redis(&orders.redis)
        .build()
        .unwrap();
    Shipper::new(client, orders, Arc::new(Buffer::new(limits))).0
}

/// Its body is shorter than the call-site that it claims to have.
fn push(buffer: &Buffer, broken: bool) {
    let site_bytes = if broken { 1000 } else { 0 };
    buffer.push(
        Head::new(SystemTime::now(), &METADATA, site_bytes),
        b",\"message\":\"whole\"",
    );
}

#[tokio::test]
async fn every_tenth_record_that_cannot_be_sealed_is_counted_and_the_others_go_on() {
    let mut shipper = shipper();
    (0..100).for_each(|number| push(&shipper.buffer, number % 10 == 0));
    let mut sealed = 0;
    while let Some(chunk) = shipper.buffer.take(true) {
        let draft = shipper.sealer.draft();
        if let Some(draft) = shipper.fill(draft, chunk) {
            let batch = shipper.seal(draft);
            sealed += u64::from(batch.records);
            shipper.finish(&batch.claim, 1, batch.claim.declared.total());
        }
    }
    let stats = shipper.buffer.stats();
    assert_eq!((sealed, stats.stored, stats.accepted), (90, 90, 100));
    let [dropped] = stats.dropped() else {
        panic!("not one line: {stats:?}")
    };
    assert_eq!(
        (dropped.level, dropped.reason, dropped.count),
        (Level::WARN, DropReason::Panicked, 10)
    );
    assert_eq!(
        (shipper.buffer.report().still_buffered, stats.buffered_bytes),
        (0, 0)
    );
}

#[tokio::test]
async fn a_batch_that_panics_on_its_way_is_tried_again_and_then_given_up_alone() {
    let mut shipper = shipper();
    push(&shipper.buffer, false);
    push(&shipper.buffer, false);
    shipper.fill_window(true);
    assert_eq!((shipper.window.len(), shipper.flying.len()), (2, 2));
    let batch = shipper.flying[&1].0.clone();
    let cargo = |panics| Cargo {
        batch: batch.clone(),
        run: Run::Own,
        panics,
    };
    shipper.window.clear();
    shipper.settle(cargo(PANICS - 1), None);
    assert_eq!(shipper.window.len(), 1, "once more");
    shipper.window.clear();
    let last = cargo(PANICS);
    drop(batch);
    shipper.settle(last, None);
    assert_eq!((shipper.window.len(), shipper.flying.len()), (0, 1));
    let stats = shipper.buffer.stats();
    assert_eq!((stats.given_up, stats.dropped_total()), (1, 1));
    assert_eq!(shipper.buffer.report().still_buffered, 1, "the other one");
}
