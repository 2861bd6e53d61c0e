//! Finding the newest records that match.
//!
//! Batches are visited by their latest record, newest first; as soon as the page is full and no unvisited batch can
//! hold anything newer than its oldest record, the search is over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::query::{Filter, Scratch};

use super::tail::{Entry, Tail};
use super::{Cursor, RecordId, StoreError, StoredBatch, StoredRecord, TimeRange};

/// What to find.
pub struct Search<'a> {
    /// Which records.
    pub filter: &'a Filter,
    /// Of which time.
    pub range: TimeRange,
    /// Only what follows this place.
    pub after: Option<Cursor>,
    /// At most this many; not 0.
    pub limit: usize,
    /// How long it may take.
    pub budget: &'a Budget,
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
}

/// Records found, newest first.
#[derive(Debug)]
pub struct Page {
    /// The records, by time and id, newest first.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins; `None` when there is nothing more.
    pub next: Option<Cursor>,
    /// Records looked at.
    pub scanned: u64,
    /// Why the page ends before it is full although there may be more.
    pub partial: Option<Partial>,
}

/// What a batch gave: the matching records of it, by cursor.
type Found = BTreeMap<Cursor, StoredRecord>;

pub(super) fn run(tail: &Tail, search: &Search<'_>) -> Result<Page, StoreError> {
    let mut entries = tail.entries();
    entries.retain(|entry| search.range.touches(entry.earliest, entry.latest));
    entries.sort_unstable_by_key(|entry| (entry.latest, entry.id));
    let mut found = Found::new();
    let mut scratch = Scratch::default();
    let mut scanned = 0;
    // One more than asked tells whether there is a next page.
    let wanted = search.limit + 1;
    for entry in entries.iter().rev() {
        if found.len() == wanted
            && found
                .first_key_value()
                .is_some_and(|(oldest, _)| oldest.time > entry.latest)
        {
            break;
        }
        if search.after.is_some_and(|after| entry.earliest > after.time) {
            continue;
        }
        // Only what is newer than everything unvisited is certain; the next page goes on below that. A page that would
        // begin where this one did goes on past the limit, so that who asks again gets further.
        let rest = Cursor {
            time: entry.latest,
            id: RecordId::MAX,
        };
        if search.after.is_none_or(|after| rest < after)
            && let Some(partial) = search.budget.spent()
        {
            let certain = found.split_off(&rest).into_values().rev().collect();
            return Ok(Page {
                records: certain,
                next: Some(rest),
                scanned,
                partial: Some(partial),
            });
        }
        scanned += visit(
            &*tail.decode(entry)?,
            entry,
            search,
            wanted,
            &mut found,
            &mut scratch,
        );
    }
    let more = found.len() == wanted;
    if more {
        found.pop_first();
    }
    let next = found
        .first_key_value()
        .filter(|_| more)
        .map(|(cursor, _)| *cursor);
    Ok(Page {
        records: found.into_values().rev().collect(),
        next,
        scanned,
        partial: None,
    })
}

/// Adds the batch's matches, keeping the `wanted` newest; returns how many records it looked at.
fn visit(
    batch: &StoredBatch,
    entry: &Entry,
    search: &Search<'_>,
    wanted: usize,
    found: &mut Found,
    scratch: &mut Scratch,
) -> u64 {
    let mut scanned = 0;
    for (place, record) in batch.records.iter().enumerate() {
        let cursor = Cursor {
            time: record.time,
            id: RecordId::new(entry.id, place),
        };
        if !search.range.holds(record.time) || search.after.is_some_and(|after| cursor >= after) {
            continue;
        }
        if found.len() == wanted
            && found
                .first_key_value()
                .is_some_and(|(oldest, _)| cursor < *oldest)
        {
            continue;
        }
        scanned += 1;
        if !search.filter.matches(record, &batch.source, scratch) {
            continue;
        }
        found.insert(
            cursor,
            StoredRecord {
                id: cursor.id,
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
