//! Where threads leave their records: one of a few places, each with its own lock, so that threads rarely meet.
//!
//! A thread always uses the same place, so its records stay in order.

use std::sync::atomic::Ordering::Relaxed;

use super::segment::Segment;
use crate::dropped::Refusals;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, PoisonError};

/// One of the places.
#[derive(Debug, Default)]
pub(super) struct Shard(Mutex<Place>);

#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) open: Segment,
    /// Records that were not accepted here.
    pub(super) refused: Refusals,
}

impl Shard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Place> {
        // Nothing in a critical section can leave the place half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is set aside out of a bound.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn used(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Sets aside as much as is wanted, or what is needed if that is all there is below `limit`; none if it is not.
    pub(super) fn reserve(&self, wanted: usize, needed: usize, limit: usize) -> Option<usize> {
        for bytes in [wanted.max(needed), needed] {
            let below = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
            if self.0.fetch_update(Relaxed, Relaxed, below).is_ok() {
                return Some(bytes);
            }
        }
        None
    }

    pub(super) fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}
