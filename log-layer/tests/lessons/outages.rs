//! Redis is not there, or stands still, or comes back without what it had.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use rpc::Fault;
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::collector::Collector;
use crate::lesson::{builder, here, lesson, setting, stored};
use crate::machine::{held, own, resident, signal};
use crate::wait::until;

/// How long Redis is away, in seconds; a minute shows more.
fn outage() -> Duration {
    let seconds = std::env::var("OUTAGE_SECONDS").unwrap_or_else(|_| "3".to_owned());
    Duration::from_secs(seconds.parse().unwrap())
}

/// Logs at an even pace for so long. Returns how long each call took, in order of that.
fn log_for(time: Duration, a_second: u32, log: impl Fn(u64)) -> Vec<Duration> {
    let start = Instant::now();
    let mut took = Vec::new();
    for number in 0.. {
        let due = Duration::from_secs(1) * number / a_second;
        if due >= time {
            break;
        }
        thread::sleep(due.saturating_sub(start.elapsed())); // slow on purpose: an even pace
        let before = Instant::now();
        log(u64::from(number));
        took.push(before.elapsed());
    }
    took.sort_unstable();
    took
}

fn of_a_hundred(sorted: &[Duration], part: usize) -> Duration {
    sorted[sorted.len() * part / 100]
}

/// apache/logging-log4j2#1666; danielwegener/logback-kafka-appender#53, #83
#[test]
fn a_redis_that_is_not_there_yet_delays_no_call_and_gets_everything_when_it_comes() {
    let lesson = lesson(here!(), || {
        for url in ["redis://127.0.0.1:1", "redis://no-such-host.invalid:6379"] {
            let quickest = (0..5).map(|_| {
                let start = Instant::now();
                let (_layer, logs) = builder().redis(url).build::<Registry>();
                let took = start.elapsed();
                logs.shutdown(Duration::ZERO);
                took
            });
            let quickest = quickest.min().unwrap();
            assert!(quickest < Duration::from_millis(50), "{url}: {quickest:?}");
        }
        let logs = log_layer::init("lessons");
        let took = log_for(outage(), 2000, |number| info!(number, "patient"));
        assert!(of_a_hundred(&took, 99) < Duration::from_millis(1), "{took:?}");
        assert_eq!(logs.flush(Duration::from_secs(25)).stored, took.len() as u64);
        drop(logs);
    });
    // Room for what is logged in an outage of any length that somebody has the time for.
    let lesson = lesson
        .with("LOG_LAYER_LINGER_MS", "50")
        .with("LOG_LAYER_BUFFER_BYTES", "1000000000")
        .taking(outage());
    let process = lesson.start();
    thread::sleep(outage()); // slow on purpose: this is the outage
    let redis = lesson.place.start();
    let collector = Collector::start(&redis.url());
    let ended = lesson.end(process, &collector);
    let logged = ended.records().len() as u64;
    ended.all(logged);
    assert!(logged > 1000);
}

/// redis-rs/redis-rs#395, #392, #1415; getsentry/sentry-rust#543
#[test]
fn a_redis_that_stands_still_delays_no_call_and_is_used_again_when_it_moves() {
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().buffer_bytes(1 << 30).build();
        tracing_subscriber::registry().with(layer).init();
        let log = |number| info!(number, "counted");
        let redis = setting("REDIS_PROCESS");
        let (mut well, mut stopped, mut logged) = (Vec::new(), Vec::new(), 0);
        // In turns, and the one in the middle of many short times: the machine is at work elsewhere now and then.
        for _ in 0..3 {
            for stops in [false, true] {
                if stops {
                    signal(&redis, libc::SIGSTOP);
                }
                let (time, slowest) = match stops {
                    true => (outage() / 3, &mut stopped),
                    false => (Duration::from_secs(1), &mut well),
                };
                for _ in 0..time.as_millis() / 100 {
                    let took = log_for(Duration::from_millis(100), 10_000, log);
                    logged += took.len() as u64;
                    slowest.push(of_a_hundred(&took, 99));
                }
                if stops {
                    signal(&redis, libc::SIGCONT);
                }
            }
        }
        let [well99, stopped99] = [well, stopped].map(|mut slowest| {
            slowest.sort_unstable();
            of_a_hundred(&slowest, 50)
        });
        eprintln!("99 of 100 calls within {well99:?}, and {stopped99:?} while Redis stood still");
        assert!(stopped99 < 2 * well99, "{well99:?} {stopped99:?}");
        assert_eq!(logs.flush(Duration::from_secs(25)).stored, logged);
        // The first command after a pause is as good as any other.
        thread::sleep(Duration::from_secs(2)); // slow on purpose
        info!("after a pause");
        assert_eq!(logs.flush(Duration::from_secs(25)).stored, logged + 1);
        drop(logs);
    });
    let lesson = lesson
        .with("LOG_LAYER_LINGER_MS", "200")
        .with("LOG_LAYER_ACK_TIMEOUT_MS", "1000")
        .taking(outage());
    let ended = lesson.run();
    let logged = ended.records().len() as u64;
    ended.all(logged);
}

