//! Counting the records that match, over time and per level.

use std::time::Duration;

use log_record::{Level, Timestamp};

use crate::query::{Filter, Scratch};

use super::block::{self, Damaged, Rows, Summary};
use super::blocks::Block;
use super::contents::Contents;
use super::scan::{self, Scanned};
use super::search::{Budget, Partial};
use super::unit::{self, Unit};
use super::{StoreError, StoredBatch, TimeRange};

/// What to count.
pub struct Histogram<'a> {
    /// Which records.
    pub filter: &'a Filter,
    /// Of which time; an open end is closed by the oldest or newest stored record.
    pub range: TimeRange,
    /// About how many buckets; the step is rounded up to one that people read easily. Not 0.
    pub buckets: usize,
    /// How long it may take.
    pub budget: &'a Budget,
}

/// The counts.
#[derive(Debug)]
pub struct Histogrammed {
    /// What was covered; whole buckets.
    pub range: TimeRange,
    /// The width of a bucket.
    pub step: Duration,
    /// The buckets that have records, oldest first.
    pub buckets: Vec<Bucket>,
    /// Records counted, all buckets together.
    pub total: u64,
    /// Records looked at.
    pub scanned: u64,
    /// Whether records may be missing.
    pub partial: Option<Partial>,
}

/// The records of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its first moment.
    pub start: Timestamp,
    /// How many, by [`Level`] as index.
    pub counts: [u64; Level::ALL.len()],
}

pub(super) fn run(contents: &Contents, histogram: &Histogram<'_>) -> Result<Histogrammed, StoreError> {
    let (entries, _) = unit::list(contents, histogram.range);
    let range = closed(
        histogram.range,
        entries.iter().map(|entry| entry.earliest()).min(),
        entries.iter().map(|entry| entry.latest()).max(),
    );
    let step = step(range, histogram.buckets);
    let first = range.from.as_nanos().div_euclid(step);
    let last = range.to.as_nanos().saturating_sub(1).div_euclid(step);
    let length = usize::try_from(last - first + 1).expect("the step bounds the number of buckets");
    let counting = Counting {
        filter: histogram.filter,
        range,
        step,
        first,
    };
    let new = || vec![[0; Level::ALL.len()]; length];
    let (counted, Scanned { scanned, partial }) = scan::each_unit(
        contents,
        range,
        histogram.budget,
        new,
        |unit, scratch, counts| match unit {
            Unit::Block(block) => counting.count_block(block, counts),
            Unit::Batch(entry) => contents
                .decode(entry)
                .map(|batch| counting.count_batch(&batch, scratch, counts)),
        },
    )?;
    let mut counts = new();
    for (sum, count) in counted
        .iter()
        .flat_map(|counted| counted.iter().flatten().enumerate())
    {
        counts[sum / Level::ALL.len()][sum % Level::ALL.len()] += count;
    }
    let total = counts.iter().flatten().sum();
    let start = |index: i64| Timestamp::from_nanos((first + index).saturating_mul(step));
    let buckets = (0..)
        .zip(counts)
        .filter(|(_, counts)| counts.iter().any(|count| *count > 0));
    Ok(Histogrammed {
        buckets: buckets
            .map(|(index, counts)| Bucket {
                start: start(index),
                counts,
            })
            .collect(),
        range: TimeRange {
            from: start(0),
            to: start(last - first + 1),
        },
        step: Duration::from_nanos(step.unsigned_abs()),
        total,
        scanned,
        partial,
    })
}

/// How many records of each level.
type PerLevel = [u64; Level::ALL.len()];

/// By bucket.
type Counts = Vec<PerLevel>;

/// What is counted, and into which buckets.
struct Counting<'a> {
    filter: &'a Filter,
    range: TimeRange,
    step: i64,
    first: i64,
}

