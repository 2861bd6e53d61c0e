//! Looking at every record of a time that matches, in no particular order: what counting stands on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use log_record::{LogRecord, Source};

use crate::query::{Column, Filter, Scratch};

use super::block::{self, Damaged, ROWS_AT_ONCE, Rows};
use super::blocks::Block;
use super::contents::Contents;
use super::search::{Budget, Partial};
use super::tail::Entry;
use super::unit::{self, Unit};
use super::visit::visit;
use super::{Parts, Store, StoreError, TimeRange};

/// What to look at.
pub struct Scan<'a> {
    /// Which records.
    pub filter: &'a Filter,
    /// Of which time.
    pub range: TimeRange,
    /// What of them.
    pub parts: Parts,
    /// How long it may take.
    pub budget: &'a Budget,
}

/// What a scan says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Records looked at.
    pub scanned: u64,
    /// Whether records may be missing.
    pub partial: Option<Partial>,
}

/// What is seen of records that are only to be counted.
pub enum Seen<'r> {
    /// So many records with this value, or without one.
    Group(Option<&'r str>, u64),
    /// A record, where only it can tell what it is counted under.
    Record(&'r LogRecord, &'r Arc<Source>),
}

impl Store {
    /// As [`Store::fold`], for who only counts the matching records by one column, or all of them: where that can be told
    /// without making records, groups are shown instead. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// As for [`Store::fold`].
    pub fn group<A: Send>(
        &self,
        scan: &Scan<'_>,
        by: Option<&Column>,
        new: impl Fn() -> A + Sync,
        see: impl Fn(&mut A, Seen<'_>) + Sync,
    ) -> Result<(Vec<A>, Scanned), StoreError> {
        let contents = &self.inner.contents;
        let look = |unit: &Unit, scratch: &mut Scratch, accumulator: &mut A| match unit {
            Unit::Block(block) => {
                let looked_at = block.open_if(scan.filter, |block| {
                    let all = block.rows() as u64;
                    if by.is_none()
                        && let Some(count) = block.count_found(scan.filter, scan.range)?
                    {
                        if count > 0 {
                            see(accumulator, Seen::Group(None, count));
                        }
                        return Ok(all);
                    }
                    let mut see_group =
                        |value: Option<&str>, count| see(accumulator, Seen::Group(value, count));
                    if block.group_present(by, scan.filter, scan.range, &mut see_group)? {
                        return Ok(all);
                    }
                    let rows = block.select(scan.filter, scan.range)?;
                    if !rows.is_empty() && !block.group(by, &rows, &mut see_group)? {
                        scan.show(block, &rows, |record, source| {
                            see(accumulator, Seen::Record(record, source));
                        })?;
                    }
                    Ok(all)
                })?;
                Ok(looked_at.unwrap_or(0))
            }
            Unit::Batch(entry) => scan.look_into_batch(contents, entry, scratch, |record, source| {
                see(accumulator, Seen::Record(record, source));
            }),
        };
        each_unit(contents, scan.range, scan.budget, new, look)
    }
}

/// Shows every matching record to `see`, with an accumulator of the thread that looks at it. Returns the accumulators.
pub(super) fn run<A: Send>(
    contents: &Contents,
    scan: &Scan<'_>,
    new: impl Fn() -> A + Sync,
    see: impl Fn(&mut A, &LogRecord, &Arc<Source>) + Sync,
) -> Result<(Vec<A>, Scanned), StoreError> {
    let look = |unit: &Unit, scratch: &mut Scratch, accumulator: &mut A| match unit {
        Unit::Block(block) => scan.look_into(block, |record, source| see(accumulator, record, source)),
        Unit::Batch(entry) => scan.look_into_batch(contents, entry, scratch, |record, source| {
            see(accumulator, record, source);
        }),
    };
    each_unit(contents, scan.range, scan.budget, new, look)
}

impl Scan<'_> {
    fn look_into(
        &self,
        block: &Block,
        mut see: impl FnMut(&LogRecord, &Arc<Source>),
    ) -> Result<u64, StoreError> {
        let looked_at = block.open_if(self.filter, |block| {
            let rows = block.select(self.filter, self.range)?;
            self.show(block, &rows, &mut see)?;
            Ok(block.rows() as u64)
        })?;
        Ok(looked_at.unwrap_or(0))
    }

    fn show(
        &self,
        block: &mut block::Block<'_>,
        rows: &Rows,
        mut see: impl FnMut(&LogRecord, &Arc<Source>),
    ) -> Result<(), Damaged> {
        let rows: Vec<usize> = rows.iter().collect();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            for stored in block.records(rows, &self.parts)? {
                see(&stored.record, &stored.source);
            }
        }
        Ok(())
    }

    fn look_into_batch(
        &self,
        contents: &Contents,
        entry: &Entry,
        scratch: &mut Scratch,
        mut see: impl FnMut(&LogRecord, &Arc<Source>),
    ) -> Result<u64, StoreError> {
        let batch = contents.decode(entry)?;
        let mut looked_at = 0;
        for record in batch
            .records
            .iter()
            .filter(|record| self.range.holds(record.time))
        {
            looked_at += 1;
            if self.filter.matches(record, &batch.source, scratch) {
                see(record, &batch.source);
            }
        }
        Ok(looked_at)
    }
}

/// Looks at every unit that may hold records of `range`; `look` answers how many records it looked at.
pub(super) fn each_unit<A: Send>(
    contents: &Contents,
    range: TimeRange,
    budget: &Budget,
    new: impl Fn() -> A + Sync,
    look: impl Fn(&Unit, &mut Scratch, &mut A) -> Result<u64, StoreError> + Sync,
) -> Result<(Vec<A>, Scanned), StoreError> {
    let (mut units, damaged) = unit::list(contents, range);
    // The newest first: if time runs out, what is missing is old.
    units.reverse();
    let (scanned, damaged) = (AtomicU64::new(0), AtomicBool::new(damaged));
    let spent = Mutex::new(None);
    let (_, accumulators) = visit(
        &units,
        || (Scratch::default(), new()),
        |unit, (scratch, accumulator)| {
            if let Some(partial) = budget.spent() {
                *spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(partial);
                return Ok(false);
            }
            let looked_at = unit.readable(look(unit, scratch, accumulator), &damaged)?;
            scanned.fetch_add(looked_at.unwrap_or(0), Ordering::Relaxed);
            Ok(true)
        },
    )?;
    let damaged = damaged.into_inner().then_some(Partial::Damaged);
    let scanned = Scanned {
        scanned: scanned.into_inner(),
        partial: spent
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .or(damaged),
    };
    Ok((
        accumulators
            .into_iter()
            .map(|(_, accumulator)| accumulator)
            .collect(),
        scanned,
    ))
}
