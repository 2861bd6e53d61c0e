//! What the shipper does with the buffer.

use std::mem;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{Buffer, Chunk, State};
use crate::dropped::{Dropped, Tally};
use crate::ranges::Ranges;
use crate::sync::MutexGuard;

/// The end of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled<'a> {
    /// The numbers of its records.
    pub(crate) seqs: &'a Ranges,
    /// Records the server has.
    pub(crate) stored: u64,
    /// Records that were counted as spooled.
    pub(crate) spooled: u64,
    /// Dropped records whose declaration the server has.
    pub(crate) declared: u64,
    pub(crate) cost: usize,
}

impl Buffer {
    /// Takes the oldest batch's worth of records: a full one, or what there is if that is `due` or urgent. From now on
    /// it is in flight, until [`Buffer::settle`].
    pub(crate) fn take(&self, due: bool) -> Option<Chunk> {
        // First, so that whoever comes after the look at the shards calls again.
        self.called.swap(false, AcqRel);
        self.dozing.store(false, Relaxed);
        let everything = self.urgent.swap(false, Relaxed) || due;
        if everything {
            self.gather();
        }
        let mut state = self.lock();
        if everything {
            state.due_through = state.next_seq - 1;
        }
        let first = state.waiting.front()?.first_seq;
        if first > state.due_through && !state.is_full(&self.limits) {
            return None;
        }
        Some(self.copy_out(state))
    }

    /// Takes a full batch if there is one, and heeds no urgency: it cannot go yet.
    pub(crate) fn take_full(&self) -> Option<Chunk> {
        let state = self.lock();
        if !state.is_full(&self.limits) {
            return None;
        }
        self.called.store(false, Release);
        Some(self.copy_out(state))
    }

    /// The program's threads get the memory back that they have written to: to begin with fresh memory costs more than
    /// a hundred records.
    fn copy_out(&self, mut state: MutexGuard<'_, State>) -> Chunk {
        let segments = state.next_segments(&self.limits);
        let bytes = mem::take(&mut state.spare_bytes);
        // Known to be in flight before anybody else can look.
        for segment in &segments {
            state.in_flight.insert(segment.seqs());
        }
        drop(state);
        let chunk = Chunk::new(bytes, &segments, self.limits.record_bytes);
        let mut state = self.lock();
        segments.into_iter().for_each(|segment| state.keep(segment));
        chunk
    }

    /// Gives back a chunk's memory.
    pub(crate) fn recycle(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() <= self.limits.batch_bytes {
            self.lock().spare_bytes = bytes;
        }
    }

    /// Counts accepted records that will not be delivered after all.
    pub(crate) fn give_up(&self, dropped: &Dropped) {
        let mut state = self.lock();
        state.stats.given_up += dropped.count;
        state.count(dropped);
    }

    /// Counts records of an earlier run that will not be delivered after all; its own counts are gone with it.
    pub(crate) fn give_up_for_another(&self, dropped: &Dropped) {
        self.lock().count(dropped);
    }

    /// Records went to disk, which takes them off the buffer's bytes; they are settled later.
    pub(crate) fn spool(&self, records: u64, cost: usize) {
        self.lock().stats.spooled += records;
        self.reserved.release(cost);
    }

    /// Records of an earlier run were stored.
    pub(crate) fn count_adopted(&self, records: u64) {
        self.lock().stats.adopted += records;
    }

    /// Whether so much is buffered that what comes next should go to disk, if there is one: well before anything is
    /// refused.
    pub(crate) fn is_filling(&self) -> bool {
        self.reserved.used() >= self.limits.buffer_bytes / 8 * 3
    }

    /// What must be declared in the next batch.
    pub(crate) fn take_undeclared(&self) -> Tally {
        self.gather();
        mem::take(&mut self.lock().undeclared)
    }

    pub(crate) fn has_undeclared(&self) -> bool {
        let refused = |shard: &super::Shard| !shard.lock().refused.is_empty();
        self.shards.iter().any(refused) || !self.lock().undeclared.lines().is_empty()
    }

    /// The batch that carried a declaration was refused.
    pub(crate) fn declare_again(&self, tally: &Tally) {
        let mut state = self.lock();
        for dropped in tally.lines() {
            state.undeclared.add(dropped);
        }
    }

    /// A batch's records are stored, or given up and counted.
    pub(crate) fn settle(&self, settled: Settled<'_>) {
        let mut state = self.lock();
        for seqs in settled.seqs.iter() {
            state.in_flight.remove(seqs);
        }
        state.stats.stored += settled.stored;
        state.stats.spooled -= settled.spooled;
        state.declared += settled.declared;
        self.reserved.release(settled.cost);
        drop(state);
        self.tell();
    }

    /// Whether the shipper may sleep until it is called: there is nothing to do.
    pub(crate) fn doze(&self) -> bool {
        // First: a record that comes after the look at its place finds it.
        self.dozing.store(true, Relaxed);
        let busy = self.called.load(Acquire)
            || self.shards.iter().any(|shard| {
                let place = shard.lock();
                !(place.open.heads.is_empty() && place.refused.is_empty())
            })
            || {
                let state = self.lock();
                !(state.waiting.is_empty() && state.undeclared.lines().is_empty())
            };
        if busy {
            self.dozing.store(false, Relaxed);
        }
        !busy
    }

    pub(crate) fn count_resend(&self) {
        self.lock().stats.resent += 1;
    }

    pub(crate) fn note_error(&self, error: String) {
        self.lock().stats.last_error = Some(error);
    }
}
