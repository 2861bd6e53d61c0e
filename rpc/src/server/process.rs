//! Whether a process is certainly gone. A heartbeat outlives its process by up to twenty seconds; on the same
//! machine there is no need to wait for that. Where `/proc` does not exist nothing is certain.

use std::fs;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Process {
    /// Equal only for processes that see the same process numbers and may look at each other; empty if unknown.
    machine: String,
    pid: u32,
    /// When the process started, in clock ticks since the machine did: tells it from a later one of the same number.
    started: u64,
}

impl Process {
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        let started = started(pid);
        let machine = started.and_then(|_| machine()).unwrap_or_default();
        Self {
            machine,
            pid,
            started: started.unwrap_or_default(),
        }
    }

    /// Whether that process ran here and no longer does.
    pub(super) fn is_certainly_gone(&self) -> bool {
        let here = Self::this().machine;
        !here.is_empty() && here == self.machine && started(self.pid) != Some(self.started)
    }

    /// The machine's name, of characters that are harmless in a key name.
    pub(super) fn host(&self) -> String {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name: String = name
            .trim()
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
            .collect();
        if name.is_empty() { "host".to_owned() } else { name }
    }
}

/// The boot, the process namespace (containers may share a host name, but not this) and the user: another user's
/// processes may be invisible.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let user = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?;
    Some(format!("{} {} {user}", boot.trim(), namespace.display()))
}

/// When the process started, unless it is gone or only waits for its parent to notice.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted from behind it: the state is the third of all,
    // the start time the twenty-second.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        None
    } else {
        fields.nth(18)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_ran_here_is_certainly_gone() {
        let this = Process::this();
        assert!(!this.is_certainly_gone());
        assert!(
            Process {
                started: this.started + 1,
                ..this.clone()
            }
            .is_certainly_gone()
        );
        assert!(
            !Process {
                machine: "another".into(),
                started: 0,
                ..this.clone()
            }
            .is_certainly_gone()
        );
        assert!(
            !Process {
                machine: String::new(),
                started: 0,
                ..this
            }
            .is_certainly_gone()
        );
    }

    #[test]
    fn a_killed_child_is_gone_even_before_it_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process {
            pid: child.id(),
            started: started(child.id()).unwrap(),
            ..Process::this()
        };
        assert!(!process.is_certainly_gone());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !process.is_certainly_gone() {
            assert!(std::time::Instant::now() < deadline, "the child is still there");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
