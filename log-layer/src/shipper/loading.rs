//! What the shipper sends next: what is fresh in the buffer, what is ready, and what is on disk.
//!
//! Promises: every chunk taken from the buffer is in a batch of the window, in `ready`, `aside` or the draft, on disk, or
//! counted as lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tokio::time::Instant;
use tracing_core::Level;

use super::{QUIET, Shipper, WINDOW};
use crate::batch::{Batch, Claim, Draft};
use crate::buffer::{Chunk, Head, Limits};
use crate::dropped::{DropReason, Dropped};
use crate::spooler::{Run, Spooler};

impl Shipper {
    pub(super) fn fill_window(&mut self, due: bool) {
        while self.window.len() < WINDOW
            && let Some((batch, run)) = self.next(due)
        {
            self.launch(batch, run);
        }
    }

    /// What is fresh and what is on disk take turns: neither may keep the other waiting for long.
    fn next(&mut self, due: bool) -> Option<(Batch, Run)> {
        self.spooled_next ^= true;
        if self.spooled_next {
            self.spooled().or_else(|| self.fresh(due))
        } else {
            self.fresh(due).or_else(|| self.spooled())
        }
    }

    fn spooled(&mut self) -> Option<(Batch, Run)> {
        self.spooler.as_mut()?.next()
    }

    fn fresh(&mut self, due: bool) -> Option<(Batch, Run)> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        if self.draft.is_some() {
            let now = Instant::now() >= self.seal_at || self.buffer.is_flushing();
            return self
                .draft
                .take_if(|_| now)
                .map(|draft| (self.seal(draft), Run::Own));
        }
        let chunk = self.aside.pop_front().or_else(|| self.buffer.take(due))?;
        let draft = self.sealer.draft();
        let draft = self.fill(draft, chunk)?;
        Some((self.seal(draft), Run::Own))
    }

    /// Takes what is full although it cannot go yet.
    pub(super) fn set_aside(&mut self) {
        if self.spooler.as_ref().is_some_and(Spooler::writes_ahead) {
            // It is in the draft, or goes there.
            return;
        }
        while let Some(chunk) = self.buffer.take_full() {
            self.aside.push_back(chunk);
        }
    }

    /// Adds a chunk to a batch; what panics is counted as lost, and none is left.
    pub(super) fn fill(&mut self, mut draft: Draft, chunk: Chunk) -> Option<Draft> {
        self.quiet_from = Instant::now();
        let before = draft.claim.clone();
        let filled = catch_unwind(AssertUnwindSafe(|| self.sealer.add(&mut draft, &chunk)));
        if filled.is_err() {
            for head in &chunk.heads {
                let lost = Dropped::one(*head.metadata.level(), DropReason::Panicked, head.time);
                self.buffer.give_up(&lost);
            }
            let chunk = Claim {
                seqs: chunk.seqs().into(),
                cost: chunk.cost(),
                ..Claim::default()
            };
            self.finish(&chunk, 0, 0);
            self.lose(&before, &before.content, DropReason::Panicked);
        }
        self.buffer.recycle(chunk.bytes);
        filled.is_ok().then_some(draft)
    }

    pub(super) fn seal(&mut self, draft: Draft) -> Batch {
        let batch = self.sealer.seal(draft, self.buffer.take_undeclared());
        if let Some(spooler) = &mut self.spooler
            && spooler.writes_ahead()
        {
            // Without a place on disk it goes on as if there were no spool.
            let _ = spooler.keep(&batch);
        }
        batch
    }

    /// Gathers what was logged since the last time, on disk and in the batch that is being filled.
    pub(super) fn write_ahead(&mut self) {
        while let Some(chunk) = self.buffer.take(true) {
            let Limits {
                batch_bytes,
                batch_records,
                ..
            } = self.limits;
            let now = Instant::now();
            if let Some(full) = self
                .draft
                .take_if(|draft| !draft.has_room(&chunk, batch_bytes, batch_records))
            {
                let batch = self.seal(full);
                self.ready.push_back((batch, Run::Own));
            }
            let draft = self.draft.take().unwrap_or_else(|| {
                self.seal_at = now + self.linger;
                self.sealer.draft()
            });
            let is_error = |head: &Head| *head.metadata.level() == Level::ERROR;
            if chunk.heads.iter().any(is_error) || now >= self.quiet_from + QUIET {
                self.seal_at = now;
            }
            self.draft = self.fill(draft, chunk);
            if let (Some(draft), Some(spooler)) = (&mut self.draft, &mut self.spooler) {
                spooler.keep_part(draft);
            }
        }
    }

    /// While Redis or the server is away everything goes to disk; if they are slower than the program logs, what would
    /// not fit.
    pub(super) fn spool_what_cannot_leave(&mut self, due: bool) {
        let away = !self.window.is_empty() && self.last_news.elapsed() >= self.patience;
        let Some(spooler) = &mut self.spooler else { return };
        if !(away || self.buffer.is_filling()) || !spooler.is_usable() {
            return;
        }
        if away
            && !self
                .flying
                .values_mut()
                .all(|(batch, claim)| spooler.keep_flying(batch, claim))
        {
            return;
        }
        while let Some((batch, run)) = self.fresh(due || away) {
            let Some(spooler) = &mut self.spooler else { return };
            let back = match run {
                Run::Own => spooler.park(batch),
                // It is a half of one that was on disk.
                Run::Earlier(_) => Some(batch),
            };
            if let Some(batch) = back {
                self.ready.push_front((batch, run));
                break;
            }
        }
        if away && let Some(spooler) = &mut self.spooler {
            spooler.sync();
        }
    }

    /// The program ends: what was not delivered stays on disk, if there is a spool.
    pub(super) fn leave(mut self) {
        if self.spooler.is_none() {
            return;
        }
        self.window.clear();
        let mut rest = Vec::new();
        if let Some(draft) = self.draft.take() {
            rest.push(self.seal(draft));
        }
        while let Some((batch, run)) = self.fresh(true) {
            if run == Run::Own {
                rest.push(batch);
            }
        }
        for (batch, claim) in std::mem::take(&mut self.flying).into_values() {
            rest.extend(Rc::into_inner(batch).map(|batch| Batch { claim, ..batch }));
        }
        if self.buffer.has_undeclared() {
            let draft = self.sealer.draft();
            rest.push(self.seal(draft));
        }
        if let Some(spooler) = self.spooler.take() {
            spooler.close(&rest);
        }
    }
}
