//! The clock of Redis, which all peers share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock of Redis, read from ours by the distance last measured. A step of the local clock does not matter.
#[derive(Clone, Default)]
pub(super) struct Clock {
    read: Arc<Mutex<Option<(Instant, i64)>>>,
}

impl Clock {
    pub(super) fn set(&self, (seconds, microseconds): (i64, i64)) {
        let read = (Instant::now(), seconds * 1000 + microseconds / 1000);
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }

    pub(super) fn now_ms(&self) -> i64 {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.map_or_else(local_now_ms, |(at, redis_ms)| {
            redis_ms.saturating_add(milliseconds(at.elapsed()))
        })
    }
}

/// Good enough until the first connection, before which nothing is sent or received.
fn local_now_ms() -> i64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The duration in milliseconds, or as many as there can be.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
