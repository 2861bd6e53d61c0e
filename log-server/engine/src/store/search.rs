//! Finding the newest records that match.
//!
//! Batches are visited by their latest record, newest first; as soon as the page is full and no unvisited batch can
//! hold anything newer than its oldest record, the search is over.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::query::{Filter, Scratch};

use super::block;
use super::blocks::Block;
use super::contents::Contents;
use super::kept;
use super::sought::Sought;
use super::unit::{self, Unit};
use super::visit::visit;
use super::{Cursor, RecordId, StoreError, StoredBatch, StoredRecord, TimeRange};

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
pub(super) type Rank = i128;

impl Direction {
    pub(super) fn rank(self, cursor: Cursor) -> Rank {
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
struct Found<R> {
    records: BTreeMap<Rank, R>,
    wanted: usize,
}

impl<R> Found<R> {
    /// The last that is kept, once there are as many as wanted: what comes after it is not.
    fn limit(&self) -> Option<Rank> {
        let last = self.records.first_key_value().map(|(rank, _)| *rank);
        last.filter(|_| self.records.len() == self.wanted)
    }

    fn add(&mut self, rank: Rank, record: R) {
        self.records.insert(rank, record);
        if self.records.len() > self.wanted {
            self.records.pop_first();
        }
    }

    /// The page in order, and whether there are more records than fit on it. Of a search that ended early, only what comes
    /// before the `rest`, which was not looked at, is certain; that such a page is full is certain as well, and then the next
    /// one begins behind its last record: more of them may have been found and put aside.
    fn into_page(mut self, rest: Option<Rank>) -> (Vec<R>, bool) {
        if let Some(rest) = rest {
            self.records = self.records.split_off(&rest);
        }
        let more = self.records.len() == self.wanted;
        if more {
            self.records.pop_first();
        }
        (self.records.into_values().rev().collect(), more)
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
    found: Mutex<Found<StoredRecord>>,
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
            Some(Err(_)) | None => block.open_if(&self.filter, |block| sought.records_of(block))?,
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

    fn found(&self) -> MutexGuard<'_, Found<StoredRecord>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer; `unvisited` is the first unit that was not visited.
    fn page(self, unvisited: Option<&Unit>) -> Page {
        let direction = self.search.direction;
        let found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let spent = self.spent.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = spent
            .zip(unvisited)
            .map(|(partial, unvisited)| (partial, direction.front(unvisited)));
        let (records, more) = found.into_page(ended.map(|(_, rest)| direction.rank(rest)));
        let (next, partial) = match ended {
            Some((partial, rest)) if !more => (Some(rest), Some(partial)),
            Some(_) | None => {
                let damaged = self.damaged.into_inner().then_some(Partial::Damaged);
                (records.last().filter(|_| more).map(place), damaged)
            }
        };
        Page {
            records,
            next,
            scanned: self.scanned.into_inner(),
            partial,
        }
    }
}

fn place(record: &StoredRecord) -> Cursor {
    Cursor {
        time: record.record.time,
        id: record.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &[Rank], rest: Option<Rank>, expected: &[Rank], more: bool) {
        let mut page = Found {
            records: BTreeMap::new(),
            wanted: 4,
        };
        found.iter().for_each(|rank| page.add(*rank, *rank));
        assert_eq!(
            page.into_page(rest),
            (expected.to_vec(), more),
            "{found:?} {rest:?}"
        );
    }

    /// A search that ended early after its page was full went on where it had ended, behind records that had been found
    /// and had no room.
    #[test]
    fn nothing_between_a_full_page_and_where_a_search_ended_is_left_out() {
        check(&[1, 2, 3], None, &[3, 2, 1], false);
        check(&[5, 1, 2, 4, 3], None, &[5, 4, 3], true);
        check(&[5, 1, 4, 3], Some(2), &[5, 4, 3], false);
        check(&[9, 8, 7, 6, 5, 4], Some(2), &[9, 8, 7], true);
        check(&[9, 8, 7, 6, 5, 4], Some(7), &[9, 8, 7], false);
        check(&[], Some(7), &[], false);
    }
}
