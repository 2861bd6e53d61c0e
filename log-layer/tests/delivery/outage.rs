//! Redis or the server goes away and comes back.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::dispatcher::with_default;
use tracing::info;

use crate::collector::{Collector, records};
use crate::redis::{Place, Redis};
use crate::stack::{builder, install};
use crate::wait::{PATIENCE, until};

#[test]
fn what_is_logged_before_redis_is_there_arrives_when_it_comes() {
    let place = Place::new();
    let (dispatch, guard) = install(builder(&place.url()));
    with_default(&dispatch, || (0..100).for_each(|number| info!(number, "early")));
    let report = guard.flush(Duration::from_millis(10));
    assert_eq!((report.stored, report.still_buffered), (0, 100));

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    assert_eq!(guard.flush(PATIENCE).stored, 100);
    assert_eq!(collector.records().len(), 100);
}

#[test]
fn building_does_not_wait_for_a_redis_that_never_answers() {
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let (dispatch, guard) = install(builder(&format!("redis://{}", silent.local_addr().unwrap())));
    with_default(&dispatch, || info!("unheard"));
    let report = guard.shutdown(Duration::from_millis(50));
    assert_eq!((report.stored, report.still_buffered), (0, 1));
    // Connecting alone may take three seconds; nothing here waits for it.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn nothing_is_lost_or_doubled_when_redis_is_killed_again_and_again() {
    let place = Place::new();
    let (dispatch, guard) = install(builder(&place.url()).batch_records(20));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            with_default(&dispatch, || {
                for number in 0..20_000_u64 {
                    info!(number, "counted");
                    if number % 50 == 0 {
                        // What is asserted does not depend on it.
                        std::thread::sleep(Duration::from_millis(1)); // slow enough to be hit by several kills
                    }
                }
            });
            done.store(true, Ordering::Release);
        });
        let mut kills = 0;
        let mut seen = Vec::new();
        while !done.load(Ordering::Acquire) || kills < 3 {
            let redis = place.start();
            let collector = Collector::start(&redis.url());
            until("something arrived", || {
                let over = done.load(Ordering::Acquire);
                (over || collector.texts().len() > 5).then_some(())
            });
            // Redis dies first, with whatever is in it.
            drop(redis);
            seen.extend(collector.texts());
            drop(collector);
            kills += 1;
        }
        let redis = place.start();
        let collector = Collector::start(&redis.url());
        let report = guard.flush(PATIENCE);
        assert_eq!(
            (report.stored, report.still_buffered, report.dropped),
            (20_000, 0, 0)
        );
        seen.extend(collector.texts());
        let records = records(&seen);
        assert_eq!(records.len(), 20_000);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(record["seq"], index as u64 + 1);
            assert_eq!(record["fields"]["number"], index as u64);
        }
    });
}

#[test]
fn a_queue_that_nobody_reads_does_not_grow_beyond_the_window() {
    let redis = Place::new().start();
    let (dispatch, guard) = install(
        builder(&redis.url())
            .batch_records(10)
            .ack_timeout(Duration::from_millis(100)),
    );
    with_default(&dispatch, || {
        (0..1000).for_each(|number| info!(number, "waiting"))
    });
    let length = || redis.ask("LLEN asyncredisrpc:logs").unwrap();
    until("the window is full", || (length() == ":4").then_some(()));
    // Many times the time after which it asks whether a batch was lost.
    guard.flush(Duration::from_secs(1));
    assert_eq!(length(), ":4");
    assert_eq!(guard.stats().resent, 0, "nothing was sent twice");

    // From here on a server that is slow to answer may get a batch again, and tells it by its number.
    let collector = Collector::start(&redis.url());
    assert_eq!(guard.flush(PATIENCE).stored, 1000);
    assert_eq!(collector.records().len(), 1000);
}

