//! Finding the newest records that match.
//!
//! Batches are visited by their latest record, newest first; as soon as the page is full and no unvisited batch can
//! hold anything newer than its oldest record, the search is over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::query::{Filter, Scratch};

use super::contents::Contents;
use super::unit::{self, Unit};
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
type Found = BTreeMap<Rank, StoredRecord>;

pub(super) fn run(contents: &Contents, search: &Search<'_>) -> Result<Page, StoreError> {
    let direction = search.direction;
    let after = search.after.map_or(Rank::MAX, |after| direction.rank(after));
    let (mut entries, mut damaged) = unit::list(contents, search.range);
    entries.retain(|entry| direction.rank(direction.back(entry)) < after);
    entries.sort_unstable_by_key(|entry| (direction.rank(direction.front(entry)), entry.first_batch()));
    let mut found = Found::new();
    let mut scratch = Scratch::default();
    let mut scanned = 0;
    // One more than asked tells whether there is a next page.
    let wanted = search.limit + 1;
    for entry in entries.iter().rev() {
        let rest = direction.front(entry);
        if found.len() == wanted
            && found
                .first_key_value()
                .is_some_and(|(last, _)| *last > direction.rank(rest))
        {
            break;
        }
        // Only what comes before everything unvisited is certain; the next page goes on behind that. A page that would
        // begin where this one did goes on past the limit, so that who asks again gets further.
        if direction.rank(rest) < after
            && let Some(partial) = search.budget.spent()
        {
            let certain = found
                .split_off(&direction.rank(rest))
                .into_values()
                .rev()
                .collect();
            return Ok(Page {
                records: certain,
                next: Some(rest),
                scanned,
                partial: Some(partial),
            });
        }
        for batch in entry.batches(contents, &mut damaged)? {
            scanned += visit(&batch, search, wanted, &mut found, &mut scratch);
        }
    }
    let more = found.len() == wanted;
    if more {
        found.pop_first();
    }
    let place = |record: &StoredRecord| Cursor {
        time: record.record.time,
        id: record.id,
    };
    let next = found
        .first_key_value()
        .filter(|_| more)
        .map(|(_, record)| place(record));
    Ok(Page {
        records: found.into_values().rev().collect(),
        next,
        scanned,
        partial: damaged.then_some(Partial::Damaged),
    })
}

/// Adds the batch's matches, keeping the first `wanted`; returns how many records it looked at.
fn visit(
    batch: &StoredBatch,
    search: &Search<'_>,
    wanted: usize,
    found: &mut Found,
    scratch: &mut Scratch,
) -> u64 {
    let after = search
        .after
        .map_or(Rank::MAX, |after| search.direction.rank(after));
    let mut scanned = 0;
    for (index, record) in batch.records.iter().enumerate() {
        let id = batch.record_id(index);
        let rank = search.direction.rank(Cursor {
            time: record.time,
            id,
        });
        if !search.range.holds(record.time) || rank >= after {
            continue;
        }
        if found.len() == wanted && found.first_key_value().is_some_and(|(last, _)| rank < *last) {
            continue;
        }
        scanned += 1;
        if !search.filter.matches(record, &batch.source, scratch) {
            continue;
        }
        found.insert(
            rank,
            StoredRecord {
                id,
                source: batch.source.clone(),
                record: record.clone(),
            },
        );
        if found.len() > wanted {
            found.pop_first();
        }
    }
    scanned
}
