//! Forks: how a process knows that it is the child of the one that set the layer up.
//!
//! Promises: what runs in the child between the fork and whatever the program does there stores two numbers and nothing
//! else, so it is safe also where only that is allowed.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Forks since the first process, in this line of descent.
static GENERATION: AtomicU32 = AtomicU32::new(0);

static REGISTERED: Once = Once::new();

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
        // `sigaction`, which a child may do.
        let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if refused != 0 {
            crate::stderr::line("a forked child of this process must not log");
        }
    });
}

#[cfg(not(unix))]
pub(crate) fn watch() {}

#[cfg(unix)]
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    crate::signals::forget();
}
