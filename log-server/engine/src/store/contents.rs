//! What the store holds now, and what a search sees of it.
//!
//! Promise: a [`Snapshot`] has every stored record exactly once, also while records are sealed, merged or deleted. All
//! changes go through one lock: who seals takes the batches out of the tail and puts their block in at once, after
//! `COMMIT`. A snapshot keeps what it has for as long as it lives.
//!
//! Older partitions are opened when they are first needed, so starting costs the same however many there are.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::blocks::Block;
use super::kept::Kept;
use super::partition::{Loaded, Partition, Progress};
use super::tail::{Decoded, Entry};
use super::{Parts, RecordId, StoreError, StoredBatch, StoredRecord, TimeRange};

pub(super) struct Contents {
    /// Oldest first; the last is the one that is written to.
    shelves: RwLock<Vec<Shelf>>,
    decoded: Decoded,
    newest: watch::Sender<RecordId>,
    /// The blocks in which pages were looked for lately.
    pub(super) kept: Kept,
}

/// A partition and what it holds.
struct Shelf {
    partition: Arc<Partition>,
    /// `None` until it is needed.
    loaded: Option<Loaded>,
}

/// What a search sees.
pub(super) struct Snapshot {
    /// In order of arrival.
    pub(super) blocks: Vec<Arc<Block>>,
    /// What is not sealed, in order of arrival.
    pub(super) tail: Vec<Arc<Entry>>,
    /// Whether something that was stored cannot be read.
    pub(super) damaged: bool,
}

/// What the sealer needs to know of a partition before it looks closer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance {
    pub(super) blocks: usize,
    pub(super) has_tail: bool,
    pub(super) leftovers: bool,
    pub(super) progress: Progress,
}

impl Glance {
    /// Whether nothing was ever appended to the partition.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks == 0 && !self.has_tail && self.progress.sealed < self.progress.first_batch
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) partitions: usize,
    pub(super) blocks: usize,
    pub(super) sealed: u64,
    pub(super) unsealed: u64,
}

impl Contents {
    /// `older` are the partitions before the one that is written to, oldest first.
    pub(super) fn new(older: Vec<Arc<Partition>>, live: Arc<Partition>, loaded: Loaded) -> Contents {
        let newest = newest(&loaded);
        let unloaded = older.into_iter().map(|partition| Shelf {
            partition,
            loaded: None,
        });
        let live = Shelf {
            partition: live,
            loaded: Some(loaded),
        };
        Contents {
            shelves: RwLock::new(unloaded.chain([live]).collect()),
            decoded: Decoded::default(),
            newest: watch::channel(newest).0,
            kept: Kept::default(),
        }
    }

    /// Everything that may hold records of `range`, as it stands now.
    pub(super) fn snapshot(&self, range: TimeRange) -> Snapshot {
        self.load_all();
        let shelves = self.read();
        let mut snapshot = Snapshot {
            blocks: Vec::new(),
            tail: Vec::new(),
            damaged: false,
        };
        for shelf in shelves.iter() {
            snapshot.damaged |= shelf.loaded.is_none() || shelf.partition.damage().is_some();
            let Some(loaded) = &shelf.loaded else { continue };
            let blocks = loaded.blocks.iter();
            snapshot.blocks.extend(
                blocks
                    .filter(|block| range.touches(block.summary.earliest, block.summary.latest))
                    .cloned(),
            );
            let tail = loaded.tail.iter();
            snapshot.tail.extend(
                tail.filter(|entry| entry.records > 0 && range.touches(entry.earliest, entry.latest))
                    .cloned(),
            );
        }
        snapshot
    }

    /// The records of an unsealed batch, for a search.
    pub(super) fn decode(&self, entry: &Entry) -> Result<Arc<StoredBatch>, StoreError> {
        self.decoded.batch(entry)
    }

    /// Changes whenever something was appended.
    pub(super) fn newest(&self) -> watch::Receiver<RecordId> {
        self.newest.subscribe()
    }

