//! What need not be kept any more: by age, by level, and beyond a number of bytes.
//!
//! Age is counted from arrival, since what senders say of the time may be wrong. A whole partition is deleted by
//! unlinking it, which needs no room on the disk and does not disturb who reads it. A level is taken out of a finished
//! partition by rewriting its blocks; the records that stay keep their ids. Every deletion is told in the log and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log_record::{Level, Timestamp};

use super::StoreError;
use super::blocks::Block;
use super::crash;
use super::directory;
use super::options::{EVERY_LEVEL, bit};
use super::partition::{Loaded, Partition};
use super::sealer::Sealer;
use super::tail::StoredBatch;

/// A partition is closed at this part of the byte budget, so that deleting the oldest one is never deleting much.
const PARTS_OF_BUDGET: u64 = 8;
/// What may come between two looks at the budget.
const HEADROOM: u64 = 16;

const SET_WITHOUT: &str = "UPDATE progress SET without = ?1";

/// How much retention has deleted since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    pub(super) partitions: AtomicU64,
    pub(super) records: AtomicU64,
}

impl Sealer {
    /// Whether the live partition is old or large enough for the next to begin.
    pub(super) fn is_to_be_closed(&mut self, live: &Arc<Partition>) -> bool {
        let budget = self.options.keep.bytes.unwrap_or(u64::MAX);
        if directory::bytes(live.path()) > self.options.partition_bytes.min(budget / PARTS_OF_BUDGET) {
            return true;
        }
        let age = directory::begun(live.path()).map(|begun| Timestamp::now().since(begun));
        age.is_some_and(|age| age > self.options.partition_age)
    }

    /// Deletes the partitions whose time is up, and the oldest ones beyond the byte budget.
    pub(super) fn delete_expired(&mut self) {
        let now = self.clock.now();
        loop {
            let partitions = self.contents.partitions();
            let [oldest, next, ..] = &*partitions else {
                return;
            };
            if self.work.undeletable.contains(oldest.path()) {
                return;
            }
            let age = now.zip(directory::begun(next.path()));
            let is_expired =
                age.is_some_and(|(now, closed)| self.options.keep.expired(now.since(closed)) == EVERY_LEVEL);
            let why = if is_expired {
                "its time is up"
            } else if self.is_beyond_budget() {
                "the byte budget is used up"
            } else {
                return;
            };
            self.delete(oldest, why);
        }
    }

    fn is_beyond_budget(&self) -> bool {
        let Some(budget) = self.options.keep.bytes else {
            return false;
        };
        // What cannot be measured now is measured at the next look.
        let used = self.directory.bytes().unwrap_or(0);
        used > budget - budget / HEADROOM
    }

    fn delete(&mut self, partition: &Arc<Partition>, why: &str) {
        let path = partition.path();
        let bytes = directory::bytes(path);
        crash::point("delete.before-unlink");
        if let Err(error) = directory::remove(path) {
            tracing::error!(%error, path = %path.display(), "a partition cannot be deleted, nor those after it");
            self.work.undeletable.insert(path.to_owned());
            return;
        }
        crash::point("delete.unlinked");
        partition.set_removed();
        let records = self.contents.remove(partition);
        self.deleted.partitions.fetch_add(1, Ordering::Relaxed);
        self.deleted
            .records
            .fetch_add(records.unwrap_or(0), Ordering::Relaxed);
        tracing::info!(path = %path.display(), bytes, records, why, "deleted a partition");
    }

    /// Takes the levels whose time is up out of a finished partition.
    pub(super) fn take_out_levels(&mut self, partition: &Arc<Partition>) -> Result<(), StoreError> {
        let Some(levels) = self.levels_to_take_out(partition) else {
            return Ok(());
        };
        let mut taken = 0;
        let Some(Loaded { blocks, progress, .. }) = self.contents.shelf(partition) else {
            return Ok(());
        };
        for block in blocks.iter().filter(|block| has_any(block, levels)) {
            if self.stopping() {
                return Ok(());
            }
            // It has been told; what cannot be read cannot be rewritten either.
            let Ok(batches) = block.batches() else { continue };
            let before = u64::from(block.summary.rows);
            let kept: Vec<Arc<StoredBatch>> = batches
                .into_iter()
                .flat_map(|batch| without(batch, levels))
                .map(Arc::new)
                .collect();
            let after: usize = kept.iter().map(|batch| batch.records.len()).sum();
            self.rewrite(partition, std::slice::from_ref(block), kept)?;
            self.delete_superseded()?;
            taken += before - after as u64;
        }
        let all = progress.without | levels;
        self.change(
            partition,
            Box::new(move |writer| writer.execute(SET_WITHOUT, [all]).map(|_| 0)),
        )?;
        crash::point("levels.noted");
        self.contents.set_without(partition, all);
        self.deleted.records.fetch_add(taken, Ordering::Relaxed);
        tracing::info!(path = %partition.path().display(), records = taken, levels = names(levels), "deleted records whose time is up");
        Ok(())
    }

