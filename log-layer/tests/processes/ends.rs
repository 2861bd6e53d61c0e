//! Processes that end without dropping their guard, and panics.

use std::os::unix::process::ExitStatusExt as _;
use std::panic::catch_unwind;
use std::process::{Command, Output, exit};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::info;

use crate::collector::Collector;
use crate::own_process;
use crate::redis::Place;
use crate::wait::{PATIENCE, until};

fn again(test: &str, url: &str, settings: &[(&str, &str)]) -> Command {
    own_process::again(&format!("ends::{test}"), url, settings)
}

/// Runs the test of this name again, with Redis at `url`.
fn run(test: &str, url: &str) -> Output {
    again(test, url, &[]).output().unwrap()
}

/// Runs `end` in a process of its own. Returns the records that arrived, and how it ended.
#[track_caller]
fn ended(test: &str, end: impl FnOnce()) -> (Vec<Value>, Output) {
    ended_with(test, &[], end)
}

#[track_caller]
fn ended_with(test: &str, settings: &[(&str, &str)], end: impl FnOnce()) -> (Vec<Value>, Output) {
    if own_process::is_it() {
        end();
        unreachable!("the process has ended");
    }
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let output = again(test, &redis.url(), settings).output().unwrap();
    (collector.records(), output)
}

fn with_message(records: &[Value], message: &str) -> usize {
    records
        .iter()
        .filter(|record| record["message"].as_str().unwrap().ends_with(message))
        .count()
}

#[test]
fn process_exit_delivers_what_is_buffered() {
    let (records, output) = ended("process_exit_delivers_what_is_buffered", || {
        let _logs = log_layer::init("ends");
        (0..500).for_each(|number| info!(number, "last words"));
        exit(7);
    });
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(records.len(), 500);
}

#[test]
fn without_a_guard_the_end_of_the_process_delivers_what_is_buffered() {
    let (records, output) = ended(
        "without_a_guard_the_end_of_the_process_delivers_what_is_buffered",
        || {
            log_layer::init("ends").detach();
            (0..500).for_each(|number| info!(number, "last words"));
            exit(7);
        },
    );
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(records.len(), 500);
}

#[test]
fn process_exit_without_redis_ends_soon_and_says_what_was_lost() {
    const NAME: &str = "process_exit_without_redis_ends_soon_and_says_what_was_lost";
    if own_process::is_it() {
        let _logs = log_layer::init("ends");
        info!("nobody listens");
        exit(7);
    }
    let start = Instant::now();
    let output = run(NAME, &Place::new().url());
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    assert_eq!(output.status.code(), Some(7));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("1 records were not delivered"), "{stderr}");
}

#[test]
fn a_panic_is_a_record_with_its_place_and_thread_and_the_earlier_hook_still_runs() {
    const NAME: &str = "a_panic_is_a_record_with_its_place_and_thread_and_the_earlier_hook_still_runs";
    let (records, output) = ended(NAME, || {
        std::panic::set_hook(Box::new(|_| {
            // The parent reads it.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"the earlier hook");
        }));
        let logs = log_layer::init("ends");
        let worker = thread::Builder::new().name("worker-7".to_owned());
        let work = || panic!("the \"answer\" is {}", 42);
        worker.spawn(work).unwrap().join().unwrap_err();
        logs.flush(PATIENCE);
        exit(0);
    });
    let [record] = &records[..] else {
        panic!("not one record: {records:?}")
    };
    let message = record["message"].as_str().unwrap();
    assert!(
        message.starts_with("panicked at log-layer/tests/processes/ends.rs:"),
        "{message}"
    );
    assert!(message.ends_with(": the \"answer\" is 42"), "{message}");
    assert_eq!(record["thread"], "worker-7");
    assert_eq!(record["callsite"]["level"], "error");
    assert_eq!(record["callsite"]["target"], "panic");
    assert_eq!(record["callsite"]["file"], "log-layer/tests/processes/ends.rs");
    assert!(record["callsite"]["line"].is_u64());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the earlier hook"));
}

#[test]
fn a_panic_while_unwinding_aborts_after_its_records_arrived() {
    struct Broken;
    impl Drop for Broken {
        fn drop(&mut self) {
            panic!("the second");
        }
    }
    const NAME: &str = "a_panic_while_unwinding_aborts_after_its_records_arrived";
    let (records, output) = ended(NAME, || {
        let _logs = log_layer::init("ends");
        (0..500).for_each(|number| info!(number, "before"));
        let _broken = Broken;
        panic!("the first");
    });
    assert_eq!(output.status.code(), None, "ended by a signal");
    for (message, count) in [("before", 500), ("the first", 1), ("the second", 1)] {
        assert_eq!(with_message(&records, message), count, "{message}");
    }
    // Where nobody is there to take them, it waits in vain, and not for ever.
    let start = Instant::now();
    assert_eq!(run(NAME, &Place::new().url()).status.code(), None);
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < PATIENCE / 2,
        "{waited:?}"
    );
}

