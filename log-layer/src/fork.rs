//! Forks: how a process knows that it is the child of the one that set the layer up.
//!
//! Promises: what runs in the child between the fork and whatever the program does there stores numbers, closes files and
//! nothing else, so it is safe also where only that is allowed.

#[cfg(unix)]
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

/// Forks since the first process, in this line of descent.
static GENERATION: AtomicU32 = AtomicU32::new(0);

static REGISTERED: Once = Once::new();

/// No file has this number.
const FREE: i32 = -1;

/// The locked files of this process. A child inherits them, and would keep them locked beyond its parent's end. More of
/// them than this are left to it.
static LOCKED: [AtomicI32; 256] = [const { AtomicI32::new(FREE) }; 256];

/// A lock that is the parent's alone. It must go before the file does.
#[derive(Debug)]
pub(crate) struct ParentsLock(Option<&'static AtomicI32>);

/// A forked child lets go of this file.
#[cfg(unix)]
pub(crate) fn parents_lock(file: &std::fs::File) -> ParentsLock {
    let number: RawFd = file.as_raw_fd();
    let takes = |place: &&AtomicI32| place.compare_exchange(FREE, number, Relaxed, Relaxed).is_ok();
    ParentsLock(LOCKED.iter().find(takes))
}

#[cfg(not(unix))]
pub(crate) fn parents_lock(_: &std::fs::File) -> ParentsLock {
    ParentsLock(None)
}

impl Drop for ParentsLock {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(FREE, Relaxed);
        }
    }
}

/// Two processes have the same number only if they are the same process, or neither has been set up by the other's.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// From now on children are told from their parents.
#[cfg(unix)]
#[expect(unsafe_code, reason = "only the C library knows that the process forks")]
pub(crate) fn watch() {
    REGISTERED.call_once(|| {
        // SAFETY: the function lives as long as the program, never unwinds, and only stores to atomics and calls
        // `sigaction` and `close`, which a child may do.
        let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if refused != 0 {
            crate::stderr::line("a forked child of this process must not log");
        }
    });
}

#[cfg(not(unix))]
pub(crate) fn watch() {}

#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the files belong to values that no thread of the child has"
)]
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    for place in &LOCKED {
        let number = place.swap(FREE, Relaxed);
        if number != FREE {
            // SAFETY: it was open when the process forked, and the thread that would use or close it is not in the child.
            unsafe { libc::close(number) };
        }
    }
    crate::signals::forget();
}
