//! The level and the pace change while the program runs: the user's wish, and the server's.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::dispatcher::with_default;
use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, info_span, trace, warn};

use crate::collector::Collector;
use crate::redis::Place;
use crate::stack::{builder, install};
use crate::wait::{PATIENCE, until};

/// One event of each level, all from the same call-sites.
fn all_levels() {
    trace!("trace");
    debug!("debug");
    info!("info");
    warn!("warn");
    error!("error");
}

fn messages(collector: &Collector) -> Vec<String> {
    let records = collector.records();
    let text = |record: &Value| record["message"].as_str().unwrap().to_owned();
    records.iter().map(text).collect()
}

/// Answers with whatever stands in it.
type Wish = &'static Mutex<Value>;

fn wishing(url: &str) -> (Collector, Wish) {
    let wish: Wish = Box::leak(Box::new(Mutex::new(json!({}))));
    let collector = Collector::answering(url, move |_, _| Ok(wish.lock().unwrap().clone()));
    (collector, wish)
}

#[test]
fn the_guard_changes_the_level_of_call_sites_that_were_used_before() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).level(LevelFilter::ERROR));
    with_default(&dispatch, || {
        for level in [
            LevelFilter::ERROR,
            LevelFilter::DEBUG,
            LevelFilter::OFF,
            LevelFilter::WARN,
        ] {
            guard.set_level(level);
            all_levels();
        }
    });
    guard.flush(PATIENCE);
    assert_eq!(
        messages(&collector),
        ["error", "debug", "info", "warn", "error", "warn", "error"]
    );
}

#[test]
fn a_disabled_layer_stays_off_whatever_level_is_set() {
    let (dispatch, guard) = install(builder("not a url").enabled(false));
    guard.set_level(LevelFilter::TRACE);
    with_default(&dispatch, all_levels);
    assert_eq!(guard.stats().accepted, 0);
}

#[test]
fn the_server_raises_the_level_and_errors_keep_their_spans() {
    let redis = Place::new().start();
    let (collector, wish) = wishing(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).level(LevelFilter::DEBUG));
    let log = || with_default(&dispatch, || info_span!("request").in_scope(all_levels));
    let told = |level: &str| {
        guard.flush(PATIENCE);
        *wish.lock().unwrap() = json!({"min_level": level});
        with_default(&dispatch, || error!("ask"));
        guard.flush(PATIENCE);
    };

    log();
    for level in ["error", "trace", "warn"] {
        told(level);
        log();
    }
    // The user's own wish goes on to count.
    guard.set_level(LevelFilter::ERROR);
    log();
    guard.flush(PATIENCE);

    let user = ["debug", "info", "warn", "error"];
    let expected = [
        &user[..],
        &["ask", "error"],
        &["ask"],
        &user,
        &["ask", "warn", "error"],
        &["error"],
    ];
    assert_eq!(messages(&collector), expected.concat());
    for record in collector.records() {
        assert!(record["message"] == "ask" || record["spans"][0]["name"] == "request");
    }
}

#[test]
fn without_records_the_layer_asks_whether_the_servers_level_still_holds() {
    let redis = Place::new().start();
    let (collector, wish) = wishing(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).ack_timeout(Duration::from_millis(20)));
    *wish.lock().unwrap() = json!({"min_level": "error"});
    with_default(&dispatch, || info!("first"));
    guard.flush(PATIENCE);
    until("it asks", || (collector.texts().len() > 2).then_some(()));
    *wish.lock().unwrap() = json!({});
    until("the level is back", || {
        with_default(&dispatch, || info!("again"));
        guard.flush(PATIENCE);
        messages(&collector).contains(&"again".to_owned()).then_some(())
    });
}

#[test]
fn a_layer_that_is_told_so_ignores_the_servers_level() {
    let redis = Place::new().start();
    let (collector, wish) = wishing(&redis.url());
    *wish.lock().unwrap() = json!({"min_level": "error"});
    let (dispatch, guard) = install(builder(&redis.url()).server_level(false));
    for _ in 0..2 {
        with_default(&dispatch, || info!("kept"));
        guard.flush(PATIENCE);
    }
    assert_eq!(messages(&collector), ["kept", "kept"]);
}

#[test]
fn a_level_that_is_none_is_ignored_and_reported() {
    let redis = Place::new().start();
    let (collector, wish) = wishing(&redis.url());
    *wish.lock().unwrap() = json!({"min_level": "off"});
    let (dispatch, guard) = install(builder(&redis.url()));
    for _ in 0..2 {
        with_default(&dispatch, || info!("kept"));
        guard.flush(PATIENCE);
    }
    assert_eq!(messages(&collector), ["kept", "kept"]);
    assert!(guard.stats().last_error.unwrap().contains("off"));
}

#[test]
fn a_throttled_layer_pauses_but_a_flush_does_not_wait() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let redis = Place::new().start();
    let (collector, wish) = wishing(&redis.url());
    *wish.lock().unwrap() = json!({"throttle_ms": PAUSE.as_millis() as u64});
    let (dispatch, guard) = install(builder(&redis.url()));

    let before = Instant::now();
    with_default(&dispatch, || info!("first"));
    until("the first is stored", || {
        (guard.stats().stored == 1).then_some(())
    });
    with_default(&dispatch, || error!("second"));
    *wish.lock().unwrap() = json!({"throttle_ms": u64::MAX});
    until("the second is stored", || {
        (guard.stats().stored == 2).then_some(())
    });
    assert!(before.elapsed() >= PAUSE, "{:?}", before.elapsed());

    with_default(&dispatch, || error!("third"));
    let before = Instant::now();
    assert_eq!(guard.flush(PATIENCE).stored, 3);
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(messages(&collector), ["first", "second", "third"]);
}
