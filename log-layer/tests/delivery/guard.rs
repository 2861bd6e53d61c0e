//! What the guard promises at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log_layer::DropReason;
use tracing::dispatcher::with_default;
use tracing::{error, info};

use crate::collector::Collector;
use crate::redis::Place;
use crate::stack::{builder, install};
use crate::wait::{PATIENCE, until};

#[test]
fn dropping_the_guard_delivers_what_is_buffered() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE).flush_timeout(PATIENCE));
    with_default(&dispatch, || {
        (0..5000).for_each(|number| info!(number, "last words"))
    });
    drop(guard);
    assert_eq!(collector.records().len(), 5000);
}

#[test]
fn flushing_and_dropping_work_inside_a_runtime_with_one_thread() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE).flush_timeout(PATIENCE));
        with_default(&dispatch, || info!("first"));
        assert_eq!(guard.flush(PATIENCE).stored, 1);
        with_default(&dispatch, || info!("second"));
    });
    assert_eq!(collector.records().len(), 2);
}

#[test]
fn dropping_the_guard_without_a_server_ends_in_time_and_forgets_nothing_in_the_report() {
    let (dispatch, guard) = install(builder(&Place::new().url()));
    with_default(&dispatch, || {
        (0..10).for_each(|number| info!(number, "nobody listens"))
    });
    let start = Instant::now();
    let report = guard.shutdown(Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((report.stored, report.still_buffered, report.dropped), (0, 10, 0));
}

#[test]
fn who_wants_to_know_is_told_what_is_wrong_and_nothing_runs() {
    let built = |builder: log_layer::Builder| builder.try_build::<tracing_subscriber::Registry>();
    assert!(built(builder(&Place::new().url())).is_ok());
    let error = built(builder("no url")).err().unwrap();
    assert_eq!(error.problems.len(), 1);
    assert_eq!(error.to_string(), error.problems[0]);
}

#[test]
fn what_is_logged_after_the_shutdown_is_counted() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()));
    with_default(&dispatch, || info!("in time"));
    assert_eq!(guard.shutdown(PATIENCE).stored, 1);
    with_default(&dispatch, || (0..10_000).for_each(|_| error!("too late")));
    let stats = guard.stats();
    assert_eq!(stats.dropped()[0].reason, DropReason::AfterShutdown);
    assert_eq!(stats.dropped()[0].count, 10_000);
    assert_eq!(
        guard.shutdown(PATIENCE).dropped,
        10_000,
        "a second shutdown only reports"
    );
    assert_eq!(collector.records().len(), 1);
}

#[test]
fn a_url_that_is_none_is_a_problem_and_every_record_is_counted() {
    let (dispatch, guard) = install(builder("not a url with hunter2"));
    assert_eq!(guard.problems().len(), 1, "{:?}", guard.problems());
    assert!(!guard.problems()[0].contains("hunter2"));
    with_default(&dispatch, || (0..10).for_each(|_| info!("lost")));
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered, report.dropped), (0, 0, 10));
    assert_eq!(guard.stats().dropped()[0].reason, DropReason::Misconfigured);
}

#[test]
fn a_disabled_layer_neither_ships_nor_counts() {
    let (dispatch, guard) = install(builder("not a url").enabled(false));
    with_default(&dispatch, || error!("off"));
    assert!(guard.problems().is_empty());
    let stats = guard.stats();
    assert_eq!((stats.accepted, stats.dropped_total()), (0, 0));
}

#[test]
fn an_error_and_the_first_record_after_a_pause_do_not_wait_for_the_linger() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE * 10));
    with_default(&dispatch, || {
        info!("first");
        error!("urgent");
    });
    until("the error is stored", || {
        (guard.stats().stored == 2).then_some(())
    });
    drop(collector);
}

#[test]
fn a_flush_waits_for_what_came_before_it_and_not_for_what_comes_after() {
    let redis = Place::new().start();
    let _collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE));
    with_default(&dispatch, || (0..100).for_each(|number| info!(number, "before")));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            with_default(&dispatch, || {
                while !done.load(Ordering::Relaxed) {
                    info!("meanwhile");
                }
            });
        });
        for _ in 0..20 {
            let accepted = guard.stats().accepted;
            let start = Instant::now();
            let report = guard.flush(PATIENCE);
            assert!(
                report.stored + guard.stats().given_up >= accepted,
                "{report:?} {accepted}"
            );
            assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn flushing_asynchronously_lets_the_runtimes_only_thread_do_other_things() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        with_default(&dispatch, || info!("first"));
        assert_eq!(guard.flush_async().await.stored, 1);
        with_default(&dispatch, || info!("second"));
        let (one, other) = tokio::join!(guard.flush_async(), guard.flush_async());
        assert_eq!((one.stored, other.stored), (2, 2));
    });
    assert_eq!(collector.records().len(), 2);
}

#[test]
fn an_asynchronous_flush_can_be_given_up_and_ends_with_the_shutdown() {
    let (dispatch, guard) = install(builder(&Place::new().url()));
    with_default(&dispatch, || info!("nobody listens"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let given_up = async { tokio::time::timeout(Duration::from_millis(10), guard.flush_async()).await };
    assert!(runtime.block_on(given_up).is_err());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.block_on(guard.flush_async()));
        guard.shutdown(Duration::from_millis(10));
        assert_eq!(waiting.join().unwrap().still_buffered, 1);
    });
    assert_eq!(runtime.block_on(guard.flush_async()).still_buffered, 1);
}

#[test]
fn the_programs_runtime_may_be_gone_before_the_guard() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (dispatch, guard) = runtime.block_on(async {
        let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE).flush_timeout(PATIENCE));
        let logging = dispatch.clone();
        let task = tokio::spawn(async move { with_default(&logging, || info!("in a task")) });
        task.await.unwrap();
        (dispatch, guard)
    });
    runtime.shutdown_background();
    with_default(&dispatch, || info!("afterwards"));
    drop(guard);
    assert_eq!(collector.records().len(), 2);
}
