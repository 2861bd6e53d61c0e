//! Looking at every record of a time that matches, in no particular order: what counting stands on.

use std::sync::Arc;

use log_record::{LogRecord, Source};

use crate::query::{Filter, Scratch};

use super::contents::Contents;
use super::search::{Budget, Partial};
use super::unit;
use super::{StoreError, TimeRange};

/// What to look at.
pub struct Scan<'a> {
    /// Which records.
    pub filter: &'a Filter,
    /// Of which time.
    pub range: TimeRange,
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

pub(super) fn run(
    contents: &Contents,
    scan: &Scan<'_>,
    mut see: impl FnMut(&LogRecord, &Arc<Source>),
) -> Result<Scanned, StoreError> {
    let mut scratch = Scratch::default();
    let mut scanned = 0;
    let (units, mut damaged) = unit::list(contents, scan.range);
    // The newest first: if time runs out, what is missing is old.
    for unit in units.iter().rev() {
        if let Some(partial) = scan.budget.spent() {
            return Ok(Scanned {
                scanned,
                partial: Some(partial),
            });
        }
        for batch in unit.batches(contents, &mut damaged)? {
            for record in batch
                .records
                .iter()
                .filter(|record| scan.range.holds(record.time))
            {
                scanned += 1;
                if scan.filter.matches(record, &batch.source, &mut scratch) {
                    see(record, &batch.source);
                }
            }
        }
    }
    Ok(Scanned {
        scanned,
        partial: damaged.then_some(Partial::Damaged),
    })
}
