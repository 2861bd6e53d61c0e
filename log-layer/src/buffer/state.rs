//! What all shards and the shipper share, behind one lock: the records that wait, and the books.

use std::collections::VecDeque;

use super::Limits;
use super::segment::Segment;
use super::shard::Budget;
use crate::dropped::{DropReason, Dropped, Refusals, Tally};
use crate::ranges::Ranges;
use crate::stats::{FlushReport, Stats};

/// Empty segments that are kept for later.
const SPARES: usize = 16;

#[derive(Debug)]
pub(super) struct State {
    pub(super) next_seq: u64,
    /// In order; what they have reserved is what they cost.
    pub(super) waiting: VecDeque<Segment>,
    waiting_bytes: usize,
    waiting_records: usize,
    /// What waits up to this number must go, however little it is.
    pub(super) due_through: u64,
    spares: Vec<Segment>,
    /// Memory of a chunk that was sealed.
    pub(super) spare_bytes: Vec<u8>,
    /// Records that were taken and are not settled.
    pub(super) in_flight: Ranges,
    /// Every record is refused, for this reason.
    pub(super) closed: Option<DropReason>,
    /// To be declared to the server.
    pub(super) undeclared: Tally,
    /// Records ever put into `undeclared`, and those of them whose declaration the server has.
    pub(super) declarable: u64,
    pub(super) declared: u64,
    pub(super) stats: Stats,
}

impl Default for State {
    fn default() -> State {
        State {
            next_seq: 1,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_records: 0,
            due_through: 0,
            spares: Vec::new(),
            spare_bytes: Vec::new(),
            in_flight: Ranges::default(),
            closed: None,
            undeclared: Tally::default(),
            declarable: 0,
            declared: 0,
            stats: Stats::default(),
        }
    }
}

impl State {
    /// An empty segment.
    pub(super) fn spare(&mut self) -> Segment {
        self.spares.pop().unwrap_or_default()
    }

    /// Takes a shard's records, numbers them, and gives back what was set aside for more.
    pub(super) fn hand_over(&mut self, mut segment: Segment, reserved: &Budget) {
        reserved.release(segment.reserved - segment.cost);
        segment.reserved = segment.cost;
        if segment.heads.is_empty() {
            return self.keep(segment);
        }
        segment.first_seq = self.next_seq;
        self.next_seq += segment.heads.len() as u64;
        self.stats.accepted += segment.heads.len() as u64;
        self.waiting_bytes += segment.cost;
        self.waiting_records += segment.heads.len();
        self.waiting.push_back(segment);
    }

    /// Whether more than a batch waits.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.waiting_bytes >= limits.batch_bytes || self.waiting_records >= limits.batch_records
    }

    /// Takes the oldest segments that fit into one batch.
    pub(super) fn next_segments(&mut self, limits: &Limits) -> Vec<Segment> {
        let (mut taken, mut cost, mut records) = (Vec::new(), 0, 0);
        while let Some(segment) = self.waiting.front() {
            cost += segment.cost;
            records += segment.heads.len();
            let fits = cost <= limits.batch_bytes && records <= limits.batch_records;
            if !fits && !taken.is_empty() {
                break;
            }
            self.waiting_bytes -= segment.cost;
            self.waiting_records -= segment.heads.len();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    /// Keeps the memory of segments that are empty or copied.
    pub(super) fn keep(&mut self, mut segment: Segment) {
        segment.clear();
        if self.spares.len() < SPARES && segment.bytes.capacity() <= super::SEGMENT_BYTES {
            self.spares.push(segment);
        }
    }

    /// Enters what was refused at one place into the books.
    pub(super) fn count_refused(&mut self, refused: &mut Refusals) {
        for dropped in refused.tally.lines() {
            self.count(dropped);
        }
        refused.tally = Tally::default();
        for (site, (metadata, count)) in refused.sites.drain() {
            self.stats.refused_at(site, metadata, count);
        }
    }

    pub(super) fn count(&mut self, dropped: &Dropped) {
        self.stats.dropped.add(dropped);
        match dropped.reason {
            // There is nobody left to tell, or never was.
            DropReason::AfterShutdown | DropReason::Misconfigured => {}
            DropReason::Full
            | DropReason::Recursion
            | DropReason::Panicked
            | DropReason::RateLimited
            | DropReason::RejectedByServer
            | DropReason::SpoolDamaged => {
                self.undeclared.add(dropped);
                self.declarable += dropped.count;
            }
        }
    }

    /// Every record up to this number is settled.
    pub(super) fn settled_through(&self) -> u64 {
        let waiting = self
            .waiting
            .front()
            .map_or(self.next_seq, |first| first.first_seq);
        let unsettled = self.in_flight.first().map_or(waiting, |first| waiting.min(first));
        unsettled - 1
    }

    pub(super) fn report(&self) -> FlushReport {
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
