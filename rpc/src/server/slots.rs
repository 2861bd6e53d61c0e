//! The numbers of a worker's slots. A slot holds the request of one running handler, so there are as many free
//! numbers as handlers may still start.
//!
//! Promise: a number that was named in a failed command is never used again, because that command may still be
//! carried out when nobody expects it. A fresh number takes its place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use super::fetch::{AHEAD, TAKES};
use crate::connection::BLOCK;

/// How long after the loss of its connection the takes that were sent on it may still move requests: one waits long,
/// the others as long as they were told to, and Redis looks at the time ten times a second.
pub(super) const GHOST: Duration = BLOCK
    .saturating_add(AHEAD.saturating_mul(TAKES - 1))
    .saturating_add(Duration::from_secs(1));

pub(super) struct Slots {
    /// How many handlers may run at once.
    pub(super) count: usize,
    /// Told whenever a slot is retired.
    pub(super) some_retired: Notify,
    free: mpsc::UnboundedSender<u64>,
    /// Where the fetcher finds free numbers; it takes this away once.
    taker: Mutex<Option<mpsc::UnboundedReceiver<u64>>>,
    next: AtomicU64,
    /// Every slot that may hold a request.
    occupied: Mutex<BTreeMap<u64, Use>>,
}

/// What a slot is occupied by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A take that was not answered yet.
    Take,
    Request,
    /// Nobody, since then; but it may fill.
    Nobody {
        since: Instant,
    },
}

/// Whether a number may be used again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Again,
    Never,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let (free, taker) = mpsc::unbounded_channel();
        let taker = Mutex::new(Some(taker));
        let slots = Self {
            count,
            some_retired: Notify::new(),
            free,
            taker,
            next: AtomicU64::new(0),
            occupied: Mutex::default(),
        };
        for _ in 0..count {
            slots.add_fresh();
        }
        slots
    }

    /// The free numbers, for the one loop that uses them.
    pub(super) fn take_free(&self) -> mpsc::UnboundedReceiver<u64> {
        let mut taker = self.taker.lock().unwrap_or_else(PoisonError::into_inner);
        taker.take().expect("one server has one fetch loop")
    }

    /// Must be called before Redis is asked to fill the slot.
    pub(super) fn occupy(&self, slot: u64) {
        self.occupied().insert(slot, Use::Take);
    }

    /// Redis has put requests into these.
    pub(super) fn filled(&self, slots: impl Iterator<Item = u64>) {
        let mut occupied = self.occupied();
        occupied.extend(slots.map(|slot| (slot, Use::Request)));
    }

    /// The slot is empty.
    pub(super) fn release(&self, slot: u64, reuse: Reuse) {
        self.occupied().remove(&slot);
        match reuse {
            Reuse::Again => self.offer(slot),
            Reuse::Never => self.add_fresh(),
        }
    }

    /// A command that names the slot failed, so it may fill at any moment and nobody would know.
    pub(super) fn retire(&self, slot: u64) {
        let since = Instant::now();
        self.occupied().insert(slot, Use::Nobody { since });
        self.some_retired.notify_one();
        self.add_fresh();
    }

    /// The slots to be emptied because nobody uses them.
    pub(super) fn retired(&self) -> Vec<u64> {
        self.occupied()
            .iter()
            .filter(|(_, used)| matches!(used, Use::Nobody { .. }))
            .map(|(slot, _)| *slot)
            .collect()
    }

    /// How many slots hold a request that is being answered.
    pub(super) fn in_flight(&self) -> usize {
        let occupied = self.occupied();
        occupied.values().filter(|used| **used == Use::Request).count()
    }

    /// Whether more than one request is being answered.
    pub(super) fn several_in_flight(&self) -> bool {
        let occupied = self.occupied();
        let mut in_flight = occupied.values().filter(|used| **used == Use::Request);
        in_flight.nth(1).is_some()
    }

    /// The slots that may hold a request.
    pub(super) fn all_occupied(&self) -> Vec<u64> {
        self.occupied().keys().copied().collect()
    }

    /// These slots were seen empty at `now`; those that nothing can fill any more are forgotten.
    pub(super) fn seen_empty(&self, slots: &[u64], now: Instant) {
        let mut occupied = self.occupied();
        for slot in slots {
            let ghost = |used: &Use| matches!(used, Use::Nobody { since } if now < *since + GHOST);
            if !occupied.get(slot).is_some_and(ghost) {
                occupied.remove(slot);
            }
        }
    }

    fn add_fresh(&self) {
        self.offer(self.next.fetch_add(1, Ordering::Relaxed));
    }

    fn offer(&self, slot: u64) {
        // An error means that the fetcher has ended and needs no more slots.
        let _ = self.free.send(slot);
    }

    fn occupied(&self) -> MutexGuard<'_, BTreeMap<u64, Use>> {
        self.occupied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_only_if_nothing_failed() {
        let slots = Slots::new(2);
        let mut free = slots.take_free();
        let mut next = || {
            let slot = free.try_recv().unwrap();
            slots.occupy(slot);
            slot
        };
        assert_eq!((next(), next()), (0, 1));
        slots.release(0, Reuse::Again);
        assert_eq!(next(), 0);
        slots.release(0, Reuse::Never);
        assert_eq!(next(), 2);
        slots.retire(1);
        assert_eq!(next(), 3);
        assert!(free.try_recv().is_err());
    }

    #[test]
    fn a_slot_is_in_flight_only_while_it_holds_a_request() {
        let slots = Slots::new(3);
        (0..3).for_each(|slot| slots.occupy(slot));
        assert_eq!(slots.in_flight(), 0);
        slots.filled([0, 1].into_iter());
        assert_eq!(slots.in_flight(), 2);
        slots.release(0, Reuse::Again);
        slots.retire(1);
        assert_eq!(slots.in_flight(), 0);
    }

    #[test]
    fn a_retired_slot_is_kept_until_no_ghost_can_fill_it() {
        let slots = Slots::new(1);
        slots.occupy(0);
        slots.retire(0);
        slots.seen_empty(&[0], Instant::now());
        assert_eq!(slots.retired(), [0]);
        slots.seen_empty(&[0], Instant::now() + GHOST);
        assert!(slots.all_occupied().is_empty());
    }
}
