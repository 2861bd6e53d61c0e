//! One measurement, and the table of all of them.

use std::time::Duration;

pub(crate) struct Sample {
    pub(crate) calls: usize,
    pub(crate) wall: Duration,
    /// In order of length; empty where only the whole was timed.
    pub(crate) latencies: Vec<Duration>,
    /// Commands that Redis carried out.
    pub(crate) commands: u64,
    /// Processor time of the client, the server and Redis, where the system tells.
    pub(crate) cpu: Option<[Duration; 3]>,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) in_flight: usize,
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn rate(&self) -> f64 {
        self.median(|sample| sample.calls as f64 / sample.wall.as_secs_f64())
    }

    /// In microseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.median(|sample| percentile(&sample.latencies, 50))
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<f64> = self.samples.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<18}{:>9}{:>10}{:>9}{:>9}{:>10}   CPU s per 100,000 calls: client, server, Redis",
        "", "in flight", "calls/s", "p50 µs", "p99 µs", "commands"
    );
    for row in rows {
        let cpu = |part: usize| {
            row.median(|sample| {
                sample
                    .cpu
                    .map_or(f64::NAN, |cpu| per_100_000(cpu[part], sample.calls))
            })
        };
        println!(
            "{:<18}{:>9}{:>10.0}{:>9.0}{:>9.0}{:>10.1}   {:>6.2}{:>8.2}{:>8.2}",
            row.name,
            row.in_flight,
            row.rate(),
            row.p50(),
            row.median(|sample| percentile(&sample.latencies, 99)),
            row.median(|sample| sample.commands as f64 / sample.calls as f64),
            cpu(0),
            cpu(1),
            cpu(2),
        );
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

fn per_100_000(time: Duration, calls: usize) -> f64 {
    time.as_secs_f64() * 100_000.0 / calls as f64
}

/// The processor time that a process has used, in steps of 10 ms, where the system tells.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it, user and system time are the twelfth and thirteenth field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The processor time that these processes have used since `before`.
pub(crate) fn cpu_since(pids: [u32; 3], before: [Option<Duration>; 3]) -> Option<[Duration; 3]> {
    let mut used = [Duration::ZERO; 3];
    for (at, pid) in pids.into_iter().enumerate() {
        used[at] = cpu(pid)?.checked_sub(before[at]?)?;
    }
    Some(used)
}
