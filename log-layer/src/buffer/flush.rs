//! Waiting until records have arrived, in a thread or in a future.
//!
//! Promises: a flush waits for what was accepted or refused before it began, and nothing that comes after can delay it by
//! more than the batch it shares; given up half way, it leaves nothing behind. Needs nothing from the caller's runtime.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{Buffer, State};
use crate::stats::FlushReport;
use crate::sync::PoisonError;

/// What one flush waits for. While it lives the shipper hurries.
struct Ticket<'a> {
    buffer: &'a Buffer,
    /// The last record.
    seq: u64,
    /// This many drops declared.
    declarable: u64,
}

impl Buffer {
    /// Waits until everything accepted or refused so far is settled or declared, at most for `timeout`.
    pub(crate) fn flush(&self, timeout: Duration) -> FlushReport {
        let ticket = self.ticket();
        // None for a timeout beyond the clock's reach.
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !ticket.is_due(&state) {
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            (state, _) = self
                .settled
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let report = state.report();
        drop(state);
        report
    }

    /// The same for as long as it takes.
    pub(crate) async fn flush_async(&self) -> FlushReport {
        let ticket = self.ticket();
        loop {
            // Made before the question: what is told in between is not missed.
            let settled = self.settled_async.notified();
            let report = {
                let state = self.lock();
                ticket.is_due(&state).then(|| state.report())
            };
            match report {
                Some(report) => return report,
                None => settled.await,
            }
        }
    }

    /// Whether anybody waits.
    pub(crate) fn is_flushing(&self) -> bool {
        self.flushes.load(Relaxed) > 0
    }

    /// Tells everybody who waits to look again.
    pub(super) fn tell(&self) {
        self.settled.notify_all();
        self.settled_async.notify_waiters();
    }

    fn ticket(&self) -> Ticket<'_> {
        self.flushes.fetch_add(1, Relaxed);
        self.gather();
        let ticket = {
            let mut state = self.lock();
            state.due_through = state.next_seq - 1;
            Ticket {
                buffer: self,
                seq: state.next_seq - 1,
                declarable: state.declarable,
            }
        };
        self.wake.notify_one();
        self.hurry.notify_waiters();
        ticket
    }
}

impl Ticket<'_> {
    fn is_due(&self, state: &State) -> bool {
        let settled = state.settled_through() >= self.seq && state.declared >= self.declarable;
        settled || self.buffer.is_stopped()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.buffer.flushes.fetch_sub(1, Relaxed);
    }
}
