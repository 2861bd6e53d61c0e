//! More is logged than can be sent.

use std::collections::BTreeMap;

use log_layer::DropReason;
use tracing::dispatcher::with_default;
use tracing::{Level, debug, error, info, trace, warn};

use crate::collector::{Collector, batches};
use crate::redis::Place;
use crate::stack::{builder, install};
use crate::wait::PATIENCE;

/// Names of levels to numbers of records.
type Counts = BTreeMap<String, u64>;

/// The records' numbers; refused records use none.
fn numbers(collector: &Collector) -> Vec<u64> {
    let records = collector.records();
    records
        .iter()
        .map(|record| record["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_full_buffer_refuses_mild_levels_first_and_accounts_for_every_record() {
    const EACH: u64 = 2000;
    let place = Place::new();
    let (dispatch, guard) = install(builder(&place.url()).buffer_bytes(256 << 10));
    let long = "x".repeat(1000);
    with_default(&dispatch, || {
        for number in 0..EACH {
            // Of every size, so that some still fit where others are refused.
            let text = &long[..number as usize * 37 % 1000];
            trace!(number, text);
            debug!(number, text);
            info!(number, text);
            warn!(number, text);
            error!(number, text);
        }
    });
    let stats = guard.stats();
    assert!(stats.buffered_bytes <= 256 << 10, "{}", stats.buffered_bytes);
    assert_eq!(stats.accepted + stats.dropped_total(), 5 * EACH);
    assert!(
        stats
            .dropped()
            .iter()
            .all(|dropped| dropped.reason == DropReason::Full)
    );
    let dropped = |level| {
        stats
            .dropped()
            .iter()
            .find(|dropped| dropped.level == level)
            .map_or(0, |dropped| dropped.count)
    };
    assert!(dropped(Level::DEBUG) > dropped(Level::INFO));
    assert!(dropped(Level::INFO) > dropped(Level::WARN));
    assert!(dropped(Level::ERROR) > 0);

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered), (stats.accepted, 0));
    let (mut received, mut declared) = (Counts::new(), Counts::new());
    for record in collector.records() {
        *received
            .entry(record["callsite"]["level"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    for batch in batches(&collector.texts()) {
        for line in batch["dropped"].as_array().unwrap() {
            assert_eq!(line["reason"], "full");
            let count = declared
                .entry(line["level"].as_str().unwrap().to_owned())
                .or_default();
            *count += line["count"].as_u64().unwrap();
        }
    }
    for level in ["trace", "debug", "info", "warn", "error"] {
        let count = |counts: &Counts| counts.get(level).copied().unwrap_or(0);
        assert_eq!(count(&received) + count(&declared), EACH, "{level}");
    }
    assert_eq!(numbers(&collector), (1..=stats.accepted).collect::<Vec<_>>());
    assert_eq!(guard.stats().buffered_bytes, 0);
}

#[test]
fn after_a_full_buffer_was_emptied_everything_is_accepted_again() {
    let place = Place::new();
    let (dispatch, guard) = install(builder(&place.url()).buffer_bytes(64 << 10));
    with_default(&dispatch, || {
        (0..10_000).for_each(|number| info!(number, "too many"))
    });
    assert!(guard.stats().dropped_total() > 0);
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    guard.flush(PATIENCE);
    let before = guard.stats();
    with_default(&dispatch, || (0..100).for_each(|number| info!(number, "few")));
    guard.flush(PATIENCE);
    let after = guard.stats();
    assert_eq!(after.dropped_total(), before.dropped_total());
    assert_eq!(after.stored, before.stored + 100);
    assert_eq!(numbers(&collector), (1..=after.stored).collect::<Vec<_>>());
}

#[test]
fn a_call_site_beyond_its_rate_is_suppressed_and_accounted_for() {
    const EACH: u64 = 1000;
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).rate_limit(1, 3));
    let often = |number| info!(number, "often");
    let told = |collector: &Collector| -> u64 {
        let records = collector.records();
        let suppressed = records
            .iter()
            .filter_map(|record| record["fields"]["suppressed"].as_u64());
        suppressed.sum()
    };
    with_default(&dispatch, || {
        for number in 0..EACH {
            often(number);
            warn!(number, "severe");
        }
        // Until one passes again and says how many went before it.
        while told(&collector) != guard.stats().dropped_total() {
            often(EACH);
            guard.flush(PATIENCE);
        }
    });
    let stats = guard.stats();
    let [dropped] = stats.dropped() else {
        panic!("not one line: {stats:?}")
    };
    assert_eq!(
        (dropped.level, dropped.reason),
        (Level::INFO, DropReason::RateLimited)
    );
    let (severe, often): (Vec<_>, Vec<_>) = collector
        .records()
        .into_iter()
        .partition(|record| record["message"] == "severe");
    assert_eq!(severe.len() as u64, EACH);
    assert_eq!(stats.stored, EACH + often.len() as u64);
    let declared: u64 = batches(&collector.texts())
        .iter()
        .flat_map(|batch| batch["dropped"].as_array().unwrap().clone())
        .map(|line| {
            assert_eq!(line["reason"], "rate_limited");
            line["count"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(declared, dropped.count);
}
