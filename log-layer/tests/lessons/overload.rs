//! More is logged than can leave, and flushes that must not miss anything.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::lesson::{builder, here, lesson, stored};

/// tokio-rs/tracing#1941; qos-ch/logback PR#290; tummychow/git-absorb#131
#[test]
fn of_ten_times_too_much_the_severe_is_kept_and_every_drop_is_declared() {
    const SECONDS: u64 = 3;
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().level(LevelFilter::TRACE).build();
        tracing_subscriber::registry().with(layer).init();
        let start = Instant::now();
        let (mut rounds, mut severe) = (0_u64, 0_u64);
        while start.elapsed() < Duration::from_secs(SECONDS) {
            for number in 0..100 {
                trace!(number, "mildest");
                debug!(number, "mild");
                info!(number, "usual");
            }
            rounds += 1;
            if start.elapsed() > Duration::from_millis(10) * u32::try_from(severe).unwrap() {
                warn!(severe, "severe");
                error!(severe, "most severe");
                severe += 1;
            }
        }
        let dropped = logs.flush(Duration::from_secs(25)).dropped;
        assert!(dropped > 0);
        let stats = logs.stats();
        assert_eq!(stats.accepted + dropped, rounds * 300 + severe * 2);
        let told = stats
            .dropped()
            .iter()
            .filter(|dropped| dropped.level <= tracing::Level::WARN);
        assert_eq!(told.count(), 0, "{stats:?}");
        eprintln!("{} accepted, {dropped} dropped", stats.accepted);
        eprintln!("logged {}", rounds * 300 + severe * 2);
        drop(logs);
    });
    // A server that cannot keep up.
    let ended = lesson.with("LOG_LAYER_LINGER_MS", "200").run_answering(|_, _| {
        thread::sleep(Duration::from_millis(20)); // slow on purpose
        stored()
    });
    let records = ended.account(ended.told("logged"));
    let told = ended
        .stderr
        .lines()
        .filter(|line| line.contains("were not delivered"));
    assert_eq!(told.count(), 1, "{}", ended.stderr);
    assert!(!records.is_empty());
}

/// How often; ten thousand times take half a minute.
fn repeats() -> usize {
    std::env::var("FLUSHES").map_or(1000, |repeats| repeats.parse().unwrap())
}

/// open-telemetry/opentelemetry-rust#3453; dial9-rs/dial9 PR#54; fast/logforth PR#191
#[test]
fn what_any_thread_has_logged_before_a_flush_is_stored_when_that_returns() {
    const THREADS: usize = 32;
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        let (go, logged, over) = (
            Barrier::new(THREADS + 1),
            Barrier::new(THREADS + 1),
            AtomicBool::new(false),
        );
        let mut count = 0;
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (go, logged, over) = (&go, &logged, &over);
                scope.spawn(move || {
                    for round in 0.. {
                        go.wait();
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        // A third of them is idle.
                        if (thread + round) % 3 > 0 {
                            info!(thread, "counted");
                        }
                        logged.wait();
                    }
                });
            }
            for round in 0..repeats() {
                go.wait();
                info!("the flushing one");
                // One that has ended before the flush.
                thread::spawn(|| info!("short")).join().unwrap();
                logged.wait();
                count += 2 + (0..THREADS).filter(|thread| (thread + round) % 3 > 0).count() as u64;
                let report = logs.flush(Duration::from_secs(20));
                assert_eq!(
                    (report.stored, report.still_buffered),
                    (count, 0),
                    "round {round}"
                );
            }
            over.store(true, Ordering::Relaxed);
            go.wait();
        });
        drop(logs);
        eprintln!("logged {count}");
    });
    let ended = lesson
        .taking(Duration::from_millis(20) * u32::try_from(repeats()).unwrap())
        .run();
    ended.all(ended.told("logged"));
}
