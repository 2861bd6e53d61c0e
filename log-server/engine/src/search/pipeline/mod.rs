//! What a pipeline makes of the records that match: a table, or records in another order.
//!
//! Promises: memory is bounded, and what that left out is said; an answer is exact or says that it is partial.
//! Aggregation needs nothing of the store but [`Store::scan`] and the columns that [`Pipeline::fields`] names.
//!
//! Reading order: `groups` (a table in the making) and its states `numbers`, `distinct`, `sample`; `over_time` (a table
//! that the store counts itself); `cell` and `rows` (a table that is made); `records` (pipelines without a table).

mod groups;
mod numbers;
mod distinct;
mod sample;
mod over_time;
mod cell;
mod rows;
mod records;
#[cfg(test)]
mod tests;

use crate::query::{Aggregate, Column, Pipeline, Query, Step, Table};
use crate::store::{Budget, Parts, Scan, Seen, Store, StoreError, StoredRecord, TimeRange};

use super::answer::why;
use groups::{Groups, Hasher};
use records::Plan;
use rows::Rows;

pub use cell::{Cell, Kind};
pub use rows::{ColumnHead, ShownTable};

/// What came of a pipeline.
pub(super) struct Outcome {
    pub(super) made: Made,
    /// Records that matched the filter, as far as they were looked at.
    pub(super) matched: u64,
    /// Records looked at.
    pub(super) scanned: u64,
    /// Whether records may be missing.
    pub(super) partial: Option<&'static str>,
}

/// What a pipeline ends in.
pub(super) enum Made {
    Records(Vec<StoredRecord>),
    Table(MadeTable),
}

pub(super) struct MadeTable {
    pub(super) table: ShownTable,
    /// Rows there were before they were cut to what was asked.
    pub(super) total: usize,
    /// Records that belong to groups for which there was no room.
    pub(super) left_out: u64,
}

/// Runs the pipeline of `query`, which is not empty; where it does not say how many rows, `most`.
pub(super) fn run(
    store: &Store,
    query: &Query,
    range: TimeRange,
    most: usize,
    budget: &Budget,
) -> Result<Outcome, StoreError> {
    let Query { filter, pipeline } = query;
    if let Some(table) = &pipeline.table {
        let scan = Scan {
            filter,
            range,
            parts: parts(pipeline),
            budget,
        };
        let hasher = Hasher::default();
        let new = || Groups::new(table, hasher.clone());
        let (threads, done) =
            if let Some((groups, done)) = over_time::groups(store, table, filter, range, budget)? {
                (vec![groups], done)
            } else if only_counts(table) {
                store.group(&scan, table.by.first(), new, |groups, seen| match seen {
                    Seen::Group(value, count) => groups.add_counted(None, value, count),
                    Seen::Record(record, source) => groups.add(record, source),
                })?
            } else {
                store.fold(&scan, new, |groups, record, source| groups.add(record, source))?
            };
        let mut threads = threads.into_iter();
        let mut groups = threads.next().unwrap_or_else(new);
        threads.for_each(|thread| groups.merge(thread));
        let grouped = groups.rows(most_counted(pipeline, table));
        let mut rows = Rows::of(table, grouped.rows);
        pipeline.steps.iter().for_each(|step| rows.step(step));
        let memory = grouped.overflowed.then_some("the memory limit was reached");
        return Ok(Outcome {
            made: Made::Table(MadeTable::new(rows, most, grouped.left_out)),
            matched: grouped.matched,
            scanned: done.scanned,
            partial: done.partial.map(why).or(memory),
        });
    }
    let plan = Plan::new(pipeline);
    let chosen = plan.run(store, filter, range, most, budget)?;
    let made = match &plan.columns {
        None => Made::Records(chosen.records),
        Some(columns) => Made::Table(MadeTable::new(
            records::rows(columns, &chosen.records),
            usize::MAX,
            0,
        )),
    };
    Ok(Outcome {
        made,
        matched: chosen.matched,
        scanned: chosen.scanned,
        partial: chosen.partial.map(why),
    })
}

/// How many rows are left of the table after its first step, if these are the ones that are counted most often.
fn most_counted(pipeline: &Pipeline, table: &Table) -> Option<usize> {
    let by_count = table.every.is_none() && table.aggregates.first() == Some(&Aggregate::Count);
    match pipeline.steps.first() {
        Some(Step::Limit(most)) if by_count => Some(*most),
        Some(Step::Limit(_) | Step::Sort(_) | Step::Fields(_)) | None => None,
    }
}

/// Whether the table only says how many records there are, by one column at most.
fn only_counts(table: &Table) -> bool {
    let counts = table
        .aggregates
        .iter()
        .all(|aggregate| *aggregate == Aggregate::Count);
    counts && table.every.is_none() && table.by.len() <= 1
}

/// What the pipeline reads of records.
fn parts(pipeline: &Pipeline) -> Parts {
    let Some(columns) = pipeline.fields() else {
        return Parts::All;
    };
    let field = |column: &Column| match column {
        // They are always there.
        Column::Time | Column::Level => None,
        Column::Field(field) => Some(field.clone()),
    };
    Parts::Of(columns.into_iter().filter_map(field).collect())
}

/// The columns that the pipeline chooses, if it does no more than that, so that records can go through one by one.
pub(super) fn only_columns(pipeline: &Pipeline) -> Option<Vec<Column>> {
    let plan = Plan::new(pipeline);
    let is_stream = pipeline.table.is_none() && plan.is_stream();
    plan.columns.filter(|_| is_stream)
}

/// The values that records have of columns.
pub(super) fn columns_of(columns: &[Column], records: &[StoredRecord]) -> ShownTable {
    ShownTable::new(records::rows(columns, records))
}

impl MadeTable {
    fn new(mut rows: Rows, most: usize, left_out: u64) -> MadeTable {
        let total = rows.rows.len();
        rows.rows.truncate(most);
        MadeTable {
            table: ShownTable::new(rows),
            total,
            left_out,
        }
    }
}