#[test]
fn a_batch_whose_answer_is_lost_is_sent_again_as_it_was() {
    let redis = Place::new().start();
    let url = redis.url();
    let answering = Arc::new(AtomicBool::new(false));
    let collector = Collector::answering(&url, {
        let answering = answering.clone();
        move |_, _| {
            if !answering.load(Ordering::Acquire) {
                // As if the server had died after it stored the batch.
                return Err(rpc::Fault::unavailable("lost"));
            }
            Ok(json!({"stored": 1, "duplicate": true, "rejected": []}))
        }
    });
    let (dispatch, guard) = install(builder(&url));
    with_default(&dispatch, || info!("once"));
    until("it was received", || {
        (!collector.texts().is_empty()).then_some(())
    });
    answering.store(true, Ordering::Release);
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.dropped), (1, 0));
    assert_eq!(collector.records().len(), 1);
}

#[test]
fn a_request_that_somebody_took_and_never_answered_is_sent_again() {
    let redis = Place::new().start();
    let (dispatch, guard) = install(builder(&redis.url()));
    with_default(&dispatch, || info!("taken"));
    until("it was sent", || {
        (redis.ask("LLEN asyncredisrpc:logs")? == ":1").then_some(())
    });
    redis.ask("DEL asyncredisrpc:logs").unwrap();
    until("it was sent again", || (guard.stats().resent > 0).then_some(()));
    let collector = Collector::start(&redis.url());
    assert_eq!(guard.flush(PATIENCE).stored, 1);
    assert_eq!(collector.records().len(), 1);
}

#[test]
fn a_redis_that_forgot_a_batch_is_sent_it_again_though_its_queue_is_not_empty() {
    let place = Place::new();
    let redis = place.start();
    // Only the flush makes it look, and then an empty queue alone says nothing.
    let (dispatch, guard) = install(builder(&place.url()).ack_timeout(PATIENCE * 10));
    with_default(&dispatch, || info!("forgotten"));
    until("it was sent", || {
        (redis.ask("LLEN asyncredisrpc:logs")? == ":1").then_some(())
    });
    drop(redis);
    let redis = place.start();
    redis.ask("RPUSH asyncredisrpc:logs another").unwrap();
    until("it was sent again", || {
        guard.flush(Duration::from_millis(20));
        (redis.ask("LLEN asyncredisrpc:logs")? == ":2").then_some(())
    });
    assert_eq!(guard.stats().resent, 1);
}

#[test]
fn whatever_redis_refuses_it_for_it_is_waited_out() {
    for (trouble, cure) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("SET asyncredisrpc:logs text", "DEL asyncredisrpc:logs"),
    ] {
        let redis = Place::new().start();
        let ask = |command: &str| {
            redis
                .ask(command)
                .filter(|answer| answer == "+OK" || answer == ":1")
        };
        ask(trouble).unwrap();
        let (dispatch, guard) = install(builder(&redis.url()));
        with_default(&dispatch, || (0..100).for_each(|number| info!(number, "patient")));
        until(trouble, || guard.stats().last_error);
        assert_eq!(guard.stats().stored, 0, "{trouble}");
        ask(cure).unwrap();
        let collector = Collector::start(&redis.url());
        let report = guard.flush(PATIENCE);
        assert_eq!(
            (report.stored, report.still_buffered, report.dropped),
            (100, 0, 0),
            "{trouble}"
        );
        assert_eq!(records(&collector.texts()).len(), 100);
    }
}

/// Stops Redis where it stands, or lets it go on: it keeps its connections and says nothing.
fn signal(redis: &Redis, signal: &str) {
    let id = redis.process.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_redis_that_stands_still_delays_and_neither_loses_nor_doubles_anything() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).batch_records(20));
    let log = |from: u64| {
        with_default(&dispatch, || {
            (from..from + 1000).for_each(|number| info!(number, "counted"))
        })
    };
    log(0);
    until("it flows", || (guard.stats().stored > 0).then_some(()));
    signal(&redis, "-STOP");
    log(1000);
    // Longer than the layer waits before it looks after a batch.
    let report = guard.flush(Duration::from_secs(2));
    assert!(report.still_buffered > 0);
    signal(&redis, "-CONT");
    log(2000);
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.dropped), (3000, 0));
    let records = records(&collector.texts());
    assert_eq!(records.len(), 3000);
    assert!(records.iter().zip(1..).all(|(record, seq)| record["seq"] == seq));
}