#[test]
fn a_panic_that_is_caught_makes_nobody_wait() {
    let (records, output) = ended("a_panic_that_is_caught_makes_nobody_wait", || {
        // Nobody is there, so whoever waits waits for the whole second.
        let place = Place::new();
        let (_layer, unheard) = log_layer::builder("ends")
            .redis(place.url())
            .build::<tracing_subscriber::Registry>();
        let start = Instant::now();
        (0..60).for_each(|_| drop(catch_unwind(|| panic!("caught"))));
        let quick = start.elapsed() < Duration::from_secs(50);
        assert_eq!(unheard.stats().accepted, 60);
        exit(if quick { 7 } else { 8 });
    });
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(records.len(), 0);
}

#[test]
fn without_the_hook_a_panic_is_no_record() {
    let (records, output) = ended("without_the_hook_a_panic_is_no_record", || {
        let (_layer, logs) = log_layer::builder("ends")
            .panic_hook(false)
            .build::<tracing_subscriber::Registry>();
        drop(catch_unwind(|| panic!("caught")));
        exit(if logs.stats().accepted == 0 { 7 } else { 8 });
    });
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(records.len(), 0);
}

/// Ends the process as the operator or the terminal would.
fn raise(signal: i32) {
    signal_hook::low_level::raise(signal).unwrap();
    // Nothing else ends this process.
    thread::sleep(PATIENCE); // slow on purpose
}

#[track_caller]
fn check_signal(test: &str, signal: i32) {
    let (records, output) = ended_with(test, &[("LOG_LAYER_SIGNALS", "1")], || {
        let logs = log_layer::init("ends");
        assert!(logs.problems().is_empty());
        (0..500).for_each(|number| info!(number, "last words"));
        raise(signal);
    });
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
    assert_eq!(records.len(), 500);
}

#[test]
fn a_signal_ends_the_process_as_ever_after_its_records_arrived() {
    check_signal(
        "a_signal_ends_the_process_as_ever_after_its_records_arrived",
        libc::SIGTERM,
    );
}

#[test]
fn an_interrupt_does_too() {
    check_signal("an_interrupt_does_too", libc::SIGINT);
}

#[test]
fn a_signal_that_nobody_asked_to_wait_for_ends_the_process_at_once() {
    let (records, output) = ended(
        "a_signal_that_nobody_asked_to_wait_for_ends_the_process_at_once",
        || {
            let _logs = log_layer::init("ends");
            (0..500).for_each(|number| info!(number, "lost"));
            raise(libc::SIGTERM);
        },
    );
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    assert!(records.len() < 500);
}

#[test]
fn a_program_with_a_handler_of_its_own_keeps_it() {
    const NAME: &str = "a_program_with_a_handler_of_its_own_keeps_it";
    let (records, output) = ended_with(NAME, &[("LOG_LAYER_SIGNALS", "1")], || {
        let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM]).unwrap();
        thread::spawn(move || {
            signals.forever().next().unwrap();
            exit(7);
        });
        let _logs = log_layer::init("ends");
        (0..500).for_each(|number| info!(number, "last words"));
        raise(libc::SIGTERM);
    });
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(records.len(), 500);
}

/// Runs `end` without Redis and with a spool; returns what the next run finds in that.
#[track_caller]
fn left_behind(test: &str, end: impl FnOnce()) -> (Vec<Value>, Output) {
    if own_process::is_it() {
        end();
        unreachable!("the process has ended");
    }
    let spool = tempfile::tempdir().unwrap();
    let place = Place::new();
    let settings = [
        ("LOG_LAYER_SPOOL", spool.path().to_str().unwrap()),
        ("LOG_LAYER_FLUSH_TIMEOUT_MS", "200"),
        ("LOG_LAYER_SIGNALS", "1"),
    ];
    let output = again(test, &place.url(), &settings).output().unwrap();
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let (_layer, logs) = log_layer::builder("ends")
        .redis(redis.url())
        .spool(spool.path())
        .build::<tracing_subscriber::Registry>();
    until("the next run has delivered it", || {
        (logs.stats().adopted == 500).then_some(())
    });
    (collector.records(), output)
}

#[test]
fn process_exit_without_redis_leaves_everything_to_the_next_run() {
    let (records, output) = left_behind(
        "process_exit_without_redis_leaves_everything_to_the_next_run",
        || {
            let _logs = log_layer::init("ends");
            (0..500).for_each(|number| info!(number, "last words"));
            exit(7);
        },
    );
    assert_eq!(output.status.code(), Some(7));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("not delivered"));
    assert_eq!(records.len(), 500);
}

#[test]
fn a_signal_without_redis_leaves_everything_to_the_next_run() {
    let (records, output) = left_behind("a_signal_without_redis_leaves_everything_to_the_next_run", || {
        let _logs = log_layer::init("ends");
        (0..500).for_each(|number| info!(number, "last words"));
        raise(libc::SIGTERM);
    });
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    assert_eq!(records.len(), 500);
}
