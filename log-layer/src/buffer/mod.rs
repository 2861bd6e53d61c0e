//! The bounded buffer between the program's threads and the shipper.
//!
//! Promises: a push never blocks for longer than a copy; buffered and in-flight records together never exceed the
//! configured bytes; mild levels are refused before severe ones; every refused record is counted; numbers are contiguous
//! over the accepted ones. The shipper is woken when a batch is full, on an error and on a flush, never for each event.
//! Knows nothing of Redis or JSON.
//!
//! A thread leaves its records in the open segment of its shard. A full segment is handed over to where all wait for the
//! shipper, and gets its numbers there; so do the open ones when the shipper gathers, and before anybody reads the counts.
//!
//! Why not a bounded queue of boxed bytes: `benches/hand_over.rs` has both do the same. On two processors, with 1, 4, 16 and
//! 64 threads, the slowest of a thousand calls took 5.6, 4.6, 6.0 and 49 µs here and 8.4, 5.0, 5.5 and 45 there when they
//! were a millisecond apart, 3.3, 4.2, 6.8 and 2.8 here and 5.5, 5.1, 4.7 and 20 there in bursts; the usual one is
//! shorter here, 410 against 581 ns with one thread that calls each millisecond, and without an allocation that another
//! thread frees.
//!
//! Threads write to memory that was written to before: the shipper copies full segments away, also while it can send
//! nothing, and gives them back. To begin with a fresh page costs a thread some ten microseconds.
//!
//! Invariants:
//! - A shard's segments are handed over in order, under its lock, so the records of one thread are numbered in order.
//! - `next_seq - 1` records were handed over; each is waiting, in flight, or settled.
//! - What is reserved is the cost of everything that is not settled, and what the open segments have set aside.
//! - Whoever holds the lock of a shard may take that of the state, never the other way round.

mod segment;
mod shard;
mod state;
mod take;
mod flush;

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::SystemTime;

use tracing_core::{Level, Metadata};

use crate::dropped::DropReason;
use crate::stats::{FlushReport, Stats};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Notify, PoisonError};
use crate::sync::{places, thread_number};
use segment::Segment;
pub(crate) use segment::{Chunk, Head};
use shard::{Budget, Place, Shard};
use state::State;
pub(crate) use take::Settled;

/// Handed over at once, so that the lock of the state is taken seldom; more would only lie half empty.
const SEGMENT_BYTES: usize = 32 << 10;

/// What a short record counts for; most are longer.
const USUAL_COST: usize = 256;

/// What bounds the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) buffer_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) batch_records: usize,
    /// How much JSON one record may be.
    pub(crate) record_bytes: usize,
}

/// Shared by the layer, the shipper and the guard.
#[derive(Debug)]
pub(crate) struct Buffer {
    limits: Limits,
    segment_bytes: usize,
    shards: Box<[Shard]>,
    state: Mutex<State>,
    reserved: Budget,
    /// Tells threads and futures that wait that a batch is settled.
    settled: Condvar,
    settled_async: Notify,
    /// How many of them there are.
    flushes: AtomicUsize,
    /// Calls the shipper.
    pub(crate) wake: Notify,
    /// Ends the pauses before a resend.
    pub(crate) hurry: Notify,
    /// The shipper was called and has not come yet.
    called: AtomicBool,
    /// The shipper sleeps until it is called.
    dozing: AtomicBool,
    /// What is open must go as well.
    urgent: AtomicBool,
    /// Whether the state has a reason to refuse everything.
    closed: AtomicBool,
    stopped: AtomicBool,
}

