//! Finding the newest records that match.
//!
//! Batches are visited by their latest record, newest first; as soon as the page is full and no unvisited batch can
//! hold anything newer than its oldest record, the search is over.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log_record::Timestamp;

use crate::query::{Filter, Scratch};

use super::block::{self, Chunk, Damaged, Rows};
use super::blocks::Block;
use super::contents::Contents;
use super::kept;
use super::unit::{self, Unit};
use super::visit::visit;
use super::{Cursor, Parts, RecordId, StoreError, StoredBatch, StoredRecord, TimeRange};

/// What to find.
pub struct Search<'a> {
    /// Which records.
    pub filter: &'a Filter,
    /// Of which time.
    pub range: TimeRange,
    /// Only what follows this place in `direction`.
    pub after: Option<Cursor>,
    /// Which way to go.
    pub direction: Direction,
    /// At most this many; not 0.
    pub limit: usize,
    /// How long it may take.
    pub budget: &'a Budget,
}

/// Which way a search goes through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the newest record to the oldest.
    Older,
    /// From the oldest record to the newest.
    Newer,
}

/// How long a query may go on, and whether anybody still wants the answer.
#[derive(Debug)]
pub struct Budget {
    deadline: Instant,
    cancelled: AtomicBool,
}

impl Budget {
    /// A budget that ends at `deadline`.
    pub fn until(deadline: Instant) -> Budget {
        Budget {
            deadline,
            cancelled: AtomicBool::new(false),
        }
    }

    /// Says that nobody wants the answer any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Why the query must end now, if it must.
    pub(super) fn spent(&self) -> Option<Partial> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Some(Partial::Cancelled);
        }
        (Instant::now() >= self.deadline).then_some(Partial::Deadline)
    }
}

/// Why an answer does not cover everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partial {
    /// The time was up.
    Deadline,
    /// Nobody wanted it any more.
    Cancelled,
    /// Something that is stored cannot be read.
    Damaged,
}

/// Records found, in the search's direction.
#[derive(Debug)]
pub struct Page {
    /// The records, by time and id.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins; `None` when there is nothing more.
    pub next: Option<Cursor>,
    /// Records looked at.
    pub scanned: u64,
    /// Why the page ends before it is full although there may be more.
    pub partial: Option<Partial>,
}

/// A place in the search's direction: the greater it is, the earlier it is found.
type Rank = i128;

impl Direction {
    fn rank(self, cursor: Cursor) -> Rank {
        let newest_first = (Rank::from(cursor.time.as_nanos()) << 64) | Rank::from(cursor.id.as_number());
        match self {
            Direction::Older => newest_first,
            Direction::Newer => !newest_first,
        }
    }

    /// The place before every record of a batch.
    fn front(self, entry: &Unit) -> Cursor {
        match self {
            Direction::Older => Cursor {
                time: entry.latest(),
                id: RecordId::MAX,
            },
            Direction::Newer => Cursor {
                time: entry.earliest(),
                id: RecordId::default(),
            },
        }
    }

    /// The place behind every record of a batch.
    fn back(self, entry: &Unit) -> Cursor {
        match self {
            Direction::Older => Cursor {
                time: entry.earliest(),
                id: RecordId::default(),
            },
            Direction::Newer => Cursor {
                time: entry.latest(),
                id: RecordId::MAX,
            },
        }
    }
}

/// What was found so far: at most as many as wanted, the first of them in the search's direction.
struct Found {
    records: BTreeMap<Rank, StoredRecord>,
    wanted: usize,
}

impl Found {
    /// The last that is kept, once there are as many as wanted: what comes after it is not.
    fn limit(&self) -> Option<Rank> {
        let last = self.records.first_key_value().map(|(rank, _)| *rank);
        last.filter(|_| self.records.len() == self.wanted)
    }

    fn add(&mut self, rank: Rank, record: StoredRecord) {
        self.records.insert(rank, record);
        if self.records.len() > self.wanted {
            self.records.pop_first();
        }
    }
}

/// A search that is under way.
struct Running<'s> {
    search: &'s Search<'s>,
    contents: &'s Contents,
    /// That of the search.
    filter: Arc<Filter>,
    /// How many blocks were visited.
    visited: AtomicUsize,
    /// Only what comes after this rank.
    after: Rank,
    found: Mutex<Found>,
    scanned: AtomicU64,
    damaged: AtomicBool,
    /// Why it ended before it was done.
    spent: Mutex<Option<Partial>>,
}

