//! One case: threads that log, and how long each call took.

use std::fmt;
use std::str::FromStr;
use std::sync::Barrier;
use std::time::Duration;

use quanta::Clock;
use tracing::{info, info_span};

use crate::allocations;
use crate::mode::Mode;
use crate::subject::{Installed, Subject};
use crate::times::Times;

/// Events before the measured ones: thread-locals, call-site caches and buffers are there after them.
const WARM_UP: usize = 2_000;

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub subject: Subject,
    pub mode: Mode,
    pub threads: usize,
}

impl Case {
    pub fn arguments(&self) -> [String; 3] {
        [
            self.subject.name().to_owned(),
            word(self.mode).to_owned(),
            self.threads.to_string(),
        ]
    }

    pub fn parse(arguments: &[String]) -> Option<Case> {
        let [subject, mode, threads, ..] = arguments else {
            return None;
        };
        Some(Case {
            subject: Subject::ALL.into_iter().find(|known| known.name() == subject)?,
            mode: Mode::ALL.into_iter().find(|known| word(*known) == mode)?,
            threads: threads.parse().ok()?,
        })
    }
}

/// What a case cost, for each event.
#[derive(Debug)]
pub struct Row {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// For each millisecond inside usual calls.
    pub interruptions: f64,
    pub allocations: f64,
    pub allocated_bytes: f64,
    /// What left the process, or went into the sink.
    pub shipped_bytes: f64,
    /// The part of the events that arrived.
    pub kept: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {} {}",
            self.p50,
            self.p99,
            self.p999,
            self.interruptions,
            self.allocations,
            self.allocated_bytes,
            self.shipped_bytes,
            self.kept
        )
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Row, String> {
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        match numbers.map_err(|error| error.to_string())?[..] {
            [
                p50,
                p99,
                p999,
                interruptions,
                allocations,
                allocated_bytes,
                shipped_bytes,
                kept,
            ] => Ok(Row {
                p50,
                p99,
                p999,
                interruptions,
                allocations,
                allocated_bytes,
                shipped_bytes,
                kept,
            }),
            _ => Err(format!("not a row: {text}")),
        }
    }
}

pub fn run(case: &Case) -> Row {
    let installed = Installed::new(case.subject);
    let events = case.mode.events();
    let barrier = Barrier::new(case.threads);
    let results: Vec<(Vec<u32>, u64, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..case.threads)
            .map(|_| scope.spawn(|| thread(case.mode, events, &barrier)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all = (case.threads * events) as f64;
    let (shipped_bytes, kept) = installed.finish(case.threads * (events + WARM_UP));
    let times = Times::new(results.iter().flat_map(|(times, ..)| times).copied().collect());
    Row {
        p50: times.at(0.5),
        p99: times.at(0.99),
        p999: times.at(0.999),
        interruptions: times.interruptions(),
        allocations: results.iter().map(|(_, count, _)| count).sum::<u64>() as f64 / all,
        allocated_bytes: results.iter().map(|(.., bytes)| bytes).sum::<u64>() as f64 / all,
        shipped_bytes,
        kept,
    }
}

/// Nanoseconds of each call, and what this thread allocated meanwhile.
fn thread(mode: Mode, events: usize, barrier: &Barrier) -> (Vec<u32>, u64, u64) {
    let clock = Clock::new();
    let mut times = vec![0_u32; events];
    let request = info_span!("request", path = "/live/7", user = 42_u64).entered();
    let query = info_span!("query", table = "channels").entered();
    for number in 0..WARM_UP {
        log(number);
        if number % 100 == 0 {
            // So that the warm-up alone fills nobody's buffer.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    barrier.wait();
    let before = allocations::of_this_thread();
    for (number, time) in times.iter_mut().enumerate() {
        let start = clock.raw();
        log(number);
        let end = clock.raw();
        *time = u32::try_from(clock.delta_as_nanos(start, end)).unwrap_or(u32::MAX);
        if let Some(pause) = mode.pause(number + 1) {
            std::thread::sleep(pause);
        }
    }
    let after = allocations::of_this_thread();
    drop((query, request));
    (times, after.0 - before.0, after.1 - before.1)
}

/// The same event for everybody.
#[inline(never)]
fn log(number: usize) {
    info!(
        user_id = number as u64,
        latency_ms = 3.5,
        ok = true,
        path = "/live/7/segment",
        attempt = -1_i64,
        "channel opened"
    );
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Spaced => "spaced",
        Mode::Burst => "burst",
        Mode::Flood => "flood",
    }
}
