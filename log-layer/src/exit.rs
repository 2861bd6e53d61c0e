//! The end of a process that no guard sees: `process::exit`, or a guard that is kept in a static.
//!
//! Promises: the end waits for what is buffered, at most [`PATIENCE`], and not at all if there is nothing. Thread-locals
//! with a destructor may be gone by then, so nothing here needs one.

use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::buffer::Buffer;
use crate::reentry;
use crate::stderr;

/// Enough for a Redis that is well; whoever ends a process without its guard did not ask to wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// The buffers of all layers of this process.
static BUFFERS: Mutex<Vec<Weak<Buffer>>> = Mutex::new(Vec::new());

static REGISTERED: Once = Once::new();

/// Has the end of the process wait for this buffer.
pub(crate) fn watch(buffer: &Arc<Buffer>) {
    REGISTERED.call_once(register);
    let mut buffers = lock();
    buffers.retain(|known| known.strong_count() > 0);
    buffers.push(Arc::downgrade(buffer));
}

/// Waits for everything that is buffered. Returns how many records are still not delivered.
pub(crate) fn deliver() -> u64 {
    if reentry::on_shipper() {
        return 0;
    }
    let deadline = Instant::now() + PATIENCE;
    let buffers = lock().clone();
    let flush = |buffer: Arc<Buffer>| {
        let left = deadline.saturating_duration_since(Instant::now());
        // One that was shut down has said what it left.
        (!buffer.is_stopped()).then(|| buffer.flush(left).still_buffered)
    };
    buffers.iter().filter_map(Weak::upgrade).filter_map(flush).sum()
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
    let lost = deliver();
    if lost > 0 {
        stderr::line(&format!(
            "{lost} records were not delivered before the process ended"
        ));
    }
}

fn lock() -> MutexGuard<'static, Vec<Weak<Buffer>>> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}
