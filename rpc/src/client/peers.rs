//! Who serves the queue, as far as replies tell: servers of this crate, which answer to the inbox, or Python servers,
//! whose replies must be looked for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a reply tells who serves the queue.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A server of this crate answers within this time or has real work to do. Then it is worth asking whether a Python
/// server answered.
const SOON: Duration = Duration::from_millis(20);

/// If all replies came from servers of this crate, a Python server would be a surprise.
const LATE: Duration = Duration::from_millis(500);

pub(super) struct Peers {
    start: Instant,
    /// When the last reply of either came, in milliseconds from the start; 0 for never.
    rust: AtomicU64,
    python: AtomicU64,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            rust: AtomicU64::new(0),
            python: AtomicU64::new(0),
        }
    }
}

impl Peers {
    pub(super) fn saw_rust(&self) {
        self.rust.store(self.now(), Relaxed);
    }

    pub(super) fn saw_python(&self) {
        self.python.store(self.now(), Relaxed);
    }

    pub(super) fn has_python(&self) -> bool {
        self.is_recent(&self.python)
    }

    /// How long after a call is made its Python reply should be looked for first.
    pub(super) fn first_look(&self) -> Duration {
        if self.is_recent(&self.rust) && !self.has_python() {
            LATE
        } else {
            SOON
        }
    }

    fn is_recent(&self, seen: &AtomicU64) -> bool {
        let seen = seen.load(Relaxed);
        seen != 0 && self.now() - seen < REMEMBERED.as_millis() as u64
    }

    /// Never 0.
    fn now(&self) -> u64 {
        1 + self.start.elapsed().as_millis() as u64
    }
}
