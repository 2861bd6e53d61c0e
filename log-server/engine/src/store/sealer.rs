//! The thread that keeps the files in shape: seals the tail into blocks, merges small blocks, begins new partitions,
//! deletes what need not be kept, and deletes what was replaced once nobody reads it any more.
//!
//! Rules: every step is one transaction, so a crash leaves it done or not begun. What a step made is published at once
//! after its `COMMIT`. The live partition is written to by the writer's thread only, an older one by this thread only.
//! A full disk is waited out; a damaged older partition is left alone; anything else in the live one stops the store.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::block::{self, BYTES_MOST, Piece, ROWS_MOST};
use super::blocks::{self, Block};
use super::contents::Contents;
use super::crash;
use super::directory::{self, Directory};
use super::ledger;
use super::merge::{self, Size};
use super::options::Options;
use super::partition::{Loaded, Partition};
use super::retention::{Clock, Deleted};
use super::schema;
use super::superseded::Superseded;
use super::tail::{self, Entry, StoredBatch};
use super::writer::{Change, Request, Roll, Write, in_transaction, is_full};
use super::{RecordId, StoreError};

/// How often it looks for something to do without being told.
const TICK: Duration = Duration::from_millis(500);
/// How long it waits for who reads an older partition.
const OLDER_PATIENCE: Duration = Duration::from_millis(50);
/// Records that are worth a block of their own, which is searched faster than the tail; merging small ones pays later.
const ROWS_ENOUGH: usize = 8_192;
/// How long so many wait while more arrive,
const ENOUGH_AGE: Duration = Duration::from_secs(10);
/// and when nothing does.
const ENOUGH_PAUSE: Duration = Duration::from_millis(1_500);
/// How long something is not tried again after it failed.
const PAUSE: Duration = Duration::from_secs(60);

const SET_SEALED: &str = "UPDATE progress SET sealed = ?1";
const SET_ASIDE: &str = "INSERT INTO set_aside SELECT * FROM batches WHERE id = ?1";

pub(super) struct Sealer {
    pub(super) contents: Arc<Contents>,
    pub(super) directory: Arc<Directory>,
    pub(super) options: Options,
    pub(super) writer: mpsc::Sender<Request>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) deleted: Arc<Deleted>,
    pub(super) clock: Clock,
    pub(super) work: Work,
}

/// What the sealer has in hand.
#[derive(Default)]
pub(super) struct Work {
    /// The connection that writes to the older partition in hand.
    older: Option<(PathBuf, Connection)>,
    /// What is to be deleted once nobody reads it.
    pub(super) superseded: Vec<Superseded>,
    /// Partitions in which what an earlier run left was deleted.
    pub(super) swept: HashSet<PathBuf>,
    /// Older partitions that cannot be changed, and when to try again.
    hopeless: HashMap<PathBuf, Instant>,
    /// What was found out about blocks, by partition.
    sizes: HashMap<PathBuf, HashMap<i64, Size>>,
    /// Partitions whose blocks were not worth merging when there were so many.
    merged: HashMap<PathBuf, usize>,
    /// Partitions that cannot be deleted.
    pub(super) undeletable: HashSet<PathBuf>,
    /// Older partitions in which there is nothing left to do.
    pub(super) finished: HashSet<PathBuf>,
    /// When a new partition may be tried again.
    roll_again: Option<Instant>,
    /// The newest record when it was looked at last.
    pub(super) newest: RecordId,
    /// Whether the live partition had no free pages to give back then, and nothing was deleted since.
    pub(super) given_back: bool,
}

impl Sealer {
    /// Works until it is told to stop. `Err` says why the store must stop.
    pub(super) fn run(mut self, nudges: &Receiver<()>) -> Result<(), String> {
        // Told by the stop flag, not by the channel: the writer holds one end of it, and outlives this thread.
        while !self.stopping() {
            match self.round() {
                // A full disk: what was left undone is tried again. Damage has been told, and is worked around.
                Ok(()) | Err(StoreError::Full | StoreError::Damaged { .. }) => {}
                // The writer has ended, and has said why.
                Err(StoreError::Closed) => return Ok(()),
                Err(
                    why @ (StoreError::Failed(_)
                    | StoreError::InUse(_)
                    | StoreError::Unusable { .. }
                    | StoreError::Reused { .. }),
                ) => return Err(why.to_string()),
            }
            // A nudge and the passing of time are both reasons to look again.
            let _ = nudges.recv_timeout(TICK);
        }
        Ok(())
    }

