//! What processes cost, told by Linux; zero elsewhere.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// What taking records costs a server.
pub struct Cost {
    pid: Pid,
    idle_kb: u64,
    began: Instant,
    used: Duration,
    took: Duration,
    count: usize,
    most_kb: u64,
}

impl Cost {
    pub const HEAD: &str = "  records/s  CPU s/M  MB idle  MB most  B/record";

    pub fn begin(pid: Pid) -> Cost {
        Cost {
            pid,
            idle_kb: resident_kb(pid, "VmRSS"),
            began: Instant::now(),
            used: processor_time(pid),
            took: Duration::ZERO,
            count: 0,
            most_kb: 0,
        }
    }

    /// More is about to be sent.
    pub fn sending(&mut self) {
        self.began = Instant::now();
    }

    /// Everything was acknowledged.
    pub fn sent(&mut self) {
        self.took += self.began.elapsed();
    }

    /// Everything has settled.
    pub fn end(mut self, count: usize) -> Cost {
        self.used = processor_time(self.pid) - self.used;
        self.most_kb = resident_kb(self.pid, "VmHWM");
        self.count = count;
        self
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>11.0} {:>8.2} {:>8.1} {:>8.1}",
            self.count as f64 / self.took.as_secs_f64(),
            self.used.as_secs_f64() * 1e6 / self.count as f64,
            self.idle_kb as f64 / 1024.0,
            self.most_kb as f64 / 1024.0,
        )
    }
}

/// Waits until the process has been idle for a while: merging and sealing are part of what records cost.
pub async fn settled(pid: Pid) {
    const LOOK: Duration = Duration::from_millis(500);
    const QUIET: usize = 6;
    let (mut before, mut quiet) = (processor_time(pid), 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while quiet < QUIET && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await; // polling, with a deadline
        let now = processor_time(pid);
        quiet = if now - before <= LOOK / 20 { quiet + 1 } else { 0 };
        before = now;
    }
}

/// What a process has used of the processors.
fn processor_time(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

/// What a process has in memory now, and had at most.
pub fn memory(pid: Pid) -> String {
    let mb = |name| resident_kb(pid, name) as f64 / 1024.0;
    format!("{:.1} MB, {:.1} MB at most", mb("VmRSS"), mb("VmHWM"))
}

fn resident_kb(pid: Pid, name: &str) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Bytes of all files below a directory.
pub fn size(directory: &Path) -> f64 {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let bytes = entries.map(|path| match path.is_dir() {
        true => size(&path),
        false => path.metadata().unwrap().len() as f64,
    });
    bytes.sum()
}
