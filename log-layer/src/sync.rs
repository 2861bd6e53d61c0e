//! What threads meet at, and how they are told apart. The buffer takes it from here, so that a model of it can put in its
//! own; see `models/`.

use std::sync::atomic::Ordering::Relaxed;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(crate) use tokio::sync::Notify;

/// Even on two processors: a thread that is put to sleep while it holds a lock then stops few others.
const FEWEST: usize = 8;
/// More would only hold more memory that is half full.
const MOST: usize = 32;

/// How many places threads need so that they rarely meet; a power of two, which spares every event a division.
pub(crate) fn places() -> usize {
    let processors = thread::available_parallelism().map_or(FEWEST, usize::from);
    processors.clamp(FEWEST, MOST).next_power_of_two()
}

/// This thread's number, which may be that of another: a thread that is ending has none of its own.
pub(crate) fn thread_number() -> usize {
    NUMBER.try_with(|number| *number).unwrap_or(0)
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, Relaxed);
}