    /// Everything there is to do now.
    fn round(&mut self) -> Result<(), StoreError> {
        // What keeps the disk from filling comes first, and needs no room.
        self.delete_expired();
        // The newest first: it grows while the others wait.
        for partition in self.contents.partitions().into_iter().rev() {
            if self.stopping() {
                return Ok(());
            }
            let again = self.work.hopeless.get(partition.path());
            if again.is_some_and(|again| Instant::now() < *again) {
                continue;
            }
            match self.tidy(&partition) {
                Err(StoreError::Damaged { .. }) if !self.is_live(&partition) => {
                    let again = Instant::now() + PAUSE;
                    self.work.hopeless.insert(partition.path().to_owned(), again);
                }
                outcome => outcome?,
            }
        }
        self.delete_superseded()?;
        self.give_back_live()?;
        self.roll_if_due()
    }

    /// Brings one partition into shape.
    fn tidy(&mut self, partition: &Arc<Partition>) -> Result<(), StoreError> {
        self.sweep(partition)?;
        while !self.stopping() && self.seal(partition)? {
            // Where records come faster than they are sealed, this has no end; files must be closed in time all the same.
            self.roll_if_due()?;
        }
        self.delete_superseded()?;
        while !self.stopping() && self.merge(partition)? {}
        self.take_out_levels(partition)?;
        self.finish(partition)
    }

