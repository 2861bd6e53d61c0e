//! How long single calls took, by the processor's clock.

use quanta::Clock;

/// In order, and what reading the clock adds to each.
pub struct Times {
    sorted: Vec<u32>,
    clock: f64,
}

impl Times {
    pub fn new(mut nanoseconds: Vec<u32>) -> Times {
        nanoseconds.sort_unstable();
        Times {
            sorted: nanoseconds,
            clock: clock_cost(),
        }
    }

    /// Nanoseconds that this part of the calls did not exceed.
    pub fn at(&self, part: f64) -> f64 {
        let index = (self.sorted.len() - 1) as f64 * part;
        (f64::from(self.sorted[index as usize]) - self.clock).max(0.0)
    }
}

/// Far longer than any of the calls takes by itself.
const INTERRUPTED: u32 = 25_000;

impl Times {
    /// How many calls were interrupted for each millisecond that calls usually take: what the machine takes from everybody.
    /// Where this is the same for all, a longer call is hit more often, and that is all there is to its slowest ones.
    pub fn interruptions(&self) -> f64 {
        let slow = self.sorted.len() - self.sorted.partition_point(|time| *time < INTERRUPTED);
        slow as f64 * 1e6 / (self.sorted.len() as f64 * self.at(0.5))
    }
}

/// What reading the clock twice adds to every time.
fn clock_cost() -> f64 {
    let clock = Clock::new();
    let mut times: Vec<u64> = (0..10_000)
        .map(|_| {
            let start = clock.raw();
            clock.delta_as_nanos(start, clock.raw())
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2] as f64
}