    /// `None` when there is nothing to do: it is live, too young, not sealed, or it was done.
    fn levels_to_take_out(&mut self, partition: &Arc<Partition>) -> Option<u32> {
        let partitions = self.contents.partitions();
        let index = partitions
            .iter()
            .position(|other| Arc::ptr_eq(other, partition))?;
        let closed = directory::begun(partitions.get(index + 1)?.path())?;
        let expired = self.options.keep.expired(self.clock.now()?.since(closed));
        if expired == 0 {
            return None;
        }
        let glance = self.contents.glance(partition)?;
        let levels = expired & !glance.progress.without;
        (levels != 0 && !glance.has_tail).then_some(levels)
    }
}

fn has_any(block: &Block, levels: u32) -> bool {
    Level::ALL
        .into_iter()
        .any(|level| levels & bit(level) != 0 && block.summary.counts[level as usize] > 0)
}

/// What is left of the batch without these levels: each piece has records that stood side by side.
fn without(batch: StoredBatch, levels: u32) -> Vec<StoredBatch> {
    let mut pieces: Vec<StoredBatch> = Vec::new();
    for (index, record) in batch.records.into_iter().enumerate() {
        if levels & bit(record.level()) != 0 {
            continue;
        }
        let place = batch.first + index;
        match pieces.last_mut() {
            Some(piece) if piece.first + piece.records.len() == place => piece.records.push(record),
            Some(_) | None => pieces.push(StoredBatch {
                id: batch.id,
                source: batch.source.clone(),
                first: place,
                records: vec![record],
            }),
        }
    }
    pieces
}

fn names(levels: u32) -> String {
    let names = Level::ALL.into_iter().filter(|level| levels & bit(*level) != 0);
    names.map(Level::as_str).collect::<Vec<_>>().join(", ")
}

/// The time for deleting by. A clock that jumps is not believed for a day: records are easier kept too long than
/// brought back. The machine may have been asleep, so a jump forward may be true.
#[derive(Debug)]
pub(super) struct Clock {
    last: (Timestamp, Instant),
    believed_from: Instant,
}

impl Clock {
    /// How far the clock may move on its own between two looks; time servers correct by less.
    const TOLERANCE: Duration = Duration::from_secs(600);
    /// How long after a start, which may be one before the time was set.
    const AFTER_START: Duration = Duration::from_secs(60);
    const AFTER_JUMP: Duration = Duration::from_secs(86_400);

    pub(super) fn new() -> Clock {
        let now = Instant::now();
        Clock {
            last: (Timestamp::now(), now),
            believed_from: now + Clock::AFTER_START,
        }
    }

    /// The time, if it can be believed.
    pub(super) fn now(&mut self) -> Option<Timestamp> {
        let (wall, steady) = (Timestamp::now(), Instant::now());
        self.look(wall, steady)
    }

    fn look(&mut self, wall: Timestamp, steady: Instant) -> Option<Timestamp> {
        let expected = self.last.0.after(steady.saturating_duration_since(self.last.1));
        let jump = wall.since(expected).max(expected.since(wall));
        self.last = (wall, steady);
        if jump > Clock::TOLERANCE {
            tracing::warn!(?jump, "the clock jumped: nothing is deleted by age for a day");
            self.believed_from = steady + Clock::AFTER_JUMP;
        }
        (steady >= self.believed_from).then_some(wall)
    }

    /// A clock that is believed at once, for tests.
    #[cfg(test)]
    pub(super) fn believed() -> Clock {
        let now = Instant::now();
        Clock {
            last: (Timestamp::now(), now),
            believed_from: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_not_believed_for_a_day() {
        let (mut wall, mut steady) = (Timestamp::from_nanos(1_790_000_000_000_000_000), Instant::now());
        let mut clock = Clock {
            last: (wall, steady),
            believed_from: steady,
        };
        let hour = Duration::from_secs(3_600);
        let mut pass = |wall: &mut Timestamp, clock: &mut Clock| {
            *wall = wall.after(hour);
            steady += hour;
            clock.look(*wall, steady).is_some()
        };
        assert!(pass(&mut wall, &mut clock));
        wall = wall.after(hour * 24 * 3_650);
        let believed: Vec<bool> = (0..26).map(|_| pass(&mut wall, &mut clock)).collect();
        assert!(
            believed[..24].iter().all(|believed| !believed) && believed[25],
            "{believed:?}"
        );
        wall = wall.before(hour);
        assert!(!pass(&mut wall, &mut clock));
    }
}