impl Buffer {
    pub(crate) fn new(limits: Limits) -> Buffer {
        let shards = places();
        Buffer {
            limits,
            // All of them together are a small part of the bound.
            segment_bytes: (limits.buffer_bytes / 16 / shards)
                .min(limits.batch_bytes)
                .min(SEGMENT_BYTES),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            state: Mutex::new(State::default()),
            reserved: Budget::default(),
            settled: Condvar::new(),
            settled_async: Notify::new(),
            flushes: AtomicUsize::new(0),
            wake: Notify::new(),
            hurry: Notify::new(),
            called: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether a record of this level is certain to be refused. Takes no lock.
    pub(crate) fn refuses(&self, level: Level) -> bool {
        self.closed.load(Relaxed) || self.reserved.used() >= self.room(level)
    }

    /// Accepts a record, or counts it as refused.
    pub(crate) fn push(&self, mut head: Head, body: &[u8]) {
        let level = *head.metadata.level();
        let cost = head.weigh(body);
        let mut place = self.shard().lock();
        // The one who closes looks at every place afterwards, so a record that gets past this is still taken along.
        let room = if self.closed.load(Relaxed) {
            None
        } else if place.open.fits(cost, self.limits.batch_records) {
            Some(false)
        } else {
            self.renew(&mut place.open, cost, self.room(level))
        };
        let Some(is_full) = room else {
            self.refuse_at(&mut place, head.metadata, DropReason::Full, head.time);
            drop(place);
            return self.call_if(false);
        };
        place.open.push(head, body, cost);
        let is_error = level == Level::ERROR;
        if is_error {
            self.urgent.store(true, Relaxed);
        }
        drop(place);
        self.call_if(is_full || is_error);
    }

    /// Counts a record that is not accepted. A closed buffer has its own reason.
    pub(crate) fn refuse(&self, metadata: &'static Metadata<'static>, reason: DropReason, time: SystemTime) {
        self.refuse_at(&mut self.shard().lock(), metadata, reason, time);
        self.call_if(false);
    }

    fn refuse_at(
        &self,
        place: &mut Place,
        metadata: &'static Metadata<'static>,
        reason: DropReason,
        time: SystemTime,
    ) {
        let reason = if self.closed.load(Relaxed) {
            self.lock().closed.unwrap_or(reason)
        } else {
            reason
        };
        place.refused.add(metadata, reason, time);
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self, reason: DropReason) {
        self.lock().closed.get_or_insert(reason);
        self.closed.store(true, Release);
    }

    /// Ends the shipper and everybody who waits.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Release);
        self.wake.notify_one();
        // Whoever has just asked is waiting by then.
        drop(self.lock());
        self.tell();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    pub(crate) fn report(&self) -> FlushReport {
        self.gather();
        self.lock().report()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.gather();
        let mut stats = self.lock().stats.clone();
        stats.buffered_bytes = self.reserved.used();
        stats
    }

    fn shard(&self) -> &Shard {
        &self.shards[thread_number() & (self.shards.len() - 1)]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in a critical section can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the shipper if that is wanted or it sleeps; once for each of its rounds, however many ask.
    fn call_if(&self, wanted: bool) {
        let dozing = self.dozing.load(Relaxed);
        if dozing {
            // Whoever was asleep has waited long enough for the first record.
            self.urgent.store(true, Relaxed);
        }
        if (wanted || dozing) && !self.called.swap(true, AcqRel) {
            self.wake.notify_one();
        }
    }

    /// How far records of this level may fill the buffer. Refusing the mild ones early keeps room for the cause of
    /// whatever goes wrong.
    fn room(&self, level: Level) -> usize {
        let all = self.limits.buffer_bytes;
        match level {
            Level::TRACE | Level::DEBUG => all / 2,
            Level::INFO => all / 5 * 4,
            Level::WARN | Level::ERROR => all,
        }
    }

    /// Hands over the open segment and opens another with room for a record of that cost. Returns whether a batch is full
    /// now; none if there is no room below `limit`.
    fn renew(&self, open: &mut Segment, cost: usize, limit: usize) -> Option<bool> {
        let reserved = self.reserved.reserve(self.segment_bytes, cost, limit)?;
        let mut state = self.lock();
        let before = std::mem::replace(open, state.spare());
        open.reserved = reserved;
        state.hand_over(before, &self.reserved);
        let is_full = state.is_full(&self.limits);
        drop(state);
        // At once, and no more than was set aside.
        open.bytes.reserve_exact(reserved);
        open.heads.reserve(reserved / USUAL_COST);
        Some(is_full)
    }

    /// Hands over what is open, and what was refused, at every place.
    fn gather(&self) {
        for shard in &self.shards {
            let mut place = shard.lock();
            if place.open.heads.is_empty() && place.refused.is_empty() {
                continue;
            }
            let mut state = self.lock();
            let fresh = state.spare();
            let open = std::mem::replace(&mut place.open, fresh);
            state.hand_over(open, &self.reserved);
            state.count_refused(&mut place.refused);
        }
    }
}
