//! How events follow each other.

use std::fmt;
use std::time::Duration;

/// So many events of sixteen threads fit into every buffer but tracing-loki's.
const BURST: usize = 100;

/// Enough to send a burst of sixteen threads.
const BETWEEN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A millisecond apart, as in a service with little to do: every wake-up shows.
    Spaced,
    /// One after the other, and then a pause: what is logged fits into every buffer, as in a service at work.
    Burst,
    /// One after the other, without end: more than anybody can send.
    Flood,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Spaced => "1 ms apart",
            Mode::Burst => "bursts",
            Mode::Flood => "a flood",
        })
    }
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Spaced, Mode::Burst, Mode::Flood];

    /// Somebody may not want to wait for all.
    pub fn is_wanted(self) -> bool {
        self.events() > 0
    }

    /// How long a thread pauses behind its event of that number.
    pub fn pause(self, number: usize) -> Option<Duration> {
        match self {
            Mode::Spaced => Some(Duration::from_millis(1)),
            Mode::Burst => number.is_multiple_of(BURST).then_some(BETWEEN),
            Mode::Flood => None,
        }
    }

    pub fn events(self) -> usize {
        let (variable, default) = match self {
            Mode::Spaced => ("BENCH_SPACED", 3_000),
            Mode::Burst => ("BENCH_BURSTS", 20_000),
            Mode::Flood => ("BENCH_FLOOD", 100_000),
        };
        std::env::var(variable).map_or(default, |text| text.parse().expect("a number of events"))
    }
}
