//! Processes that are killed: what write-ahead mode keeps of them.

use std::path::Path;
use std::thread;

use log_layer::Guard;
use tempfile::TempDir;
use tracing::{error, info};

use crate::collector::Collector;
use crate::own_process::{self, Running, again};
use crate::redis::Place;
use crate::runs::whole_runs;
use crate::wait::{PATIENCE, until};

fn start(test: &str, url: &str, spool: &Path, linger: &str) -> Running {
    let settings = [
        ("LOG_LAYER_SPOOL", spool.to_str().unwrap()),
        ("LOG_LAYER_WRITE_AHEAD", "1"),
        ("LOG_LAYER_LINGER_MS", linger),
    ];
    let test = format!("killed::{test}");
    Running(again(&test, url, &settings).spawn().unwrap())
}

fn next_run(url: &str, spool: &Path) -> Guard {
    let (_layer, logs) = log_layer::builder("killed")
        .redis(url)
        .spool(spool)
        .build::<tracing_subscriber::Registry>();
    logs
}

/// Whether this stands in any file under the folder.
fn stands_in(folder: &Path, text: &[u8]) -> bool {
    let mut entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return stands_in(&path, text);
        }
        // Segments come and go.
        std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text))
    })
}

/// How many records arrived, each once and without a gap.
#[track_caller]
fn count(texts: &[String]) -> usize {
    whole_runs(texts).values().map(Vec::len).sum()
}

#[test]
fn what_a_killed_process_had_written_ahead_is_delivered_by_the_next_run() {
    const NAME: &str = "what_a_killed_process_had_written_ahead_is_delivered_by_the_next_run";
    if own_process::is_it() {
        let _logs = log_layer::init("killed");
        for number in 0..2000 {
            info!(number, "counted");
        }
        info!("the last of them");
        thread::sleep(PATIENCE * 10); // slow on purpose: until it is killed
    }
    let spool = TempDir::new().unwrap();
    let place = Place::new();
    // The linger is longer than any test: what is on disk was written ahead of any batch that could be sent.
    let mut process = start(NAME, &place.url(), spool.path(), "600000");
    until("it is on disk", || {
        stands_in(spool.path(), b"the last of them").then_some(())
    });
    process.0.kill().unwrap();
    process.0.wait().unwrap();

    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let logs = next_run(&redis.url(), spool.path());
    until("all of it has arrived", || {
        (logs.stats().adopted == 2001).then_some(())
    });
    assert_eq!(count(&collector.texts()), 2001);
}

#[test]
fn processes_that_are_killed_again_and_again_lose_and_double_nothing_that_is_numbered() {
    const NAME: &str = "processes_that_are_killed_again_and_again_lose_and_double_nothing_that_is_numbered";
    if own_process::is_it() {
        let logs = log_layer::init("killed");
        for number in 0_u64.. {
            info!(number, "counted");
            if number % 100 == 99 {
                error!(number, "counted");
                // The test waits for it.
                logs.flush(PATIENCE);
            }
        }
    }
    let spool = TempDir::new().unwrap();
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    for round in 1..=6_usize {
        let before = collector.texts().len();
        let mut process = start(NAME, &redis.url(), spool.path(), "20");
        until("it is in full flow", || {
            (collector.texts().len() > before + round * 3).then_some(())
        });
        process.0.kill().unwrap();
        process.0.wait().unwrap();
    }
    let logs = next_run(&redis.url(), spool.path());
    let home = spool.path().join("killed");
    until("nothing is left but its own", || {
        let folders = std::fs::read_dir(&home).unwrap();
        // Who is killed while it writes leaves a part of a frame, which is put aside for people.
        let runs = folders.filter(|folder| folder.as_ref().unwrap().file_name() != "quarantine");
        (runs.count() == 1).then_some(())
    });
    drop(logs);
    assert!(count(&collector.texts()) > 600);
}
