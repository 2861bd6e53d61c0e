//! Memory and disk: an outage of any length stays within both, and what does not fit is counted.

use std::collections::BTreeSet;
use std::process::exit;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tracing::info;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::collector::Collector;
use crate::own_process::{self, Running, again};
use crate::redis::Place;
use crate::wait::{PATIENCE, until, until_within};

/// How long Redis is away, in seconds; 600 is what a long night needs.
const OUTAGE: &str = "OUTAGE_SECONDS";
const EVENTS_A_SECOND: u64 = 20_000;

/// The default buffer, and the working space for six batches that its documentation names.
const BOUND: u64 = (8 << 20) / 10 * 11 + 6 * (512 << 10);

/// The memory in use, as `VmRSS`, or the most that ever was, as `VmHWM`.
fn memory(word: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(word)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Logs at an even pace for so long, or longer if it is held up: what was missed does not come all at once. Returns how
/// many.
fn log_for(seconds: u64) -> u64 {
    let (mut number, mut due) = (0, Instant::now());
    while number < seconds * EVENTS_A_SECOND {
        info!(number, path = "/live/7", latency_ms = 3.5, "counted");
        number += 1;
        if number % 100 == 0 {
            let now = Instant::now();
            due = now.max(due + Duration::from_secs(100) / EVENTS_A_SECOND as u32);
            thread::sleep(due - now); // slow on purpose: an even pace
        }
    }
    number
}

#[test]
fn an_outage_of_any_length_stays_within_the_memory_and_with_a_spool_costs_nothing() {
    const NAME: &str =
        "limits::an_outage_of_any_length_stays_within_the_memory_and_with_a_spool_costs_nothing";
    let seconds = std::env::var(OUTAGE).map_or(4, |seconds| seconds.parse().unwrap());
    if own_process::is_it() {
        let (layer, logs) = log_layer::builder("limits").spool_bytes(64 << 30).build();
        tracing_subscriber::registry().with(layer).init();
        info!("warm");
        let before = memory("VmRSS");
        let logged = log_for(seconds);
        let away = memory("VmHWM") - before;
        let report = logs.flush(PATIENCE * 10);
        let most = memory("VmHWM") - before;
        eprintln!(
            "{logged} records, {} KiB more memory, {} with the end",
            away >> 10,
            most >> 10
        );
        assert!(most <= BOUND, "{} KiB more", most >> 10);
        assert_eq!(
            (report.stored, report.dropped),
            (logged + 1, 0),
            "{:?}",
            logs.stats()
        );
        exit(7);
    }
    let spool = TempDir::new().unwrap();
    let place = Place::new();
    let settings = [
        ("LOG_LAYER_SPOOL", spool.path().to_str().unwrap()),
        ("LOG_LAYER_LINGER_MS", "200"),
        ("LOG_LAYER_ACK_TIMEOUT_MS", "1000"),
    ];
    let mut process = Running(again(NAME, &place.url(), &settings).spawn().unwrap());
    let logged = seconds * EVENTS_A_SECOND + 1;
    thread::sleep(Duration::from_secs(seconds)); // slow on purpose: this is the outage
    let redis = place.start();
    let missing = Arc::new(Mutex::new((1..=logged).collect::<BTreeSet<u64>>()));
    let _collector = Collector::answering(&redis.url(), {
        let missing = missing.clone();
        move |text, _| {
            let batch: Value = serde_json::from_str(text).unwrap();
            let mut missing = missing.lock().unwrap();
            for record in batch["records"].as_array().unwrap() {
                missing.remove(&record["seq"].as_u64().unwrap());
            }
            Ok(json!({"stored": 1, "duplicate": false, "rejected": []}))
        }
    });
    // As long again as the outage is enough to deliver what was logged in it.
    let limit = PATIENCE + Duration::from_secs(seconds);
    let status = until_within(limit, "it has delivered everything", || {
        process.0.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(7));
    assert_eq!(missing.lock().unwrap().len(), 0);
}

/// From here on no file of this process grows beyond that, as on a full disk.
#[expect(unsafe_code, reason = "the standard library knows no limits")]
fn limit_files(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: one number each; ignoring the signal makes writing fail instead.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

#[test]
fn a_full_disk_is_no_crash_and_every_record_is_accounted_for() {
    const NAME: &str = "limits::a_full_disk_is_no_crash_and_every_record_is_accounted_for";
    const EACH: u64 = 40_000;
    if !own_process::is_it() {
        let status = again(NAME, &Place::new().url(), &[]).status().unwrap();
        assert_eq!(status.code(), Some(7));
        return;
    }
    let spool = TempDir::new().unwrap();
    let place = Place::new();
    let (layer, logs) = log_layer::builder("limits")
        .redis(place.url())
        .buffer_bytes(512 << 10)
        .linger(Duration::from_millis(10))
        .ack_timeout(Duration::from_millis(100))
        .spool(spool.path())
        .build();
    tracing_subscriber::registry().with(layer).init();
    // A frame fits now and then, another only in part.
    limit_files(100 << 10);
    for number in 0..EACH {
        info!(number, path = "/live/7", latency_ms = 3.5, "counted");
    }
    until("the disk has said no", || {
        logs.stats().last_error?.contains("the spool: ").then_some(())
    });
    let stats = logs.stats();
    assert_eq!(stats.accepted + stats.dropped_total(), EACH);
    let redis = place.start();
    let collector = Collector::start(&redis.url());
    let report = logs.flush(PATIENCE);
    assert_eq!(
        (report.stored, report.spooled, report.still_buffered),
        (stats.accepted, 0, 0)
    );
    assert_eq!(collector.records().len() as u64, stats.accepted);
    // `exit` drops nothing.
    drop((logs, collector, redis, place, spool));
    exit(7);
}
