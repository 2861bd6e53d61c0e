//! What was sealed or replaced, and is deleted once no snapshot holds it any more: a search that began before goes on
//! reading what it saw. What a crash leaves is deleted at the next start. The room that becomes free goes back to the
//! disk, but for what the live partition will use again at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rusqlite::Connection;

use super::blocks::{self, Block};
use super::partition::Partition;
use super::sealer::Sealer;
use super::tail::Entry;
use super::writer::is_full;
use super::{StoreError, crash};

/// Batches deleted in one transaction: appends wait for it.
const DELETED_AT_ONCE: i64 = 1_000;
/// Free pages that the live file may keep when nothing arrives: a quarter of a megabyte.
const FREE_QUIET: i64 = 16;
/// Free pages that it may keep for what arrives: the payloads of a block or two.
const FREE_BUSY: i64 = 1_024;
/// Pages given back in one step, for which appends wait.
const GIVE_BACK: &str = "PRAGMA incremental_vacuum(64);";
const FREE: &str = "PRAGMA freelist_count";
const DELETE_SEALED: &str = "DELETE FROM batches WHERE id > ?1 AND id <= ?2";
const FIRST_BATCH: &str = "SELECT coalesce(min(id), 0) FROM batches";

/// Something that a newer snapshot does not have any more.
pub(super) enum Superseded {
    /// Sealed batches; ids after the first number up to the second.
    Batches(Arc<Partition>, Vec<Weak<Entry>>, i64, i64),
    Blocks(Arc<Partition>, Vec<Weak<Block>>, Vec<i64>),
}

impl Superseded {
    fn partition(&self) -> &Arc<Partition> {
        match self {
            Superseded::Batches(partition, ..) | Superseded::Blocks(partition, ..) => partition,
        }
    }

    pub(super) fn is_of(&self, partition: &Arc<Partition>) -> bool {
        Arc::ptr_eq(self.partition(), partition)
    }

    fn is_unread(&self) -> bool {
        match self {
            Superseded::Batches(_, entries, ..) => entries.iter().all(|entry| entry.strong_count() == 0),
            Superseded::Blocks(_, blocks, _) => blocks.iter().all(|block| block.strong_count() == 0),
        }
    }
}

impl Sealer {
    /// Deletes what an earlier run had replaced and not deleted yet.
    pub(super) fn sweep(&mut self, partition: &Arc<Partition>) -> Result<(), StoreError> {
        if !self.work.swept.insert(partition.path().to_owned()) {
            return Ok(());
        }
        let Some(glance) = self.contents.glance(partition).filter(|glance| glance.leftovers) else {
            return Ok(());
        };
        let first: i64 =
            partition.with_reader(|reader| reader.query_row(FIRST_BATCH, [], |row| row.get(0)))?;
        self.delete_batches(partition, first - 1, glance.progress.sealed)?;
        let replaced = partition.with_reader(blocks::replaced)?;
        self.delete_columns(partition, replaced)
    }

    /// Deletes what no snapshot holds any more.
    pub(super) fn delete_superseded(&mut self) -> Result<(), StoreError> {
        let (gone, read): (Vec<_>, Vec<_>) = std::mem::take(&mut self.work.superseded)
            .into_iter()
            .partition(Superseded::is_unread);
        self.work.superseded = read;
        for superseded in gone {
            let partition = superseded.partition().clone();
            if partition.is_removed() {
                continue;
            }
            let deleted = match &superseded {
                Superseded::Batches(_, _, after, through) => {
                    self.delete_batches(&partition, *after, *through)
                }
                Superseded::Blocks(_, _, ids) => self.delete_columns(&partition, ids.clone()),
            };
            if let Err(error) = deleted {
                self.work.superseded.push(superseded);
                return Err(error);
            }
            crash::point("superseded.deleted");
        }
        Ok(())
    }

    fn delete_batches(
        &mut self,
        partition: &Arc<Partition>,
        after: i64,
        through: i64,
    ) -> Result<(), StoreError> {
        self.work.given_back = false;
        let mut after = after;
        while after < through && !self.stopping() {
            let end = through.min(after + DELETED_AT_ONCE);
            self.change(
                partition,
                Box::new(move |writer| {
                    writer
                        .prepare_cached(DELETE_SEALED)?
                        .execute([after, end])
                        .map(|_| 0)
                }),
            )?;
            after = end;
        }
        Ok(())
    }

    fn delete_columns(&mut self, partition: &Arc<Partition>, replaced: Vec<i64>) -> Result<(), StoreError> {
        self.work.given_back = false;
        for block in replaced {
            let write = move |writer: &Connection| blocks::delete_replaced(writer, &[block]).map(|()| 0);
            self.change(partition, Box::new(write))?;
        }
        Ok(())
    }

    /// Gives all room of deleted rows in an older partition back to the disk, and empties its log. Returns whether it is
    /// done: somebody may be reading.
    pub(super) fn give_back(&mut self, partition: &Arc<Partition>) -> Result<bool, StoreError> {
        let stop = self.stop.clone();
        let writer = self.older(partition)?;
        let shrunk = shrink(writer, &stop).and_then(|()| {
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        });
        match shrunk {
            Ok(busy) => Ok(!busy),
            Err(error) if is_full(&error) => Err(StoreError::Full),
            Err(error) => Err(partition.damaged(&error)),
        }
    }
}

impl Sealer {
    /// Gives the room of deleted payloads in the live partition back to the disk, but for what will be used again at
    /// once.
    pub(super) fn give_back_live(&mut self) -> Result<(), StoreError> {
        let live = self.contents.live();
        let free = || live.with_reader(|reader| reader.query_row(FREE, [], |row| row.get::<_, i64>(0)));
        let newest = *self.contents.newest().borrow();
        let quiet = std::mem::replace(&mut self.work.newest, newest) == newest;
        if quiet && self.work.given_back {
            return Ok(());
        }
        let may_keep = if quiet { FREE_QUIET } else { FREE_BUSY };
        let mut left = free()?;
        while left > may_keep && !self.stopping() {
            let write = |writer: &Connection| writer.execute_batch(GIVE_BACK).map(|()| 0);
            self.change(&live, Box::new(write))?;
            let now = free()?;
            // A file of the first format keeps its pages; and what arrives is to be sealed in time.
            if now >= left || *self.contents.newest().borrow() != newest {
                break;
            }
            left = now;
        }
        self.work.given_back = quiet && left <= may_keep;
        Ok(())
    }
}

/// Gives back free pages, some at a time, so that it can be stopped.
fn shrink(writer: &Connection, stop: &AtomicBool) -> rusqlite::Result<()> {
    let free = || writer.query_row(FREE, [], |row| row.get::<_, i64>(0));
    let mut left = free()?;
    while left > 0 && !stop.load(Ordering::Relaxed) {
        writer.execute_batch("PRAGMA incremental_vacuum(1000);")?;
        let now = free()?;
        if now == left {
            // A file of the first format keeps its pages, and uses them again.
            break;
        }
        left = now;
    }
    Ok(())
}
