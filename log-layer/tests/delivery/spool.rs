//! The spool: what cannot be delivered is on disk, and arrives later, once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log_layer::Builder;
use rpc::{Fault, code};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tracing::dispatcher::with_default;
use tracing::{debug, info, warn};

use crate::collector::{Collector, batches, records};
use crate::redis::Place;
use crate::runs::whole_runs;
use crate::stack::{builder, install};
use crate::wait::{PATIENCE, until};

fn spooled(url: &str, directory: &TempDir) -> Builder {
    builder(url).spool(directory.path())
}

/// Everything under the directory but quarantine.
fn left(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(left(&path));
        } else if !path.display().to_string().contains("quarantine") {
            found.push(path.display().to_string());
        }
    }
    found
}

#[track_caller]
fn check_whole(texts: &[String], runs: &[usize]) {
    let mut lengths: Vec<usize> = whole_runs(texts).values().map(Vec::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, runs);
}

#[test]
fn what_is_not_delivered_at_the_end_is_delivered_by_the_next_run() {
    let directory = TempDir::new().unwrap();
    let place = Place::new();
    let (dispatch, guard) = install(spooled(&place.url(), &directory));
    with_default(&dispatch, || (0..500).for_each(|number| info!(number, "left")));
    let report = guard.shutdown(Duration::from_millis(10));
    assert_eq!(
        (
            report.stored,
            report.spooled,
            report.still_buffered,
            report.dropped
        ),
        (0, 500, 0, 0)
    );

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(spooled(&place.url(), &directory));
    with_default(&dispatch, || info!("the next run"));
    until("the earlier run's records have arrived", || {
        (guard.stats().adopted == 500).then_some(())
    });
    assert_eq!(guard.flush(PATIENCE).stored, 1);
    check_whole(&collector.texts(), &[1, 500]);
    drop(guard);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn in_a_healthy_system_nothing_is_spooled() {
    let directory = TempDir::new().unwrap();
    let redis = Place::new().start();
    let _collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(spooled(&redis.url(), &directory));
    with_default(&dispatch, || (0..500).for_each(|number| info!(number, "well")));
    assert_eq!(guard.flush(PATIENCE).stored, 500);
    let files = left(directory.path());
    assert!(files.iter().all(|path| !path.ends_with(".log")), "{files:?}");
    drop(guard);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn an_outage_longer_than_the_memory_costs_nothing() {
    const EACH: u64 = 20_000;
    let directory = TempDir::new().unwrap();
    let place = Place::new();
    let (dispatch, guard) = install(spooled(&place.url(), &directory).buffer_bytes(256 << 10));
    with_default(&dispatch, || {
        for number in 0..EACH {
            // Half of the buffer is refused to it, so it is refused first.
            debug!(number, "the mildest");
            if number % 100 == 0 {
                until("there is room", || {
                    (guard.stats().buffered_bytes < 64 << 10).then_some(())
                });
            }
        }
    });
    until("all is on disk", || (guard.stats().spooled == EACH).then_some(()));
    let stats = guard.stats();
    assert_eq!((stats.accepted, stats.dropped_total()), (EACH, 0));

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let report = guard.flush(PATIENCE);
    assert_eq!(
        (
            report.stored,
            report.spooled,
            report.still_buffered,
            report.dropped
        ),
        (EACH, 0, 0, 0)
    );
    check_whole(&collector.texts(), &[EACH as usize]);
    let numbers: Vec<u64> = collector
        .records()
        .iter()
        .map(|record| record["fields"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..EACH).collect::<Vec<_>>());
    drop(guard);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn a_batch_that_was_stored_before_the_run_ended_is_a_repeat_for_the_server() {
    let directory = TempDir::new().unwrap();
    let redis = Place::new().start();
    let url = redis.url();
    let answering = Arc::new(AtomicBool::new(false));
    let collector = Collector::answering(&url, {
        let answering = answering.clone();
        move |_, _| {
            if !answering.load(Ordering::Acquire) {
                return Err(Fault::unavailable("as if the answer were lost"));
            }
            Ok(json!({"stored": 1, "duplicate": true, "rejected": []}))
        }
    });
    let (dispatch, guard) = install(spooled(&url, &directory));
    with_default(&dispatch, || (0..10).for_each(|number| info!(number, "once")));
    until("it was received", || {
        (!collector.texts().is_empty()).then_some(())
    });
    let report = guard.shutdown(Duration::from_millis(50));
    assert_eq!((report.spooled, report.still_buffered), (10, 0));
    answering.store(true, Ordering::Release);
    let (_dispatch, guard) = install(spooled(&url, &directory));
    until("it is adopted", || (guard.stats().adopted == 10).then_some(()));
    // The collector compares: the same number must be the same text.
    check_whole(&collector.texts(), &[10]);
    drop(guard);
}

#[test]
fn a_full_spool_is_like_none_and_every_record_is_accounted_for() {
    const EACH: u64 = 500;
    let directory = TempDir::new().unwrap();
    let place = Place::new();
    let (dispatch, guard) = install(
        spooled(&place.url(), &directory)
            .buffer_bytes(256 << 10)
            .spool_bytes(1),
    );
    let text = "x".repeat(200);
    let mut logged = 0;
    // The shipper needs its time to write what the program can log in a moment.
    let stats = until("the limit was met and the buffer was full", || {
        with_default(&dispatch, || {
            for number in 0..EACH {
                info!(number, text);
                warn!(number, text);
            }
        });
        logged += 2 * EACH;
        let stats = guard.stats();
        let full = stats.last_error.as_ref()?.contains("the spool is full");
        (full && stats.dropped_total() > 0).then_some(stats)
    });
    assert_eq!(stats.accepted + stats.dropped_total(), logged);
    assert!(stats.spooled > 0, "{stats:?}");
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let report = guard.flush(PATIENCE);
    assert_eq!(
        (report.stored, report.spooled, report.still_buffered),
        (stats.accepted, 0, 0)
    );
    check_whole(&collector.texts(), &[stats.accepted as usize]);
}

#[test]
fn what_is_refused_for_good_is_put_aside_and_the_rest_arrives() {
    let directory = TempDir::new().unwrap();
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |text, _| {
        if text.contains("poison") {
            return Err(Fault::invalid_params("malformed"));
        }
        let batch: Value = serde_json::from_str(text).unwrap();
        if batch["records"].as_array().unwrap().len() > 3 {
            let data = RawValue::from_string(r#"{"limit_records":3}"#.to_owned()).unwrap();
            return Err(Fault {
                data: Some(data),
                ..Fault::app(code::INVALID_PARAMS, "too many records")
            });
        }
        Ok(json!({"stored": 1, "duplicate": false, "rejected": []}))
    });
    // The first run leaves everything to the second.
    let nowhere = Place::new();
    let (dispatch, guard) = install(spooled(&nowhere.url(), &directory).batch_records(20));
    with_default(&dispatch, || {
        (0..20).for_each(|number| info!(number, "good"));
        (0..20).for_each(|number| warn!(number, "poison"));
        (0..20).for_each(|number| info!(number, "good"));
    });
    assert_eq!(guard.shutdown(Duration::from_millis(10)).spooled, 60);
    let (_dispatch, guard) = install(spooled(&redis.url(), &directory));
    let told = |wanted: &str| {
        let found = batches(&collector.texts());
        found
            .iter()
            .any(|batch| batch["dropped"].to_string().contains(wanted))
    };
    until("everything was answered", || {
        (guard.stats().adopted == 40 && told("rejected_by_server")).then_some(())
    });
    let stats = guard.stats();
    assert_eq!(stats.dropped_total(), 20);
    assert_eq!(stats.accepted, 0, "its own records are others");
    drop(guard);
    let quarantine = directory.path().join("iptv/quarantine");
    let aside: Vec<_> = std::fs::read_dir(quarantine)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(aside.len(), 1);
    let kept = std::fs::read_to_string(aside[0].path()).unwrap();
    assert_eq!(kept.matches("poison").count(), 20);
    assert_eq!(left(directory.path()), Vec::<String>::new());
    let good = records(&collector.texts())
        .iter()
        .filter(|record| record["message"] == "good")
        .map(|record| record["seq"].as_u64().unwrap())
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(good, (1..=20).chain(41..=60).collect());
}

#[test]
fn damage_on_disk_is_told_in_a_record_and_the_rest_arrives() {
    let directory = TempDir::new().unwrap();
    let place = Place::new();
    let (dispatch, guard) = install(spooled(&place.url(), &directory).batch_records(10));
    with_default(&dispatch, || (0..100).for_each(|number| info!(number, "left")));
    assert_eq!(guard.shutdown(Duration::from_millis(10)).spooled, 100);
    let files = left(directory.path());
    let segment = files.iter().find(|path| path.ends_with("1.log")).unwrap();
    let mut bytes = std::fs::read(segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segment, bytes).unwrap();

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let (_dispatch, guard) = install(spooled(&place.url(), &directory));
    until("it is told", || {
        let records = collector.records();
        let told = |record: &Value| record["message"].as_str().unwrap().contains("damaged");
        (guard.stats().adopted == 90 && records.iter().any(told)).then_some(())
    });
    drop(guard);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn a_spool_that_cannot_be_made_is_a_problem_and_delivery_works() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).spool(directory.path().join("file")));
    assert!(
        guard.problems()[0].contains("nothing will be spooled"),
        "{:?}",
        guard.problems()
    );
    with_default(&dispatch, || info!("delivered"));
    assert_eq!(guard.flush(PATIENCE).stored, 1);
    assert_eq!(collector.records().len(), 1);
}

#[test]
fn two_processes_share_a_directory_and_neither_sends_the_others_records() {
    let directory = TempDir::new().unwrap();
    let place = Place::new();
    let (one, other) = (
        install(spooled(&place.url(), &directory)),
        install(spooled(&place.url(), &directory)),
    );
    for ((dispatch, _), count) in [(&one, 300), (&other, 200)] {
        with_default(dispatch, || (0..count).for_each(|number| info!(number, "shared")));
    }
    until("both spool", || {
        (one.1.stats().last_error.is_some() && other.1.stats().last_error.is_some()).then_some(())
    });
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    assert_eq!(one.1.flush(PATIENCE).stored, 300);
    assert_eq!(other.1.flush(PATIENCE).stored, 200);
    assert_eq!(one.1.stats().adopted + other.1.stats().adopted, 0);
    check_whole(&collector.texts(), &[200, 300]);
}
