//! The bounded buffer between the program's threads and the shipper.
//!
//! Promises: a push never blocks for longer than a copy; buffered and in-flight records together never exceed the
//! configured bytes; mild levels are refused before severe ones; every refused record is counted; numbers are contiguous
//! over the accepted ones. The shipper is woken when a batch is full, on an error and on a flush, never for each event.
//! Knows nothing of Redis or JSON.
//!
//! Invariants, all under one mutex:
//! - `next_seq - 1` records were accepted; each is in `full`, in `open`, in flight, or settled.
//! - A chunk's records have the numbers from `first_seq` on, without a gap; chunks are taken in order.
//! - `used` is the cost of everything that is not settled.

mod flush;

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tracing_core::{Level, Metadata};

use crate::dropped::{DropReason, Dropped, Tally};
use crate::stats::{FlushReport, Stats};

/// What a record costs besides its body: its head here, its number, time and call-site in the batch, and a share of the
/// batch's dictionary.
const RECORD_OVERHEAD: usize = 128;

/// What bounds the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) buffer_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) batch_records: usize,
}

/// What is known of a record besides its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) time: SystemTime,
    /// Static, so the program's thread copies a pointer and the shipper writes the names once for each batch.
    pub(crate) metadata: &'static Metadata<'static>,
    /// How much of the body, from its start, is a call-site of its own; 0 if `metadata` is the call-site.
    pub(crate) site_bytes: u32,
    /// Where the body ends among the chunk's bytes.
    pub(crate) end: u32,
}

impl Head {
    pub(crate) fn new(time: SystemTime, metadata: &'static Metadata<'static>, site_bytes: usize) -> Head {
        Head {
            time,
            metadata,
            site_bytes: u32::try_from(site_bytes).expect("a record is far below 4 GiB"),
            end: 0,
        }
    }
}

/// Consecutive records, enough for one batch.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) first_seq: u64,
    pub(crate) heads: Vec<Head>,
    /// The bodies, back to back.
    pub(crate) bytes: Vec<u8>,
}

impl Chunk {
    pub(crate) fn cost(&self) -> usize {
        self.bytes.len() + self.heads.len() * RECORD_OVERHEAD
    }
}

/// Shared by the layer, the shipper and the guard.
#[derive(Debug)]
pub(crate) struct Buffer {
    limits: Limits,
    state: Mutex<State>,
    /// Bytes of everything unsettled. Changed under the lock only; read without it to refuse early.
    used: AtomicUsize,
    /// Tells threads and futures that wait that a batch is settled.
    settled: Condvar,
    settled_async: Notify,
    /// How many of them there are.
    flushes: AtomicUsize,
    /// Calls the shipper.
    pub(crate) wake: Notify,
    /// Ends the pauses before a resend.
    pub(crate) hurry: Notify,
    /// Whether `closed` has a reason; read without the lock to refuse early.
    closed: AtomicBool,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    next_seq: u64,
    open: Chunk,
    full: VecDeque<Chunk>,
    /// Memory of a chunk that was sealed.
    spare: Vec<u8>,
    /// First number of each batch that is not settled.
    in_flight: BTreeSet<u64>,
    /// Every record is refused, for this reason.
    closed: Option<DropReason>,
    /// To be declared to the server.
    undeclared: Tally,
    /// Records ever put into `undeclared`, and those of them whose declaration the server has.
    declarable: u64,
    declared: u64,
    /// The open chunk must go as well.
    urgent: bool,
    /// The shipper was called and has not come yet.
    called: bool,
    /// The shipper sleeps until it is called.
    dozing: bool,
    stats: Stats,
}