    /// Leaves an older partition as one file that is complete by itself.
    fn finish(&mut self, partition: &Arc<Partition>) -> Result<(), StoreError> {
        let path = partition.path();
        if self.work.finished.contains(path)
            || self.is_live(partition)
            || self.may_seal(partition)
            || self.work.superseded.iter().any(|one| one.is_of(partition))
        {
            return Ok(());
        }
        if directory::log_bytes(path) > 0 && !self.give_back(partition)? {
            return Ok(());
        }
        self.work.finished.insert(path.to_owned());
        self.work.sizes.remove(path);
        self.work.older = None;
        Ok(())
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Seals the first of the partition's tail, if it is due; returns whether there may be more to seal.
    fn seal(&mut self, partition: &Arc<Partition>) -> Result<bool, StoreError> {
        if !self.may_seal(partition) {
            return Ok(false);
        }
        let Some(Loaded { tail, progress, .. }) = self.contents.shelf(partition) else {
            return Ok(false);
        };
        let (count, rows) = first_block(&tail);
        let is_due = count < tail.len() || !self.is_live(partition) || self.is_due(&tail, rows);
        if count == 0 || !is_due {
            return Ok(false);
        }
        let (entries, rest) = tail.split_at(count);
        let more = !rest.is_empty();
        let mut unreadable = Vec::new();
        let sealed = block::seal_shown(|add| {
            for entry in entries.iter().filter(|entry| entry.records > 0) {
                let shown = tail::with_batch(entry, |batch| {
                    add(Piece {
                        batch: entry.id,
                        first: 0,
                        source: &batch.source,
                        records: &batch.records,
                    });
                });
                if shown.is_err() {
                    // Kept as it is, for whoever can make something of it; the partition has told.
                    unreadable.push(entry.id);
                }
            }
        });
        let through = entries.last().expect("there is one").id;
        let summary = sealed.as_ref().map(|sealed| sealed.summary);
        let id = self.change(
            partition,
            Box::new(move |writer| {
                let id = sealed.map_or(Ok(0), |sealed| blocks::insert(writer, &sealed))?;
                crash::point("seal.inserted");
                ledger::seal(writer, progress.sealed, through)?;
                for id in unreadable {
                    writer.execute(SET_ASIDE, [id])?;
                }
                writer.execute(SET_SEALED, [through])?;
                crash::point("seal.before-commit");
                Ok(id)
            }),
        )?;
        crash::point("seal.committed");
        let block = summary.map(|summary| Block {
            id,
            summary,
            partition: partition.clone(),
        });
        self.contents.seal(partition, count, block);
        crash::point("seal.published");
        self.work.superseded.push(Superseded::Batches(
            partition.clone(),
            entries.iter().map(Arc::downgrade).collect(),
            progress.sealed,
            through,
        ));
        Ok(more)
    }

    /// Whether it is worth looking at the partition's tail.
    fn may_seal(&self, partition: &Arc<Partition>) -> bool {
        self.contents
            .glance(partition)
            .is_some_and(|glance| glance.has_tail)
    }

    /// Merges some small blocks of the partition, if that is worth it; returns whether it did.
    fn merge(&mut self, partition: &Arc<Partition>) -> Result<bool, StoreError> {
        let blocks = self.contents.glance(partition).map_or(0, |glance| glance.blocks);
        if self.work.merged.get(partition.path()) == Some(&blocks) {
            return Ok(false);
        }
        let Some(Loaded { blocks, .. }) = self.contents.shelf(partition) else {
            return Ok(false);
        };
        let is_live = self.is_live(partition);
        let known = self.work.sizes.entry(partition.path().to_owned()).or_default();
        let size = |block: &Arc<Block>| {
            let rows = block.summary.rows as usize;
            known.get(&block.id).copied().unwrap_or(Size { rows, bytes: 0 })
        };
        let sizes: Vec<Size> = blocks.iter().map(size).collect();
        let Some(group) = merge::plan(&sizes, !is_live) else {
            self.work.merged.insert(partition.path().to_owned(), blocks.len());
            return Ok(false);
        };
        let old = &blocks[group];
        let (mut batches, mut bytes) = (Vec::new(), 0);
        for block in old {
            let Ok(sealed) = block.batches() else {
                // It has been told. Its neighbours are merged without it.
                known.insert(
                    block.id,
                    Size {
                        rows: usize::MAX,
                        bytes: 0,
                    },
                );
                return Ok(true);
            };
            let size = Size {
                rows: block.summary.rows as usize,
                bytes: sealed.iter().map(StoredBatch::text_bytes).sum(),
            };
            known.insert(block.id, size);
            bytes += size.bytes;
            if bytes > BYTES_MOST && !batches.is_empty() {
                // Now that it is known how large they are, others are chosen.
                return Ok(true);
            }
            batches.extend(sealed.into_iter().map(Arc::new));
        }
        self.rewrite(partition, old, batches)?;
        Ok(true)
    }

    /// Puts one block with `batches` in the place of `old`, or none if there are none.
    pub(super) fn rewrite(
        &mut self,
        partition: &Arc<Partition>,
        old: &[Arc<Block>],
        batches: Vec<Arc<StoredBatch>>,
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = old.iter().map(|block| block.id).collect();
        let sealed = block::seal(batches);
        let summary = sealed.as_ref().map(|sealed| sealed.summary);
        let replaced = ids.clone();
        let id = self.change(
            partition,
            Box::new(move |writer| {
                let id = sealed.map_or(Ok(0), |sealed| blocks::insert(writer, &sealed))?;
                crash::point("rewrite.inserted");
                blocks::replace(writer, &replaced)?;
                crash::point("rewrite.before-commit");
                Ok(id)
            }),
        )?;
        crash::point("rewrite.committed");
        let new = summary.map(|summary| Block {
            id,
            summary,
            partition: partition.clone(),
        });
        self.contents.replace(partition, old, new);
        crash::point("rewrite.published");
        let readers = old.iter().map(Arc::downgrade).collect();
        self.work
            .superseded
            .push(Superseded::Blocks(partition.clone(), readers, ids));
        // Rewriting may go on for minutes, and what arrives meanwhile must not pile up.
        let live = self.contents.live();
        while !self.stopping() && self.seal(&live)? {}
        Ok(())
    }

    /// Writes to a partition in one transaction; answers with what `write` answers.
    pub(super) fn change(&mut self, partition: &Arc<Partition>, write: Write) -> Result<i64, StoreError> {
        if self.is_live(partition) {
            let (done, answer) = sync_channel(1);
            let request = Request::Change(Change { write, done });
            self.writer
                .blocking_send(request)
                .map_err(|_| StoreError::Closed)?;
            return answer.recv().map_err(|_| StoreError::Closed)?;
        }
        self.work.finished.remove(partition.path());
        let writer = self.older(partition)?;
        in_transaction(writer, write).map_err(|error| {
            if is_full(&error) {
                StoreError::Full
            } else {
                partition.damaged(&error)
            }
        })
    }

    /// The connection that writes to an older partition.
    pub(super) fn older(&mut self, partition: &Arc<Partition>) -> Result<&Connection, StoreError> {
        let path = partition.path();
        let in_hand = self.work.older.take().filter(|(open, _)| open == path);
        let in_hand = match in_hand {
            Some(in_hand) => in_hand,
            None => {
                let writer = schema::open_writer(path)
                    .and_then(|writer| {
                        // Nobody else writes; waiting for readers to empty the log must not hold up the rest.
                        let patience = writer.busy_timeout(OLDER_PATIENCE);
                        patience
                            .map(|()| writer)
                            .map_err(|error| partition.damaged(&error))
                    })
                    .map_err(|error| partition.damaged(&error))?;
                (path.to_owned(), writer)
            }
        };
        Ok(&self.work.older.insert(in_hand).1)
    }

    pub(super) fn is_live(&self, partition: &Arc<Partition>) -> bool {
        Arc::ptr_eq(&self.contents.live(), partition)
    }

    /// Whether the tail, which does not fill more than a block, waited for long enough.
    fn is_due(&self, tail: &[Arc<Entry>], rows: usize) -> bool {
        let waited = |entry: Option<&Arc<Entry>>| entry.map(|entry| entry.since.elapsed());
        let longest = waited(tail.first());
        rows == ROWS_MOST
            || longest >= Some(self.options.seal_age)
            || (rows >= ROWS_ENOUGH
                && (longest >= Some(ENOUGH_AGE) || waited(tail.last()) >= Some(ENOUGH_PAUSE)))
    }

    /// Begins a new partition when the live one is old or large enough, and not empty.
    fn roll_if_due(&mut self) -> Result<(), StoreError> {
        let live = self.contents.live();
        if !self.is_to_be_closed(&live)
            || self.work.roll_again.is_some_and(|again| Instant::now() < again)
            || self.contents.glance(&live).is_none_or(|glance| glance.is_empty())
        {
            return Ok(());
        }
        let path = self.directory.next(Some(live.path()));
        let (done, answer) = sync_channel(1);
        self.writer
            .blocking_send(Request::Roll(Roll {
                path: path.clone(),
                done,
            }))
            .map_err(|_| StoreError::Closed)?;
        match answer.recv().map_err(|_| StoreError::Closed)? {
            Ok(old) => {
                tracing::info!(path = %path.display(), "a new partition was begun");
                self.work.older = Some((live.path().to_owned(), old));
                // It is finished now, and its last blocks can be merged.
                self.work.merged.remove(live.path());
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "no new partition could be begun; the old one goes on");
                self.work.roll_again = Some(Instant::now() + PAUSE);
            }
        }
        Ok(())
    }
}

/// How many entries the next block takes, and how many records these have.
fn first_block(tail: &[Arc<Entry>]) -> (usize, usize) {
    let (mut rows, mut bytes) = (0, 0);
    for (count, entry) in tail.iter().enumerate() {
        rows += entry.records;
        bytes += entry.bytes;
        // Batches without records take no rows, and must not pile up either.
        if rows > ROWS_MOST || count == ROWS_MOST || (count > 0 && bytes > BYTES_MOST) {
            return (count, rows - entry.records);
        }
    }
    (tail.len(), rows)
}
