//! How many records match over time, per level at most: what the store counts without making records.

use std::time::Duration;

use log_record::Level;

use super::groups::{Groups, Hasher};
use crate::query::{Aggregate, Column, Filter, Table};
use crate::store::{Budget, Direction, Histogram, Scanned, Search, Store, StoreError, TimeRange};

/// Spans of time beyond which records are looked at one by one, for most of the spans would hold none.
const SPANS: u128 = 20_000;

/// The groups of `table`; `None` if it asks for more than that, or for spans of which the store's are no part.
pub(super) fn groups<'t>(
    store: &Store,
    table: &'t Table,
    filter: &Filter,
    range: TimeRange,
    budget: &Budget,
) -> Result<Option<(Groups<'t>, Scanned)>, StoreError> {
    let Some(every) = table.every.filter(|_| only_counts_levels(table)) else {
        return Ok(None);
    };
    let Some(range) = with_records(store, range, budget)? else {
        return Ok(None);
    };
    let spans = range.to.since(range.from).as_nanos().div_ceil(every.as_nanos());
    let Some(buckets) = usize::try_from(spans)
        .ok()
        .filter(|_| (1..=SPANS).contains(&spans))
    else {
        return Ok(None);
    };
    let counted = store.histogram(&Histogram {
        filter,
        range,
        buckets,
        budget,
    })?;
    if every.as_nanos() % counted.step.as_nanos() != 0 {
        return Ok(None);
    }
    let mut groups = Groups::new(table, Hasher::default());
    for bucket in counted.buckets {
        if table.by.is_empty() {
            groups.add_counted(Some(bucket.start), None, bucket.counts.iter().sum());
            continue;
        }
        let levels = Level::ALL
            .into_iter()
            .map(|level| (level, bucket.counts[level as usize]));
        for (level, count) in levels.filter(|(_, count)| *count > 0) {
            groups.add_counted(Some(bucket.start), Some(level.as_str()), count);
        }
    }
    let done = Scanned {
        scanned: counted.scanned,
        partial: counted.partial,
    };
    Ok(Some((groups, done)))
}

/// Whether the table only says how many records there are, by level or altogether.
fn only_counts_levels(table: &Table) -> bool {
    let mut counts = table.aggregates.iter();
    counts.all(|aggregate| *aggregate == Aggregate::Count) && matches!(&*table.by, [] | [Column::Level])
}

/// The range, no wider than what is stored; `None` if nothing is stored in it.
fn with_records(store: &Store, range: TimeRange, budget: &Budget) -> Result<Option<TimeRange>, StoreError> {
    let edge = |direction| {
        let page = store.search(&Search {
            filter: &Filter::All,
            range,
            after: None,
            direction,
            limit: 1,
            budget,
        })?;
        Ok::<_, StoreError>(page.records.first().map(|record| record.record.time))
    };
    let (Some(from), Some(to)) = (edge(Direction::Newer)?, edge(Direction::Older)?) else {
        return Ok(None);
    };
    let to = to.after(Duration::from_nanos(1));
    Ok((from < to).then_some(TimeRange { from, to }))
}