/// A hundred megabytes, and how much of them was asked for.
struct Endless;

impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = resident();
        for _ in 0..100 << 10 {
            f.write_str(&"x".repeat(1 << 10))?;
            assert!(resident() < start + (8 << 20), "it is kept");
        }
        f.write_char('x')
    }
}

/// tokio-rs/tracing#2415, PR#3489; pinojs/pino#1781
#[test]
fn huge_values_take_no_more_memory_than_was_allowed_and_it_is_given_back() {
    const BUFFER: u64 = 8 << 20;
    let lesson = lesson(here!(), || {
        let unbuilt = [own(), resident()];
        let (layer, logs) = builder().build();
        tracing_subscriber::registry().with(layer).init();
        let [built, with_program] = [own() - unbuilt[0], resident() - unbuilt[1]];
        eprintln!(
            "{} KiB to begin with, {} with its program",
            built >> 10,
            with_program >> 10
        );
        assert!(built < 1 << 20, "{} KiB for nothing", built >> 10);
        let huge = "x".repeat(1 << 20);
        let (baseline, holding) = (resident(), held());
        let mut most = 0;
        for number in 0..1000 {
            warn!(number, huge, "huge");
            most = most.max(resident());
        }
        warn!(endless = ?Endless, "endless");
        assert!(
            most < baseline + BUFFER + (16 << 20),
            "{} MiB more",
            (most - baseline) >> 20
        );
        eprintln!("{} MiB more with a full buffer", (most - baseline) >> 20);
        until("it is stored", || {
            let stats = logs.stats();
            (stats.stored == stats.accepted).then_some(())
        });
        // A batch to be filled, one to be sealed, and room for the next few events.
        until("its memory is given back", || {
            (held() < holding + (4 << 20)).then_some(())
        });
        let after = resident();
        eprintln!("{} MiB more afterwards", after.saturating_sub(baseline) >> 20);
        assert!(
            after < baseline + BUFFER + (16 << 20),
            "{} MiB are kept",
            (after - baseline) >> 20
        );
        drop(logs);
    });
    let lesson = lesson.with("LOG_LAYER_LINGER_MS", "50");
    let process = lesson.start();
    thread::sleep(Duration::from_secs(1)); // slow on purpose: this is the outage
    let redis = lesson.place.start();
    let collector = Collector::start(&redis.url());
    lesson.end(process, &collector).account(1001);
}

/// resque/resque#93; RichardKnop/machinery#692; php-enqueue/enqueue-dev#750
#[test]
fn a_server_that_dies_at_any_point_and_a_redis_that_forgets_cost_nothing() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        let stop = std::env::var("STOP").unwrap();
        let mut number = 0_u64;
        while !std::path::Path::new(&stop).exists() {
            info!(number, "counted");
            number += 1;
            thread::sleep(Duration::from_millis(1)); // slow enough to be hit by every trouble
        }
        logs.flush(Duration::from_secs(20));
        drop(logs);
    });
    let folder = tempfile::tempdir().unwrap();
    let stop = folder.path().join("stop");
    let lesson = lesson
        .with("STOP", stop.to_str().unwrap())
        .with("LOG_LAYER_LINGER_MS", "10")
        .with("LOG_LAYER_ACK_TIMEOUT_MS", "200");
    let redis = lesson.place.start();
    let process = lesson.start();
    // Taken, and never stored.
    until("it was sent", || {
        (redis.ask("LLEN asyncredisrpc:logs")? != ":0").then_some(())
    });
    redis.ask("LPOP asyncredisrpc:logs").unwrap();
    // Stored, and never answered.
    let unanswered = Collector::answering(&redis.url(), |_, _| Err(Fault::unavailable("it died")));
    until("some are stored", || (unanswered.texts().len() > 3).then_some(()));
    let mut texts = unanswered.texts();
    drop(unanswered);
    // Gone, with whatever is in it.
    drop(redis);
    let redis = lesson.place.start();
    let collector = Collector::answering(&redis.url(), |_, _| stored());
    let before = texts.iter().cloned().collect::<BTreeSet<_>>();
    until("it flows again", || (collector.texts().len() > 20).then_some(()));
    std::fs::write(&stop, "").unwrap();
    let mut ended = lesson.end(process, &collector);
    assert!(
        before.iter().all(|text| ended.texts.contains(text)),
        "what was not answered is sent again, as it was"
    );
    texts.append(&mut ended.texts);
    ended.texts = texts;
    let records = ended.records();
    ended.all(records.len() as u64);
    assert!(
        records
            .iter()
            .enumerate()
            .all(|(index, record)| record["fields"]["number"] == index)
    );
}
