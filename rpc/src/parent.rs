//! The call whose handler is running. Calls that the handler makes belong to its trace and need not outlive its
//! caller's patience, and nobody has to carry either. Known on the handler's own task, not on tasks it spawns.

use std::future::Future;
use std::time::{Duration, Instant};

tokio::task_local! {
    static CURRENT: Parent;
}

/// What is left of the caller's time for the handler's own answer to get back, and at most a tenth of it.
const MARGIN: Duration = Duration::from_millis(100);

/// What a call has from the one inside which it is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parent {
    pub(crate) deadline: Option<Instant>,
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
}

impl Parent {
    /// Makes it the parent of the calls that the future makes.
    pub(crate) fn of<F: Future>(self, handler: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, handler)
    }

    /// Makes it the parent of the calls that are made at once.
    pub(crate) fn of_start<T>(self, start: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, start)
    }

    /// The parent of a call made here; one that gives nothing if there is none.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// How long a call made now can be of use.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.deadline?.saturating_duration_since(Instant::now());
        Some(left.saturating_sub(MARGIN.min(left / 10)))
    }
}