pub(super) fn run(contents: &Contents, search: &Search<'_>) -> Result<Page, StoreError> {
    let direction = search.direction;
    let after = search.after.map_or(Rank::MAX, |after| direction.rank(after));
    let (mut units, damaged) = unit::list(contents, search.range);
    units.retain(|unit| direction.rank(direction.back(unit)) < after);
    units.sort_by_cached_key(|unit| Reverse((direction.rank(direction.front(unit)), unit.first_batch())));
    let running = Running {
        search,
        contents,
        filter: Arc::new(search.filter.clone()),
        visited: AtomicUsize::new(0),
        after,
        // One more than asked tells whether there is a next page.
        found: Mutex::new(Found {
            records: BTreeMap::new(),
            wanted: search.limit + 1,
        }),
        scanned: AtomicU64::new(0),
        damaged: AtomicBool::new(damaged),
        spent: Mutex::new(None),
    };
    let (end, _) = visit(&units, Scratch::default, |unit, scratch| {
        running.visit(unit, scratch)
    })?;
    Ok(running.page(units.get(end)))
}

impl Running<'_> {
    /// Adds the unit's matches; `false` if it is not needed or may not be visited any more.
    fn visit(&self, unit: &Unit, scratch: &mut Scratch) -> Result<bool, StoreError> {
        let front = self.search.direction.rank(self.search.direction.front(unit));
        if self.found().limit().is_some_and(|limit| limit > front) {
            return Ok(false);
        }
        // A page that would begin where this one did goes on past the limit, so that who asks again gets further.
        if front < self.after
            && let Some(partial) = self.search.budget.spent()
        {
            self.spent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(partial);
            return Ok(false);
        }
        let read = match unit {
            Unit::Block(block) => self.visit_block(block),
            Unit::Batch(entry) => self
                .contents
                .decode(entry)
                .map(|batch| self.visit_batch(&batch, scratch)),
        };
        unit.readable(read, &self.damaged)?;
        Ok(true)
    }

    fn visit_batch(&self, batch: &StoredBatch, scratch: &mut Scratch) {
        let mut scanned = 0;
        for (index, record) in batch.records.iter().enumerate() {
            let id = batch.record_id(index);
            let rank = self.search.direction.rank(Cursor {
                time: record.time,
                id,
            });
            if !self.search.range.holds(record.time)
                || rank >= self.after
                || self.found().limit().is_some_and(|limit| rank < limit)
            {
                continue;
            }
            scanned += 1;
            if self.search.filter.matches(record, &batch.source, scratch) {
                let source = batch.source.clone();
                let record = record.clone();
                self.found().add(rank, StoredRecord { id, source, record });
            }
        }
        self.scanned.fetch_add(scanned, Ordering::Relaxed);
    }

    fn visit_block(&self, block: &Arc<Block>) -> Result<(), StoreError> {
        let (limit, wanted) = {
            let found = self.found();
            (found.limit().unwrap_or(Rank::MIN), found.wanted)
        };
        let sought = Sought {
            filter: self.filter.clone(),
            range: self.search.range,
            direction: self.search.direction,
            after: self.after,
            limit,
            wanted,
        };
        let mut seen = None;
        if self.visited.fetch_add(1, Ordering::Relaxed) < kept::BLOCKS {
            let sought = sought.clone();
            let look = move |block: &mut block::Block<'_>| sought.records_of(block);
            seen = self.contents.kept.look(block, look);
        }
        let records = match seen {
            Some(Ok(records)) => Some(records),
            // One that could not stay open, for whatever reason, is opened here.
            Some(Err(_)) | None => {
                block.open_if(&self.filter, |block| sought.records_of(block))?
            }
        };
        let Some(records) = records else { return Ok(()) };
        self.scanned
            .fetch_add(u64::from(block.summary.rows), Ordering::Relaxed);
        let mut found = self.found();
        for record in records {
            found.add(self.search.direction.rank(place(&record)), record);
        }
        Ok(())
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer; `unvisited` is the first unit that was not visited.
    fn page(self, unvisited: Option<&Unit>) -> Page {
        let Found { mut records, wanted } = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let scanned = self.scanned.into_inner();
        let spent = self.spent.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((partial, unvisited)) = spent.zip(unvisited) {
            // Only what comes before everything unvisited is certain; the next page goes on behind that.
            let rest = self.search.direction.front(unvisited);
            let certain = records.split_off(&self.search.direction.rank(rest));
            return Page {
                records: certain.into_values().rev().collect(),
                next: Some(rest),
                scanned,
                partial: Some(partial),
            };
        }
        let more = records.len() == wanted;
        if more {
            records.pop_first();
        }
        let last = records.first_key_value().filter(|_| more);
        Page {
            next: last.map(|(_, record)| place(record)),
            records: records.into_values().rev().collect(),
            scanned,
            partial: self.damaged.into_inner().then_some(Partial::Damaged),
        }
    }
}