    /// The batches after the record `after`, oldest first, at most the newest `limit`; and whether there were more.
    pub(super) fn since(&self, after: RecordId, limit: usize) -> (Vec<Arc<StoredBatch>>, bool) {
        let snapshot = self.snapshot(TimeRange::ALL);
        let (mut batches, mut missing) = (Vec::new(), false);
        for entry in snapshot.tail.iter().rev() {
            if entry.last_record() <= after || batches.len() > limit {
                break;
            }
            match self.decode(entry) {
                Ok(batch) => batches.push(batch),
                // Who follows is told that something is missing, and goes on with what comes.
                Err(_) => missing = true,
            }
        }
        for block in snapshot.blocks.iter().rev() {
            if block.summary.last_batch < after.batch() || batches.len() > limit {
                break;
            }
            let Ok(sealed) = block.batches() else {
                missing = true;
                continue;
            };
            let newest_first = sealed.into_iter().rev();
            batches.extend(
                newest_first
                    .take_while(|batch| batch.record_id(batch.records.len() - 1) > after)
                    .map(Arc::new),
            );
        }
        let more = missing || batches.len() > limit;
        batches.truncate(limit);
        batches.reverse();
        (batches, more)
    }

    /// The record of that id, if there is one.
    pub(super) fn record(&self, id: RecordId) -> Result<Option<StoredRecord>, StoreError> {
        let snapshot = self.snapshot(TimeRange::ALL);
        let found = |batch: &StoredBatch| {
            batch.record(id).map(|record| StoredRecord {
                id,
                source: batch.source.clone(),
                record: record.clone(),
            })
        };
        if let Ok(index) = snapshot.tail.binary_search_by_key(&id.batch(), |entry| entry.id) {
            return Ok(found(&*self.decode(&snapshot.tail[index])?));
        }
        let index = snapshot
            .blocks
            .partition_point(|block| block.summary.last_batch < id.batch());
        match snapshot.blocks.get(index).filter(|block| block.spans(id.batch())) {
            Some(block) => block.open(|block| {
                let row = block.row_of(id);
                row.map_or(Ok(None), |row| Ok(block.records(&[row], &Parts::All)?.pop()))
            }),
            None => Ok(None),
        }
    }

    /// Makes batches visible to every search that starts from now on. Only the writer calls it, after `COMMIT`.
    /// Returns how many records wait to be sealed.
    pub(super) fn extend(&self, entries: Vec<Entry>) -> usize {
        let newest = entries.iter().rev().find(|entry| entry.records > 0);
        let newest = newest.map(Entry::last_record);
        let records: usize = entries.iter().map(|entry| entry.records).sum();
        let unsealed = {
            let mut shelves = self.write();
            let live = shelves.last_mut().and_then(|shelf| shelf.loaded.as_mut());
            let live = live.expect("the live partition is always loaded");
            live.tail.extend(entries.into_iter().map(Arc::new));
            live.unsealed += records;
            live.unsealed
        };
        if let Some(newest) = newest {
            self.newest.send_replace(newest);
        }
        unsealed
    }

    /// From now on `partition` is written to.
    pub(super) fn begin(&self, partition: Arc<Partition>, progress: Progress) {
        self.write().push(Shelf {
            partition,
            loaded: Some(Loaded {
                blocks: Vec::new(),
                tail: Vec::new(),
                unsealed: 0,
                leftovers: false,
                progress,
            }),
        });
    }

    /// The first `count` entries of the partition's tail are in `block` now; `None` when they had no records.
    pub(super) fn seal(&self, partition: &Arc<Partition>, count: usize, block: Option<Block>) {
        let sealed: Vec<Arc<Entry>> = {
            let mut shelves = self.write();
            let Some(loaded) = loaded_mut(&mut shelves, partition) else {
                return;
            };
            let sealed: Vec<_> = loaded.tail.drain(..count).collect();
            loaded.unsealed -= sealed.iter().map(|entry| entry.records).sum::<usize>();
            loaded.progress.sealed = sealed.last().map_or(loaded.progress.sealed, |entry| entry.id);
            loaded.blocks.extend(block.map(Arc::new));
            sealed
        };
        self.decoded.forget(&sealed);
    }

    /// The blocks `old`, which stand side by side, are replaced by `new`, or by nothing.
    pub(super) fn replace(&self, partition: &Arc<Partition>, old: &[Arc<Block>], new: Option<Block>) {
        let mut shelves = self.write();
        let Some(loaded) = loaded_mut(&mut shelves, partition) else {
            return;
        };
        let first = old.first().map_or(0, |block| block.summary.first_batch);
        let start = loaded
            .blocks
            .partition_point(|block| block.summary.first_batch < first);
        loaded.blocks.splice(start..start + old.len(), new.map(Arc::new));
    }

    /// Notes that retention took levels out of the partition.
    pub(super) fn set_without(&self, partition: &Arc<Partition>, levels: u32) {
        if let Some(loaded) = loaded_mut(&mut self.write(), partition) {
            loaded.progress.without = levels;
        }
    }

