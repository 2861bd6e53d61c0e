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
