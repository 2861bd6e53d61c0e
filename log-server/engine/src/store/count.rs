//! How often records have which names, levels or values: by column where that is possible.

use log_record::{LogRecord, Source};

use crate::query::{Field, Scratch};

use super::StoreError;
use super::contents::Contents;
use super::scan::{self, Scan, Scanned};
use super::unit::Unit;

/// What to count.
#[derive(Debug, Clone, Copy)]
pub enum CountOf<'a> {
    /// Names of the records' own fields.
    Names,
    /// Levels, by name.
    Levels,
    /// The values of a field: text as it is, everything else as JSON writes it, the items of a list one by one.
    Values(&'a Field),
}

impl CountOf<'_> {
    fn see(self, record: &LogRecord, source: &Source, scratch: &mut Scratch, see: &mut dyn FnMut(&str, u64)) {
        match self {
            CountOf::Names => record.fields.iter().for_each(|(name, _)| see(name, 1)),
            CountOf::Levels => see(record.level().as_str(), 1),
            CountOf::Values(field) => {
                field.each_value(record, source, scratch, &mut |value| see(value, 1));
            }
        }
    }
}

/// Shows texts and how often they occur to `see`; a text is shown more than once. `scan.parts` does not matter.
pub(super) fn run<A: Send>(
    contents: &Contents,
    scan: &Scan<'_>,
    what: CountOf<'_>,
    new: impl Fn() -> A + Sync,
    see: impl Fn(&mut A, &str, u64) + Sync,
) -> Result<(Vec<A>, Scanned), StoreError> {
    scan::each_unit(
        contents,
        scan.range,
        scan.budget,
        new,
        |unit, scratch, accumulator| {
            let mut see = |text: &str, count: u64| see(accumulator, text, count);
            match unit {
                Unit::Block(block) => {
                    let looked_at = block.open_if(scan.filter, |block| {
                        let rows = block.select(scan.filter, scan.range)?;
                        block.count(&what, &rows, &mut see)?;
                        Ok(block.rows() as u64)
                    })?;
                    Ok(looked_at.unwrap_or(0))
                }
                Unit::Batch(entry) => {
                    let batch = contents.decode(entry)?;
                    let records = batch
                        .records
                        .iter()
                        .filter(|record| scan.range.holds(record.time));
                    let mut looked_at = 0;
                    for record in records {
                        looked_at += 1;
                        if scan.filter.matches(record, &batch.source, scratch) {
                            what.see(record, &batch.source, scratch, &mut see);
                        }
                    }
                    Ok(looked_at)
                }
            }
        },
    )
}