/// What is looked for in a block.
#[derive(Clone)]
struct Sought {
    filter: Arc<Filter>,
    range: TimeRange,
    direction: Direction,
    /// Only what comes after this rank,
    after: Rank,
    /// and not after this one.
    limit: Rank,
    wanted: usize,
}

impl Sought {
    fn records_of(&self, block: &mut block::Block<'_>) -> Result<Vec<StoredRecord>, Damaged> {
        let rows = block.select(&self.filter, self.range)?;
        let rows = self.first_of(block, &rows)?;
        block.records(&rows, &Parts::All)
    }

    /// Those of the rows that may still be wanted, rising.
    fn first_of(&self, block: &mut block::Block<'_>, rows: &Rows) -> Result<Vec<usize>, Damaged> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        // What is found is put in order anyway; times need not be read to choose from so few.
        if self.after == Rank::MAX && self.limit == Rank::MIN && rows.count() <= self.wanted {
            return Ok(rows.iter().collect());
        }
        let direction = self.direction;
        let rank = |time: i64, id| {
            direction.rank(Cursor {
                time: Timestamp::from_nanos(time),
                id,
            })
        };
        // Ids rise with rows, so that within a block rows order as ids do; ranks need not be made for all of them.
        let key = |time: i64, row: usize| match direction {
            Direction::Older => (time, row),
            Direction::Newer => (!time, !row),
        };
        let front = |chunk: &Chunk| match direction {
            Direction::Older => key(chunk.latest, usize::MAX),
            Direction::Newer => key(chunk.earliest, 0),
        };
        let chunks = block.chunks()?;
        let mut chunks: Vec<&Chunk> = chunks.iter().collect();
        chunks.sort_by_key(|chunk| Reverse(front(chunk)));
        let mut first = Greatest::new(self.wanted);
        for chunk in chunks {
            if first.least().is_some_and(|least| front(chunk) < least) {
                break;
            }
            let mut see = |row: usize| -> Result<(), Damaged> {
                let time = block.time(row)?;
                if self.after == Rank::MAX || rank(time, block.identity(row).0) < self.after {
                    first.add(key(time, row));
                }
                Ok(())
            };
            let rows = rows.within(chunk.rows.clone());
            match direction {
                Direction::Older => rows.rev().try_for_each(&mut see)?,
                Direction::Newer => rows.into_iter().try_for_each(&mut see)?,
            }
        }
        let mut wanted = Vec::with_capacity(self.wanted);
        for (time, row) in first.into_keys() {
            let (time, row) = match direction {
                Direction::Older => (time, row),
                Direction::Newer => (!time, !row),
            };
            if rank(time, block.identity(row).0) >= self.limit {
                wanted.push(row);
            }
        }
        wanted.sort_unstable();
        Ok(wanted)
    }
}

/// The greatest of what is added, so many of them. Fast if most of them come first.
struct Greatest<K> {
    keys: Vec<K>,
    wanted: usize,
    /// There are as many as wanted that are not less.
    least: Option<K>,
}

impl<K: Ord + Copy> Greatest<K> {
    fn new(wanted: usize) -> Greatest<K> {
        Greatest {
            keys: Vec::with_capacity(2 * wanted),
            wanted,
            least: None,
        }
    }

    fn least(&self) -> Option<K> {
        self.least
    }

    fn add(&mut self, key: K) {
        if self.least.is_some_and(|least| key < least) {
            return;
        }
        self.keys.push(key);
        if self.keys.len() == 2 * self.wanted {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.keys.len() >= self.wanted {
            let greatest_first = |one: &K, other: &K| other.cmp(one);
            self.keys.select_nth_unstable_by(self.wanted - 1, greatest_first);
            self.keys.truncate(self.wanted);
            self.least = self.keys.last().copied();
        }
    }

    /// In no order.
    fn into_keys(mut self) -> Vec<K> {
        self.cut();
        self.keys
    }
}

fn place(record: &StoredRecord) -> Cursor {
    Cursor {
        time: record.record.time,
        id: record.id,
    }
}
