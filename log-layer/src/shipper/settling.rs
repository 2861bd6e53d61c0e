//! What becomes of a batch that comes back from the window: stored, split, or given up.
//!
//! Promises: every record of it is accounted for, at the buffer and on disk, before the next batch is looked at.

use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::time::Instant;

use super::{AFTER_TROUBLE, Cargo, PANICS, Shipper};
use crate::batch::{Batch, Claim};
use crate::buffer::Settled;
use crate::carrier::{Asked, Verdict};
use crate::dropped::{DropReason, Tally};
use crate::spooler::Run;

impl Shipper {
    pub(super) fn settle(&mut self, cargo: Cargo, verdict: Option<Verdict>) {
        self.last_news = Instant::now();
        if verdict.is_none() && cargo.panics < PANICS {
            return self.send(cargo);
        }
        let Cargo { batch, run, .. } = cargo;
        let batch = self.landed(batch, run);
        match verdict {
            Some(Verdict::Stored { rejected, asked }) => self.stored(&batch, run, &rejected, asked),
            Some(Verdict::TooLarge) => self.split(batch, run),
            Some(Verdict::Rejected) => self.give_up(&batch, run, DropReason::RejectedByServer),
            None => self.give_up(&batch, run, DropReason::Panicked),
        }
    }

    fn stored(&mut self, batch: &Batch, run: Run, rejected: &BTreeSet<usize>, asked: Asked) {
        // First, so that whoever waits for these records finds it done.
        self.obey(asked);
        let lost = if rejected.is_empty() {
            Tally::default()
        } else {
            batch.losses(|index| rejected.contains(&index))
        };
        let stored = u64::from(batch.records) - lost.total();
        for dropped in lost.because(DropReason::RejectedByServer) {
            match run {
                Run::Own => self.buffer.give_up(&dropped),
                Run::Earlier(_) => self.buffer.give_up_for_another(&dropped),
            }
        }
        if let Some(spooler) = &mut self.spooler {
            spooler.done(run, batch.no);
        }
        match run {
            Run::Own => self.finish(&batch.claim, stored, batch.claim.declared.total()),
            Run::Earlier(_) => self.buffer.count_adopted(stored),
        }
    }

    fn split(&mut self, batch: Batch, run: Run) {
        let no = batch.no;
        match batch.split() {
            Ok((first, second)) => {
                if let Some(spooler) = &mut self.spooler {
                    spooler.replace(run, no, [&first, &second]);
                }
                self.ready.push_front((second, run));
                self.ready.push_front((first, run));
            }
            Err(batch) => self.give_up(&batch, run, DropReason::RejectedByServer),
        }
    }

    fn give_up(&mut self, batch: &Batch, run: Run, reason: DropReason) {
        if let Some(spooler) = &mut self.spooler {
            spooler.quarantine(run, batch);
        }
        match run {
            Run::Own => self.lose(&batch.claim, &batch.claim.content, reason),
            Run::Earlier(_) => {
                for dropped in batch.losses(|_| true).because(reason) {
                    self.buffer.give_up_for_another(&dropped);
                }
            }
        }
        self.declare_from = Instant::now() + AFTER_TROUBLE;
    }

    /// A batch of this run will never arrive.
    pub(super) fn lose(&self, claim: &Claim, content: &Tally, reason: DropReason) {
        for dropped in content.because(reason) {
            self.buffer.give_up(&dropped);
        }
        self.buffer.declare_again(&claim.declared);
        self.finish(claim, 0, 0);
    }

    /// The batch as it was before it took its place in the window.
    fn landed(&mut self, batch: Rc<Batch>, run: Run) -> Batch {
        let claim = match run {
            Run::Own => self.flying.remove(&batch.no).map(|(_, claim)| claim),
            Run::Earlier(_) => None,
        };
        Batch {
            claim: claim.unwrap_or_default(),
            ..Rc::into_inner(batch).expect("its place in the window and the list of those in it have let go")
        }
    }

    pub(super) fn finish(&self, claim: &Claim, stored: u64, declared: u64) {
        self.buffer.settle(Settled {
            seqs: &claim.seqs,
            stored,
            spooled: claim.spooled,
            declared,
            cost: claim.cost,
        });
    }

    fn obey(&mut self, asked: Asked) {
        let now = Instant::now();
        self.throttled_until = now + asked.pause;
        self.ask_from = now + self.ask_after;
        if let Some(levels) = &self.levels {
            levels.set_server(asked.level);
        }
    }
}
