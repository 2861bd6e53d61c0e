//! Growing pauses between attempts to connect.

use std::time::Duration;

use tokio::time::sleep;

/// Pause before the first and before every later attempt to connect: quick after a restart, and never so slow that
/// a person waits for it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Growing pauses between attempts, each shortened at random so that many peers do not come back at once.
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl Backoff {
    pub(crate) async fn pause(&mut self) {
        let pause = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        sleep(pause).await;
    }
}