impl Counting<'_> {
    fn bucket(&self, time: i64) -> usize {
        usize::try_from(time.div_euclid(self.step) - self.first).expect("it is in range")
    }

    /// The bucket that has all from `earliest` to `latest`, if one has.
    fn one_bucket(&self, earliest: i64, latest: i64) -> Option<usize> {
        let holds = |time| self.range.holds(Timestamp::from_nanos(time));
        let one = holds(earliest)
            && holds(latest)
            && earliest.div_euclid(self.step) == latest.div_euclid(self.step);
        one.then(|| self.bucket(earliest))
    }

    fn count_batch(&self, batch: &StoredBatch, scratch: &mut Scratch, counts: &mut Counts) -> u64 {
        let mut looked_at = 0;
        for record in batch
            .records
            .iter()
            .filter(|record| self.range.holds(record.time))
        {
            looked_at += 1;
            if self.filter.matches(record, &batch.source, scratch) {
                counts[self.bucket(record.time.as_nanos())][record.level() as usize] += 1;
            }
        }
        looked_at
    }

    fn count_block(&self, block: &Block, counts: &mut Counts) -> Result<u64, StoreError> {
        if *self.filter == Filter::All {
            self.count_all(block, counts)?;
        } else {
            block.open_if(self.filter, |block| {
                let found = block.select(self.filter, self.range)?;
                self.count_found(block, &found, counts)
            })?;
        }
        Ok(u64::from(block.summary.rows))
    }

    /// Counts the rows found, and looks at the times only of those in chunks that lie in several buckets.
    fn count_found(
        &self,
        block: &mut block::Block<'_>,
        found: &Rows,
        counts: &mut Counts,
    ) -> Result<(), Damaged> {
        let (earliest, latest) = block.span();
        if let Some(bucket) = self.one_bucket(earliest.as_nanos(), latest.as_nanos()) {
            return count_levels(block, found.iter(), &mut counts[bucket]);
        }
        for chunk in &*block.chunks()? {
            let rows = found.within(chunk.rows.clone());
            match self.one_bucket(chunk.earliest, chunk.latest) {
                Some(bucket) => count_levels(block, rows, &mut counts[bucket])?,
                None => self.count_rows(block, rows, counts)?,
            }
        }
        Ok(())
    }

    /// Counts every row, and looks only at those of chunks that lie in several buckets.
    fn count_all(&self, block: &Block, counts: &mut Counts) -> Result<(), StoreError> {
        let Summary { earliest, latest, .. } = block.summary;
        if let Some(bucket) = self.one_bucket(earliest.as_nanos(), latest.as_nanos()) {
            add(&mut counts[bucket], block.summary.counts.map(u64::from));
            return Ok(());
        }
        let mut rest = Vec::new();
        for chunk in block.chunks()? {
            match (self.one_bucket(chunk.earliest, chunk.latest), chunk.counts) {
                (Some(bucket), Some(of_chunk)) => add(&mut counts[bucket], of_chunk),
                (Some(_), None) | (None, _) => rest.push(chunk.rows),
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        block.open(|block| self.count_rows(block, rest.into_iter().flatten(), counts))
    }

    /// Counts those of the rows, which rise, that are in range.
    fn count_rows(
        &self,
        block: &mut block::Block<'_>,
        rows: impl Iterator<Item = usize>,
        counts: &mut Counts,
    ) -> Result<(), Damaged> {
        // Rows that follow each other nearly always are in one bucket, and finding it takes a division.
        let (mut bucket, mut within) = (0, 0..0);
        let mut levels = block.levels()?;
        for row in rows {
            let time = block.time(row)?;
            if !within.contains(&time) {
                if !self.range.holds(Timestamp::from_nanos(time)) {
                    continue;
                }
                bucket = self.bucket(time);
                let start = time.saturating_sub(time.rem_euclid(self.step));
                // Ends early where a bucket is not wholly in range.
                within = start.max(self.range.from.as_nanos())
                    ..start.saturating_add(self.step).min(self.range.to.as_nanos());
            }
            counts[bucket][levels.of(row)? as usize] += 1;
        }
        Ok(())
    }
}

fn count_levels(
    block: &block::Block<'_>,
    rows: impl Iterator<Item = usize>,
    counts: &mut PerLevel,
) -> Result<(), Damaged> {
    let mut levels = block.levels()?;
    for row in rows {
        counts[levels.of(row)? as usize] += 1;
    }
    Ok(())
}

fn add(counts: &mut PerLevel, more: PerLevel) {
    counts
        .iter_mut()
        .zip(more)
        .for_each(|(count, more)| *count += more);
}

/// The range with its open ends closed by what is stored.
fn closed(range: TimeRange, earliest: Option<Timestamp>, latest: Option<Timestamp>) -> TimeRange {
    let now = Timestamp::now();
    let from = if range.from == Timestamp::MIN {
        earliest.unwrap_or(now)
    } else {
        range.from
    };
    let after_latest = latest.unwrap_or(now).after(Duration::from_nanos(1));
    let to = if range.to == Timestamp::MAX {
        after_latest
    } else {
        range.to
    };
    TimeRange {
        from,
        to: to.max(from.after(Duration::from_nanos(1))),
    }
}

/// The narrowest step of a clock face that needs no more than `buckets` buckets (one more when the range does not begin
/// on a step).
fn step(range: TimeRange, buckets: usize) -> i64 {
    const MS: i64 = 1_000_000;
    const SECOND: i64 = 1_000 * MS;
    const HOUR: i64 = 3_600 * SECOND;
    const DAY: i64 = 24 * HOUR;
    const STEPS: [i64; 29] = [
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        SECOND,
        2 * SECOND,
        5 * SECOND,
        10 * SECOND,
        15 * SECOND,
        30 * SECOND,
        60 * SECOND,
        120 * SECOND,
        300 * SECOND,
        600 * SECOND,
        900 * SECOND,
        1_800 * SECOND,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        7 * DAY,
        30 * DAY,
    ];
    let span = i128::from(range.to.as_nanos()) - i128::from(range.from.as_nanos());
    let least = span.div_euclid(i128::try_from(buckets.max(1)).expect("a usize fits")) + 1;
    let known = STEPS.into_iter().find(|step| i128::from(*step) >= least - 1);
    // Beyond that, whole days.
    known
        .unwrap_or_else(|| i64::try_from((least / i128::from(DAY) + 1) * i128::from(DAY)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(span: Duration, buckets: usize, expected: Duration) {
        let range = TimeRange {
            from: Timestamp::default(),
            to: Timestamp::default().after(span),
        };
        assert_eq!(
            Duration::from_nanos(step(range, buckets).unsigned_abs()),
            expected,
            "{span:?} in {buckets}"
        );
    }

    #[test]
    fn steps_are_those_of_a_clock_and_no_finer_than_asked() {
        let seconds = Duration::from_secs;
        check(seconds(3_600), 60, seconds(60));
        check(seconds(3_600), 59, seconds(120));
        check(seconds(900), 60, seconds(15));
        check(seconds(86_400 * 365), 60, seconds(7 * 86_400));
        check(Duration::from_nanos(1), 60, Duration::from_millis(1));
        check(seconds(86_400 * 365 * 200), 10, seconds(7_301 * 86_400));
    }

    #[test]
    fn the_widest_range_has_no_more_buckets_than_asked_and_one() {
        let step = step(TimeRange::ALL, 100);
        assert!(i64::MAX / step - i64::MIN / step <= 101, "{step}");
    }
}
