//! Named places at which a test lets its child process die, to see that nothing is lost there. Not in a released binary.

/// The variable that names the place.
#[cfg(any(test, feature = "crash-points"))]
pub(super) const VARIABLE: &str = "LOG_SERVER_CRASH_POINT";

/// The variable that says at which passing of the place; the first if it is not set.
#[cfg(any(test, feature = "crash-points"))]
pub(super) const TIMES: &str = "LOG_SERVER_CRASH_TIMES";

/// Dies here if this is the place.
#[cfg(any(test, feature = "crash-points"))]
pub(super) fn point(name: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PASSED: AtomicUsize = AtomicUsize::new(0);

    if std::env::var(VARIABLE).is_ok_and(|chosen| chosen == name) {
        let times = std::env::var(TIMES).ok().and_then(|times| times.parse().ok());
        if PASSED.fetch_add(1, Ordering::Relaxed) + 1 >= times.unwrap_or(1) {
            // As sudden as a kill: no destructor runs, nothing is flushed.
            std::process::abort();
        }
    }
}

#[cfg(not(any(test, feature = "crash-points")))]
pub(super) fn point(_name: &str) {}
