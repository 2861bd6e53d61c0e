//! What a server did and how long it took, as `$rpc.stats` tells it. Counting takes no lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::meters::Meters;

/// So many buckets for each doubling of a time: what is told of it is at most an eighth too long.
const STEPS: u64 = 8;

/// Up to 2^40 microseconds, twelve days; what takes longer is counted as that.
const OCTAVES: u64 = 40;

/// What happened since the server was started.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) handled: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Those of the failed that no handler was started for.
    pub(super) refused: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) requeued: AtomicU64,
}

/// What a server did from start to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Requests that a handler carried out, and repeats of them.
    pub handled: u64,
    /// Requests that failed: unknown, malformed, late, refused by a handler, or a handler's panic.
    pub failed: u64,
    /// What went to the dead-letter list: texts that were no requests, and requests of servers that died that were
    /// given up because they had been through it too often.
    pub dead_lettered: u64,
    /// Requests given back to the queue, this server's or a dead one's.
    pub requeued: u64,
}

impl Counters {
    pub(super) fn report(&self) -> Report {
        Report {
            handled: self.handled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            requeued: self.requeued.load(Relaxed),
        }
    }
}

/// How one method did.
#[derive(Default)]
pub(super) struct MethodStats {
    failed: AtomicU64,
    queued: Times,
    running: Times,
    meters: Meters,
}

/// What `$rpc.stats` tells of one method.
#[derive(Serialize)]
pub(super) struct MethodReport {
    /// Handlers that ended.
    calls: u64,
    failed: u64,
    /// From being sent to being started, of the requests that tell when they were sent.
    queued: Spread,
    running: Spread,
}

impl MethodStats {
    /// These are told as well.
    pub(super) fn telling(meters: Meters) -> Self {
        Self {
            meters,
            ..Self::default()
        }
    }

    /// A handler is started, and has ended when this is dropped.
    pub(super) fn start(self: &Arc<Self>, queued: Option<Duration>) -> Handling {
        if let Some(queued) = queued {
            self.queued.add(queued);
        }
        self.meters.started(queued);
        Handling {
            stats: Arc::clone(self),
            started: Instant::now(),
            failed: true,
        }
    }

    pub(super) fn report(&self) -> MethodReport {
        let running = self.running.spread();
        MethodReport {
            calls: running.count,
            failed: self.failed.load(Relaxed),
            queued: self.queued.spread(),
            running,
        }
    }
}

/// A handler that runs.
pub(super) struct Handling {
    stats: Arc<MethodStats>,
    started: Instant,
    /// Whether it counts as failed: it does until it has answered otherwise.
    pub(super) failed: bool,
}

impl Drop for Handling {
    fn drop(&mut self) {
        let run = self.started.elapsed();
        self.stats.running.add(run);
        self.stats.meters.ended(run, self.failed);
        self.stats.failed.fetch_add(u64::from(self.failed), Relaxed);
    }
}

/// Times, counted by how long they are.
struct Times {
    buckets: Box<[AtomicU64]>,
    longest: AtomicU64,
}

/// How times are spread, in milliseconds.
#[derive(Serialize)]
pub(super) struct Spread {
    count: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            buckets: (0..OCTAVES * STEPS).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
        }
    }
}

impl Times {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let last = self.buckets.len() - 1;
        self.buckets[bucket(micros).min(last)].fetch_add(1, Relaxed);
        self.longest.fetch_max(micros, Relaxed);
    }

    fn spread(&self) -> Spread {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let longest = self.longest.load(Relaxed);
        let percentile = |percent: u64| {
            let wanted = (count * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            milliseconds(found.map_or(0, |bucket| end(bucket as u64).min(longest)))
        };
        Spread {
            count,
            p50_ms: percentile(50),
            p90_ms: percentile(90),
            p99_ms: percentile(99),
            max_ms: milliseconds(longest),
        }
    }
}

/// The first times have a bucket each, then every doubling has as many.
fn bucket(micros: u64) -> usize {
    let octave = u64::from(micros.checked_ilog2().unwrap_or_default()).saturating_sub(STEPS.ilog2().into());
    (octave * STEPS + (micros >> octave)) as usize
}

/// The longest time that a bucket counts, in microseconds.
fn end(bucket: u64) -> u64 {
    let octave = (bucket / STEPS).saturating_sub(1);
    ((bucket - octave * STEPS + 1) << octave) - 1
}

#[expect(clippy::cast_precision_loss, reason = "nobody reads more than a few digits")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// The reports of all methods, by name.
pub(super) type MethodReports<'a> = BTreeMap<&'a str, MethodReport>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_it_says() {
        for micros in (0..100_000).chain([u64::from(u32::MAX), (1 << 40) - 1]) {
            let bucket = bucket(micros) as u64;
            assert!(micros <= end(bucket), "{micros}");
            assert!(bucket == 0 || micros > end(bucket - 1), "{micros}");
            assert!(end(bucket) <= micros + micros / STEPS, "{micros}");
        }
    }

    #[test]
    fn a_percentile_is_hardly_longer_than_the_time_it_stands_for() {
        let times = Times::default();
        let none = times.spread();
        assert_eq!((none.count, none.p50_ms, none.max_ms), (0, 0.0, 0.0));
        for ms in 1..=1000 {
            times.add(Duration::from_millis(ms));
        }
        let spread = times.spread();
        assert_eq!((spread.count, spread.max_ms), (1000, 1000.0));
        for (percentile, exact) in [
            (spread.p50_ms, 500.0),
            (spread.p90_ms, 900.0),
            (spread.p99_ms, 990.0),
        ] {
            assert!(
                (exact..=exact * 1.13).contains(&percentile),
                "{percentile} for {exact}"
            );
        }
        times.add(Duration::MAX);
        assert_eq!(times.spread().count, 1001);
    }
}