    /// The partition is gone for every search that starts from now on; says how many records were in it, if that is
    /// known.
    pub(super) fn remove(&self, partition: &Arc<Partition>) -> Option<u64> {
        let mut shelves = self.write();
        let index = shelves
            .iter()
            .position(|shelf| Arc::ptr_eq(&shelf.partition, partition))?;
        let loaded = shelves.remove(index).loaded?;
        let sealed = loaded.blocks.iter().map(|block| u64::from(block.summary.rows));
        Some(sealed.sum::<u64>() + loaded.unsealed as u64)
    }

    /// The partitions, oldest first.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        let shelves = self.read();
        shelves.iter().map(|shelf| shelf.partition.clone()).collect()
    }

    /// The one that is written to.
    pub(super) fn live(&self) -> Arc<Partition> {
        let shelves = self.read();
        shelves.last().expect("there is always one").partition.clone()
    }

    /// What a partition holds; `None` when it cannot be read or is gone.
    pub(super) fn shelf(&self, partition: &Arc<Partition>) -> Option<Loaded> {
        self.load(partition);
        let shelves = self.read();
        let shelf = shelves
            .iter()
            .find(|shelf| Arc::ptr_eq(&shelf.partition, partition))?;
        shelf.loaded.as_ref().map(|loaded| Loaded {
            blocks: loaded.blocks.clone(),
            tail: loaded.tail.clone(),
            unsealed: loaded.unsealed,
            leftovers: loaded.leftovers,
            progress: loaded.progress,
        })
    }

    /// A glance at a partition; `None` when it cannot be read or is gone.
    pub(super) fn glance(&self, partition: &Arc<Partition>) -> Option<Glance> {
        self.load(partition);
        let shelves = self.read();
        let shelf = shelves
            .iter()
            .find(|shelf| Arc::ptr_eq(&shelf.partition, partition))?;
        shelf.loaded.as_ref().map(|loaded| Glance {
            blocks: loaded.blocks.len(),
            has_tail: !loaded.tail.is_empty(),
            leftovers: loaded.leftovers,
            progress: loaded.progress,
        })
    }

    /// How much there is in what is loaded.
    pub(super) fn totals(&self) -> Totals {
        let shelves = self.read();
        let mut totals = Totals {
            partitions: shelves.len(),
            ..Totals::default()
        };
        for loaded in shelves.iter().filter_map(|shelf| shelf.loaded.as_ref()) {
            totals.blocks += loaded.blocks.len();
            totals.sealed += loaded
                .blocks
                .iter()
                .map(|block| u64::from(block.summary.rows))
                .sum::<u64>();
            totals.unsealed += loaded.unsealed as u64;
        }
        totals
    }

    fn load_all(&self) {
        let missing: Vec<Arc<Partition>> = {
            let shelves = self.read();
            shelves
                .iter()
                .filter(|shelf| shelf.loaded.is_none())
                .map(|shelf| shelf.partition.clone())
                .collect()
        };
        for partition in missing {
            self.load(&partition);
        }
    }

    /// Loads the partition if it is not. One that cannot be read stays unloaded, and is tried again next time.
    pub(super) fn load(&self, partition: &Arc<Partition>) {
        let is_missing = |shelf: &&Shelf| Arc::ptr_eq(&shelf.partition, partition) && shelf.loaded.is_none();
        if !self.read().iter().any(|shelf| is_missing(&shelf)) {
            return;
        }
        // The partition has noted its damage and told it.
        let Ok(loaded) = partition.load() else { return };
        let mut shelves = self.write();
        // Whoever came first has it; what was changed since then is in theirs.
        if let Some(shelf) = shelves.iter_mut().find(|shelf| is_missing(&&**shelf)) {
            shelf.loaded = Some(loaded);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Shelf>> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Shelf>> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn loaded_mut<'a>(shelves: &'a mut [Shelf], partition: &Arc<Partition>) -> Option<&'a mut Loaded> {
    shelves
        .iter_mut()
        .find(|shelf| Arc::ptr_eq(&shelf.partition, partition))?
        .loaded
        .as_mut()
}

/// The newest record of a partition; its id, if it is empty, is that of the batch before its first.
fn newest(loaded: &Loaded) -> RecordId {
    let unsealed = loaded.tail.iter().rev().find(|entry| entry.records > 0);
    if let Some(entry) = unsealed {
        return entry.last_record();
    }
    let sealed = loaded.blocks.last().map(|block| block.summary.last_batch);
    RecordId::last_of(sealed.unwrap_or(loaded.progress.first_batch - 1))
}
