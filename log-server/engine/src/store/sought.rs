//! What a search looks for in one block: of the rows that the filter finds, those that come first in its direction.

use std::cmp::Reverse;
use std::sync::Arc;

use log_record::Timestamp;

use crate::query::Filter;

use super::block::{self, Chunk, Damaged, Rows};
use super::search::{Direction, Rank};
use super::{Cursor, Parts, StoredRecord, TimeRange};

/// What is looked for in a block.
#[derive(Clone)]
pub(super) struct Sought {
    pub(super) filter: Arc<Filter>,
    pub(super) range: TimeRange,
    pub(super) direction: Direction,
    /// Only what comes after this rank,
    pub(super) after: Rank,
    /// and not after this one.
    pub(super) limit: Rank,
    pub(super) wanted: usize,
}

impl Sought {
    /// The records in it that may be on the page.
    pub(super) fn records_of(&self, block: &mut block::Block<'_>) -> Result<Vec<StoredRecord>, Damaged> {
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
