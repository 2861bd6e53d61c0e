//! Processes that fork without starting another program: each sends its own records, and neither hangs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tracing::{info, info_span};

use crate::collector::{Collector, batches};
use crate::own_process::{self, Running, again};
use crate::redis::Place;
use crate::runs::whole_runs;
use crate::wait::{PATIENCE, until};

/// Forks, and runs `child` in the child, which then ends. Returns the child's process id.
#[expect(unsafe_code, reason = "the standard library does not fork")]
fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child does what this test is about: it logs, and exits.
    match unsafe { libc::fork() } {
        0 => {
            child();
            exit(0)
        }
        id => id,
    }
}

#[expect(unsafe_code, reason = "the standard library waits only for what it started")]
fn wait_for(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: it writes one number.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

/// Runs the test again in a process of its own. Returns what arrived, by boot.
#[track_caller]
fn arrived(test: &str, settings: &[(&str, &str)]) -> (Vec<Vec<Value>>, BTreeSet<String>) {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let test = format!("forks::{test}");
    let mut process = Running(again(&test, &redis.url(), settings).spawn().unwrap());
    let status: ExitStatus = until("the process ends", || process.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let texts = collector.texts();
    let instances = batches(&texts)
        .iter()
        .map(|batch| batch["source"]["instance"].to_string())
        .collect();
    (whole_runs(&texts).into_values().collect(), instances)
}

fn messages(records: &[Value]) -> BTreeSet<&str> {
    records
        .iter()
        .map(|record| record["message"].as_str().unwrap())
        .collect()
}

#[test]
fn parent_and_child_each_send_their_own_records_once() {
    const NAME: &str = "parent_and_child_each_send_their_own_records_once";
    if own_process::is_it() {
        let logs = log_layer::init("forks");
        info_span!("seeds the ids").in_scope(|| (0..100).for_each(|number| info!(number, "parent")));
        let child = fork(|| {
            info_span!("another").in_scope(|| (0..50).for_each(|number| info!(number, "child")));
            logs.flush(PATIENCE);
        });
        info_span!("another").in_scope(|| info!("parent"));
        assert_eq!(wait_for(child), 0);
        drop(logs);
        exit(0);
    }
    let (mut runs, instances) = arrived(NAME, &[]);
    runs.sort_by_key(Vec::len);
    let lengths: Vec<usize> = runs.iter().map(Vec::len).collect();
    assert_eq!(lengths, [50, 101]);
    assert_eq!(messages(&runs[0]), BTreeSet::from(["child"]));
    assert_eq!(messages(&runs[1]), BTreeSet::from(["parent"]));
    assert_eq!(instances.len(), 2);
    assert_ne!(
        runs[0][0]["trace_id"], runs[1][100]["trace_id"],
        "the child makes up its own ids"
    );
}

#[test]
fn a_child_that_logs_nothing_waits_for_nothing() {
    const NAME: &str = "a_child_that_logs_nothing_waits_for_nothing";
    if own_process::is_it() {
        // Nobody is there, so whoever waits waits for long.
        let (_layer, unheard) = log_layer::builder("unheard")
            .redis(Place::new().url())
            .flush_timeout(PATIENCE * 10)
            .build::<tracing_subscriber::Registry>();
        let logs = log_layer::init("forks");
        info!("parent");
        let child = fork(|| drop(unheard));
        assert_eq!(wait_for(child), 0);
        logs.flush(PATIENCE);
        exit(0);
    }
    let (runs, _) = arrived(NAME, &[]);
    assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_child_that_outlives_its_parent_keeps_nobody_from_what_that_left_on_disk() {
    const NAME: &str = "forks::a_child_that_outlives_its_parent_keeps_nobody_from_what_that_left_on_disk";
    const SPOOL: &str = "LOG_LAYER_SPOOL";
    let arrived = |spool: &Path| spool.join("arrived");
    if own_process::is_it() {
        let spool = PathBuf::from(std::env::var(SPOOL).unwrap());
        let logs = log_layer::init("forks");
        info!("left");
        until("it is on disk", || (logs.stats().spooled == 1).then_some(()));
        fork(|| until("it has arrived", || arrived(&spool).exists().then_some(())));
        // Nothing of it runs any more, as after a crash.
        signal_hook::low_level::raise(libc::SIGKILL).unwrap();
    }
    let spool = tempfile::tempdir().unwrap();
    let place = Place::new();
    let settings = [
        (SPOOL, spool.path().to_str().unwrap()),
        ("LOG_LAYER_LINGER_MS", "10"),
        ("LOG_LAYER_ACK_TIMEOUT_MS", "100"),
    ];
    let status = again(NAME, &place.url(), &settings).status().unwrap();
    assert_eq!(status.code(), None, "ended by a signal");
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let (_layer, logs) = log_layer::builder("forks")
        .redis(redis.url())
        .spool(spool.path())
        .build::<tracing_subscriber::Registry>();
    until("the next run has delivered it", || {
        (logs.stats().adopted == 1).then_some(())
    });
    std::fs::write(arrived(spool.path()), "").unwrap();
    assert_eq!(collector.records().len(), 1);
}

#[test]
fn a_fork_in_the_middle_of_everything_neither_hangs_nor_doubles_anything() {
    const NAME: &str = "a_fork_in_the_middle_of_everything_neither_hangs_nor_doubles_anything";
    const FORKS: usize = 20;
    if own_process::is_it() {
        let logs = log_layer::init("forks");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        (0..20).for_each(|number| info!(number, "parent"));
                        thread::yield_now();
                    }
                });
            }
            for _ in 0..FORKS {
                let child = fork(|| {
                    (0..10).for_each(|number| info!(number, "child"));
                    logs.shutdown(PATIENCE);
                });
                assert_eq!(wait_for(child), 0);
            }
            done.store(true, Ordering::Relaxed);
        });
        logs.shutdown(PATIENCE);
        exit(0);
    }
    let (runs, _) = arrived(NAME, &[("LOG_LAYER_LINGER_MS", "5")]);
    let children = runs.iter().filter(|run| messages(run).contains("child"));
    assert_eq!(children.clone().count(), FORKS);
    for run in children {
        assert_eq!((run.len(), messages(run).len()), (10, 1));
    }
}

#[test]
fn a_child_is_ended_by_a_signal_that_its_parent_waits_for() {
    const NAME: &str = "a_child_is_ended_by_a_signal_that_its_parent_waits_for";
    if own_process::is_it() {
        let logs = log_layer::init("forks");
        let child = fork(|| {
            signal_hook::low_level::raise(libc::SIGTERM).unwrap();
            thread::sleep(Duration::from_secs(600)); // slow on purpose: the signal ends it
        });
        assert_eq!(wait_for(child) & 0x7f, libc::SIGTERM);
        info!("parent");
        drop(logs);
        exit(0);
    }
    let (runs, _) = arrived(NAME, &[("LOG_LAYER_SIGNALS", "1")]);
    assert_eq!(runs.len(), 1);
}