impl Buffer {
    pub(crate) fn new(limits: Limits) -> Buffer {
        let state = State {
            next_seq: 1,
            ..State::default()
        };
        Buffer {
            limits,
            state: Mutex::new(state),
            used: AtomicUsize::new(0),
            settled: Condvar::new(),
            settled_async: Notify::new(),
            flushes: AtomicUsize::new(0),
            wake: Notify::new(),
            hurry: Notify::new(),
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether a record of this level is certain to be refused. Takes no lock.
    pub(crate) fn refuses(&self, level: Level) -> bool {
        self.closed.load(Relaxed) || self.used.load(Relaxed) >= self.room(level)
    }

    /// Accepts a record, or counts it as refused.
    pub(crate) fn push(&self, mut head: Head, body: &[u8]) {
        let level = *head.metadata.level();
        let cost = body.len() + RECORD_OVERHEAD;
        let mut state = self.lock();
        if state.closed.is_some() || self.used.load(Relaxed) + cost > self.room(level) {
            drop(state);
            return self.refuse(level, DropReason::Full, head.time);
        }
        let crossed = self.make_room(&mut state, cost);
        if state.open.heads.is_empty() {
            state.open.first_seq = state.next_seq;
            // At once, so that the memory never doubles under the lock, and is no more than the bound says.
            let missing = self.limits.batch_bytes.max(body.len());
            state.open.bytes.reserve_exact(missing);
        }
        state.next_seq += 1;
        state.stats.accepted += 1;
        state.open.bytes.extend_from_slice(body);
        head.end = u32::try_from(state.open.bytes.len()).expect("a chunk is far below 4 GiB");
        state.open.heads.push(head);
        self.used.fetch_add(cost, Relaxed);
        let error = level == Level::ERROR;
        state.urgent |= error;
        let call = state.call_if(crossed || error);
        drop(state);
        self.call(call);
    }

    /// Counts a record that is not accepted. A closed buffer has its own reason.
    pub(crate) fn refuse(&self, level: Level, reason: DropReason, time: SystemTime) {
        let mut state = self.lock();
        let reason = state.closed.unwrap_or(reason);
        let call = state.count(&Dropped::one(level, reason, time));
        drop(state);
        self.call(call);
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self, reason: DropReason) {
        self.lock().closed.get_or_insert(reason);
        self.closed.store(true, Relaxed);
    }

    /// Ends the shipper and everybody who waits.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Relaxed);
        self.wake.notify_one();
        // Whoever has just asked is waiting by then.
        drop(self.lock());
        self.tell();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    pub(crate) fn report(&self) -> FlushReport {
        self.lock().report()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.lock().stats.clone();
        stats.buffered_bytes = self.used.load(Relaxed);
        stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in a critical section can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, wanted: bool) {
        if wanted {
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

    /// Closes the open chunk if `cost` more would be too much for a batch. Returns whether it was closed.
    fn make_room(&self, state: &mut State, cost: usize) -> bool {
        let full = state.open.heads.len() >= self.limits.batch_records
            || state.open.cost() + cost > self.limits.batch_bytes;
        if !full || state.open.heads.is_empty() {
            return false;
        }
        let mut closed = state.swap();
        if !state.full.is_empty() {
            // The shipper is behind: what waits must hold no more memory than it is counted for.
            closed.bytes.shrink_to_fit();
            closed.heads.shrink_to_fit();
        }
        state.full.push_back(closed);
        true
    }
}

/// What the shipper does.
impl Buffer {
    /// Takes the oldest batch's worth of records: a full one, or what there is if that is `due` or urgent. From now on
    /// it is in flight, until [`Buffer::settle`].
    pub(crate) fn take(&self, due: bool) -> Option<Chunk> {
        let mut state = self.lock();
        state.called = false;
        state.dozing = false;
        let chunk = match state.full.pop_front() {
            Some(chunk) => chunk,
            None if !(due || state.urgent) => return None,
            None => {
                state.urgent = false;
                if state.open.heads.is_empty() {
                    return None;
                }
                state.swap()
            }
        };
        state.in_flight.insert(chunk.first_seq);
        Some(chunk)
    }

    /// Gives back a chunk's memory.
    pub(crate) fn recycle(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() <= self.limits.batch_bytes {
            self.lock().spare = bytes;
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
        self.used.fetch_sub(cost, Relaxed);
    }

    /// Records of an earlier run were stored.
    pub(crate) fn count_adopted(&self, records: u64) {
        self.lock().stats.adopted += records;
    }

    /// Whether so much is buffered that what comes next should go to disk, if there is one: well before anything is
    /// refused.
    pub(crate) fn is_filling(&self) -> bool {
        self.used.load(Relaxed) >= self.limits.buffer_bytes / 8 * 3
    }

    /// What must be declared in the next batch.
    pub(crate) fn take_undeclared(&self) -> Tally {
        mem::take(&mut self.lock().undeclared)
    }

    pub(crate) fn has_undeclared(&self) -> bool {
        !self.lock().undeclared.lines().is_empty()
    }

    /// The batch that carried a declaration was refused.
    pub(crate) fn declare_again(&self, tally: &Tally) {
        let mut state = self.lock();
        for dropped in tally.lines() {
            state.undeclared.add(dropped);
        }
    }

    /// A batch was split: its second half has its own life from here on.
    pub(crate) fn split(&self, second_seq: u64) {
        self.lock().in_flight.insert(second_seq);
    }

    /// A batch's records are stored, or given up and counted.
    pub(crate) fn settle(&self, settled: Settled<'_>) {
        let mut state = self.lock();
        for first_seq in settled.first_seqs {
            state.in_flight.remove(first_seq);
        }
        state.stats.stored += settled.stored;
        state.stats.spooled -= settled.spooled;
        state.declared += settled.declared;
        self.used.fetch_sub(settled.cost, Relaxed);
        drop(state);
        self.tell();
    }

    /// Whether the shipper may sleep until it is called: there is nothing to do.
    pub(crate) fn doze(&self) -> bool {
        let mut state = self.lock();
        let idle = state.full.is_empty()
            && state.open.heads.is_empty()
            && state.undeclared.lines().is_empty()
            && !state.called;
        state.dozing = idle;
        idle
    }

    pub(crate) fn count_resend(&self) {
        self.lock().stats.resent += 1;
    }

    pub(crate) fn note_error(&self, error: String) {
        self.lock().stats.last_error = Some(error);
    }
}

/// The end of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled<'a> {
    /// Of each chunk that went into it.
    pub(crate) first_seqs: &'a [u64],
    /// Records the server has.
    pub(crate) stored: u64,
    /// Records that were counted as spooled.
    pub(crate) spooled: u64,
    /// Dropped records whose declaration the server has.
    pub(crate) declared: u64,
    pub(crate) cost: usize,
}

impl State {
    fn swap(&mut self) -> Chunk {
        let fresh = Chunk {
            bytes: mem::take(&mut self.spare),
            ..Chunk::default()
        };
        mem::replace(&mut self.open, fresh)
    }

    /// Returns whether the shipper must be called.
    fn count(&mut self, dropped: &Dropped) -> bool {
        self.stats.dropped.add(dropped);
        match dropped.reason {
            // There is nobody left to tell, or never was.
            DropReason::AfterShutdown | DropReason::Misconfigured => false,
            DropReason::Full
            | DropReason::Recursion
            | DropReason::Panicked
            | DropReason::RateLimited
            | DropReason::RejectedByServer
            | DropReason::SpoolDamaged => {
                self.undeclared.add(dropped);
                self.declarable += dropped.count;
                self.call_if(false)
            }
        }
    }

    /// Once for each round of the shipper, however many ask.
    fn call_if(&mut self, wanted: bool) -> bool {
        let call = (wanted || self.dozing) && !self.called;
        // Whoever was asleep has waited long enough for the first record.
        self.urgent |= self.dozing;
        self.called |= call;
        call
    }

    /// Every record up to this number is settled.
    fn settled_through(&self) -> u64 {
        let buffered = self.full.front().unwrap_or(&self.open);
        let first_buffered = if buffered.heads.is_empty() {
            self.next_seq
        } else {
            buffered.first_seq
        };
        self.in_flight
            .first()
            .map_or(first_buffered, |first| first_buffered.min(*first))
            - 1
    }

    fn report(&self) -> FlushReport {
        FlushReport {
            stored: self.stats.stored,
            spooled: self.stats.spooled,
            still_buffered: self.stats.accepted
                - self.stats.stored
                - self.stats.given_up
                - self.stats.spooled,
            dropped: self.stats.dropped.total(),
        }
    }
}
