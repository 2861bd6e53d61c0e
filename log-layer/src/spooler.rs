//! The spooler: what of the shipper's batches goes to disk, and what comes back from it.
//!
//! Promises: a batch that is parked is in the spool or stays with the shipper, never in neither; batches come back in
//! the order in which they were sealed, those of earlier runs first; an outage takes the same memory however long it is;
//! trouble with the disk is a pause and a line in the
//! [stats](crate::Stats), never an end. Knows the buffer's accounts and the [`spool`]'s files, and nothing
//! of Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Claim, Draft};
use crate::buffer::{Buffer, Settled};
use crate::dropped::DropReason;
use crate::notice;
use crate::spool::{self, Adoption, Kept, Spool, SpoolOrders};

/// How long a disk that failed, or a spool that is full, is left alone.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// What was spooled is safe from a power loss after this long.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How often to look whether another process of the service has died and left something.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Spooler {
    buffer: Arc<Buffer>,
    orders: SpoolOrders,
    service: String,
    own: Spool,
    /// What earlier runs left, numbered as they were found.
    earlier: BTreeMap<u32, Spool>,
    found: u32,
    /// Folders that were looked at.
    known: BTreeSet<PathBuf>,
    /// Of the batches that are on disk alone, those of each segment together.
    parked: BTreeMap<u64, Claim>,
    usable_from: Instant,
    sync_from: Instant,
    look_from: Instant,
}

/// Whose batch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Own,
    /// Of an earlier run, with its number among those.
    Earlier(u32),
}

impl Spooler {
    /// Takes a folder for this run.
    ///
    /// # Errors
    /// What makes the directory unusable.
    pub(crate) fn new(
        orders: SpoolOrders,
        service: &str,
        boot: &str,
        source: &str,
        buffer: Arc<Buffer>,
    ) -> io::Result<Spooler> {
        let own = spool::create(&orders, service, boot, source)?;
        let now = Instant::now();
        Ok(Spooler {
            buffer,
            orders,
            service: service.to_owned(),
            own,
            earlier: BTreeMap::new(),
            found: 0,
            known: BTreeSet::new(),
            parked: BTreeMap::new(),
            usable_from: now,
            sync_from: now,
            look_from: now,
        })
    }

    pub(crate) fn writes_ahead(&self) -> bool {
        self.orders.write_ahead
    }

    /// Keeps what was added to a batch that is not sealed yet.
    pub(crate) fn keep_part(&mut self, draft: &mut Draft) {
        if self.is_usable() {
            let kept = self.own.part(draft.no, &draft.unkept());
            self.note(kept);
        }
    }

    /// Keeps a batch that is in memory as well. Returns whether it is kept.
    pub(crate) fn keep(&mut self, batch: &Batch) -> bool {
        if !self.own.has(batch.no) {
            if !self.is_usable() {
                return false;
            }
            let kept = self.own.put(batch.no, batch.records, &batch.text);
            return self.note(kept);
        }
        true
    }

    /// Keeps a batch that is on its way, and takes it off the buffer's bytes. Returns whether it is kept.
    pub(crate) fn keep_flying(&mut self, batch: &Batch, claim: &mut Claim) -> bool {
        let kept = self.keep(batch);
        if kept && claim.spooled == 0 {
            claim.spooled = u64::from(batch.records);
            self.buffer.spool(claim.spooled, std::mem::take(&mut claim.cost));
        }
        kept
    }

    /// Keeps a batch on disk alone; gives it back if that fails.
    pub(crate) fn park(&mut self, batch: Batch) -> Option<Batch> {
        let mut claim = batch.claim.clone();
        if !self.keep_flying(&batch, &mut claim) {
            return Some(batch);
        }
        let segment = self.own.wait(batch.no);
        self.parked.entry(segment).or_default().add(&claim);
        None
    }

    /// Whether it makes sense to try: neither the disk nor the limit said no just now.
    pub(crate) fn is_usable(&self) -> bool {
        Instant::now() >= self.usable_from
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.own.has_waiting() || self.earlier.values().any(Spool::has_waiting)
    }

    /// The next batch that waits on disk.
    pub(crate) fn next(&mut self) -> Option<(Batch, Run)> {
        let earlier = self.earlier.keys().copied().map(Run::Earlier);
        let runs: Vec<Run> = earlier.chain([Run::Own]).collect();
        runs.into_iter()
            .find_map(|run| self.next_of(run).map(|batch| (batch, run)))
    }

    fn next_of(&mut self, run: Run) -> Option<Batch> {
        loop {
            let found = match self.spool(run)?.next() {
                Ok(found) => found?,
                Err(error) => {
                    self.note(Err(error));
                    return None;
                }
            };
            let batch = match (found.batch, run) {
                (Ok(Kept { no, records, text }), Run::Earlier(_)) => Some(Batch {
                    no,
                    text,
                    records,
                    claim: Claim::default(),
                }),
                (Ok(Kept { no, records, text }), Run::Own) => Batch::back(no, records, text),
                (Err(missing), Run::Earlier(_)) => {
                    let lost = format!(
                        "{} batches of an earlier run could not be read back from disk: {}",
                        missing.numbers.count(),
                        missing.error
                    );
                    notice::warn(&self.buffer, &lost);
                    None
                }
                (Err(missing), Run::Own) => {
                    self.note(Err(missing.error));
                    None
                }
            };
            if run == Run::Own {
                self.unpark(found.segment, found.is_last, batch.as_ref());
            }
            if batch.is_some() {
                return batch;
            }
        }
    }

