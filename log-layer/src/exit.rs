//! The end of a process that no guard sees: `process::exit`, or a guard that is kept in a static.
//!
//! Promises: the end waits for what is buffered, at most [`PATIENCE`], and not at all if there is nothing. Thread-locals
//! with a destructor may be gone by then, so nothing here needs one.

use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use crate::delivery::Delivery;
use crate::fork;
use crate::reentry;
use crate::stderr;

/// Enough for a Redis that is well; whoever ends a process without its guard did not ask to wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// What the disk may take on top, where there is a spool.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// The ways out of all layers of this process.
static DELIVERIES: Mutex<Vec<Weak<Delivery>>> = Mutex::new(Vec::new());

static REGISTERED: Once = Once::new();

/// Has the end of the process wait for this delivery.
pub(crate) fn watch(delivery: &Arc<Delivery>) {
    REGISTERED.call_once(register);
    let mut deliveries = DELIVERIES.lock().unwrap_or_else(PoisonError::into_inner);
    deliveries.retain(|known| known.strong_count() > 0);
    deliveries.push(Arc::downgrade(delivery));
}

/// Delivers everything that is buffered, for at most that long, and leaves the rest to the spools. Returns how many
/// records are neither delivered nor spooled.
pub(crate) fn deliver(patience: Duration) -> u64 {
    if reentry::on_shipper() {
        return 0;
    }
    let deadline = Instant::now() + patience;
    let deliveries = lock().map(|known| known.clone()).unwrap_or_default();
    let flush = |delivery: Arc<Delivery>| {
        // One that was shut down has said what it left, and what a child inherited is its parent's.
        if !delivery.is_running() {
            return 0;
        }
        let report = delivery.flush(deadline.saturating_duration_since(Instant::now()));
        if !delivery.spools() {
            return report.still_buffered;
        }
        delivery.stop(Some(deadline + DISK_PATIENCE));
        delivery.report().still_buffered
    };
    deliveries.iter().filter_map(Weak::upgrade).map(flush).sum()
}

/// The same, and says what is lost.
pub(crate) fn deliver_and_say(patience: Duration) {
    let lost = deliver(patience);
    if lost > 0 {
        stderr::line(&format!(
            "{lost} records were not delivered before the process ended"
        ));
    }
}

#[expect(unsafe_code, reason = "only the C library knows that the process calls exit")]
fn register() {
    // SAFETY: the function lives as long as the program and never unwinds: it only locks, waits and writes.
    let refused = unsafe { libc::atexit(at_exit) };
    if refused != 0 {
        stderr::line("without its guard dropped, the end of the process will not wait for records");
    }
}

extern "C" fn at_exit() {
    deliver_and_say(PATIENCE);
}

/// None in a child that was forked while another thread of its parent held the lock.
fn lock() -> Option<MutexGuard<'static, Vec<Weak<Delivery>>>> {
    if fork::generation() == 0 {
        return Some(DELIVERIES.lock().unwrap_or_else(PoisonError::into_inner));
    }
    match DELIVERIES.try_lock() {
        Ok(deliveries) => Some(deliveries),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
