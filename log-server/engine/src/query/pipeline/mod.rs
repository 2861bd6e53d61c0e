//! What becomes of the records that a filter finds: made into a table, sorted, cut down. Plain data, as in `ast`.
//!
//! A pipeline makes at most one table, in its first step; without one, its steps go over the records themselves.
//!
//! Reading order: `column` (what of a record is asked for), `aggregate` (what is computed from many), `words` and
//! `parser` (how it is read), `print` (how it is written).

mod column;
mod aggregate;
mod words;
mod parser;
mod print;

use std::time::Duration;

pub use aggregate::{Aggregate, Function};
pub use column::Column;
pub(super) use parser::parse;
pub(super) use words::begins;

/// The steps after the filter; of no steps, the records as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipeline {
    /// What the records are made into first, if anything.
    pub table: Option<Table>,
    /// What is done to the rows of the table, or else to the records.
    pub steps: Vec<Step>,
}

/// One row for each group of records.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The width of the spans of time that are told apart; not zero. The time is then the first column.
    pub every: Option<Duration>,
    /// What is computed of each group; never empty. Without [`Table::every`], the rows begin with the greatest first one.
    pub aggregates: Vec<Aggregate>,
    /// What tells groups apart; a record with several values of a column belongs to several groups.
    pub by: Vec<Column>,
}

/// Something done to rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Brings them into an order; rows that are equal in it keep theirs. Never of no keys.
    Sort(Vec<Key>),
    /// Keeps the first so many; at least one.
    Limit(usize),
    /// Keeps these columns, in this order; never of none.
    Fields(Vec<Heading>),
}

/// What rows are sorted by.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The column.
    pub heading: Heading,
    /// Whether the greatest comes first. What has no value comes last either way.
    pub descending: bool,
}

/// A column of the rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Heading {
    /// Taken from the records.
    Column(Column),
    /// Computed from them.
    Aggregate(Aggregate),
}

impl Pipeline {
    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.table.is_none() && self.steps.is_empty()
    }

    /// What must be read of a record, each column once; `None` if it is shown as a whole.
    pub fn fields(&self) -> Option<Vec<&Column>> {
        let mut columns: Vec<&Column> = Vec::new();
        let mut need = |column| {
            if !columns.contains(&column) {
                columns.push(column);
            }
        };
        if let Some(table) = &self.table {
            table.every.iter().for_each(|_| need(&Column::Time));
            table.by.iter().for_each(&mut need);
            table
                .aggregates
                .iter()
                .filter_map(Aggregate::column)
                .for_each(&mut need);
            return Some(columns);
        }
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Fields(_)))
            .then_some(())?;
        for step in &self.steps {
            match step {
                Step::Sort(keys) => keys
                    .iter()
                    .filter_map(|key| key.heading.column())
                    .for_each(&mut need),
                Step::Fields(headings) => headings.iter().filter_map(Heading::column).for_each(&mut need),
                Step::Limit(_) => {}
            }
        }
        Some(columns)
    }
}

impl Table {
    /// Its columns, in order.
    pub fn headings(&self) -> Vec<Heading> {
        let time = self.every.map(|_| Heading::Column(Column::Time));
        let by = self.by.iter().cloned().map(Heading::Column);
        time.into_iter()
            .chain(by)
            .chain(self.aggregates.iter().cloned().map(Heading::Aggregate))
            .collect()
    }
}

impl Heading {
    fn column(&self) -> Option<&Column> {
        match self {
            Heading::Column(column) => Some(column),
            Heading::Aggregate(_) => None,
        }
    }
}