    /// A batch came back; whatever is left of a segment when nothing waits there any more is lost.
    fn unpark(&mut self, segment: u64, is_last: bool, back: Option<&Batch>) {
        let parked = self.parked.entry(segment).or_default();
        if let Some(batch) = back {
            parked.remove(&batch.claim);
        }
        if !is_last {
            return;
        }
        let Claim {
            seqs,
            cost,
            declared,
            content,
            spooled,
        } = std::mem::take(parked);
        self.parked.remove(&segment);
        for dropped in content.because(DropReason::SpoolDamaged) {
            self.buffer.give_up(&dropped);
        }
        self.buffer.declare_again(&declared);
        self.buffer.settle(Settled {
            seqs: &seqs,
            stored: 0,
            spooled,
            declared: 0,
            cost,
        });
    }

    /// The batch is settled.
    pub(crate) fn done(&mut self, run: Run, no: u64) {
        let Some(spool) = self.spool(run) else { return };
        spool.done(no);
        if let Run::Earlier(number) = run
            && spool.is_empty()
            && let Some(earlier) = self.earlier.remove(&number)
        {
            earlier.close();
            self.share_limit();
        }
    }

    /// The batch was split into these two, which are in memory. Whatever a crash leaves of this, the next run splits
    /// into the same two.
    pub(crate) fn replace(&mut self, run: Run, no: u64, halves: [&Batch; 2]) {
        let Some(spool) = self.spool(run).filter(|spool| spool.has(no)) else {
            return;
        };
        let kept = halves
            .iter()
            .try_for_each(|half| spool.put(half.no, half.records, &half.text));
        if self.note(kept) {
            self.done(run, no);
        }
    }

    /// Puts aside a batch that the server refuses for good.
    pub(crate) fn quarantine(&mut self, run: Run, batch: &Batch) {
        if let Some(spool) = self.spool(run) {
            let kept = spool.quarantine(batch.no, &batch.text);
            self.note(kept.map(|_| ()));
        }
        self.done(run, batch.no);
    }

    /// None if nothing of that run is left.
    fn spool(&mut self, run: Run) -> Option<&mut Spool> {
        match run {
            Run::Own => Some(&mut self.own),
            Run::Earlier(number) => self.earlier.get_mut(&number),
        }
    }

    /// Looks for what processes of the service left that have ended, now and then.
    pub(crate) fn look(&mut self) {
        if Instant::now() < self.look_from {
            return;
        }
        self.look_from = Instant::now() + LOOK_EVERY;
        while let Some(found) = spool::adopt(&self.orders.directory, &self.service, &mut self.known) {
            match found {
                Ok(found) => self.adopt(found),
                Err(error) => {
                    self.note(Err(error));
                }
            }
        }
        self.share_limit();
    }

    /// Makes what was kept safe from a power loss, soon enough.
    pub(crate) fn sync(&mut self) {
        if Instant::now() >= self.sync_from {
            self.sync_from = Instant::now() + SYNC_EVERY;
            let synced = self.own.sync();
            self.note(synced);
        }
    }

    /// Keeps these for the next run, and leaves.
    pub(crate) fn close(mut self, rest: &[Batch]) {
        self.usable_from = Instant::now();
        for batch in rest {
            if self.keep(batch) && batch.claim.spooled == 0 {
                self.buffer.spool(u64::from(batch.records), batch.claim.cost);
            }
        }
        let synced = self.own.sync_now();
        self.note(synced);
        for spool in self.earlier.into_values().chain([self.own]) {
            spool.close();
        }
    }

    fn adopt(&mut self, found: Adoption) {
        let mut spool = found.spool;
        if found.damaged > 0 {
            let told = format!(
                "{} damaged bytes in what an earlier run left on disk; the files were put aside, and what could be read is delivered",
                found.damaged
            );
            notice::warn(&self.buffer, &told);
        }
        for (no, left) in found.unsealed {
            let batch = Batch::left(&found.source, no, left.records, &left.callsites, &left.list);
            if let Err(error) = spool.put(no, left.records, &batch.text) {
                self.known.remove(spool.folder());
                self.note(Err(error));
                return;
            }
            spool.wait(no);
        }
        if spool.is_empty() {
            return spool.close();
        }
        self.found += 1;
        self.earlier.insert(self.found, spool);
    }

    /// What earlier runs left counts too: a process that crashes again and again must not fill the disk.
    fn share_limit(&mut self) {
        let earlier: u64 = self.earlier.values().map(Spool::bytes).sum();
        self.own.limit(self.orders.bytes.saturating_sub(earlier));
    }

    /// Returns whether it went well; if not, the disk is left alone for a while.
    fn note(&mut self, outcome: io::Result<()>) -> bool {
        if let Err(error) = &outcome {
            self.usable_from = Instant::now() + AFTER_TROUBLE;
            self.buffer.note_error(format!("the spool: {error}"));
        }
        outcome.is_ok()
    }
}
