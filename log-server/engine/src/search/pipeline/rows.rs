//! Rows under headings, and the steps that order them and cut them down.

use std::cmp::Ordering;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::query::{Heading, Key, Step, Table};

use super::cell::{Cell, Kind, Rank, ShownCell};

/// A table: every row has a cell for each heading.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) headings: Vec<Heading>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Rows {
    /// The rows of `table` in their first order: the oldest time or the greatest first aggregate first.
    pub(super) fn of(table: &Table, rows: Vec<Vec<Cell>>) -> Rows {
        let headings = table.headings();
        let first = headings.len() - table.aggregates.len();
        let mut keys: Vec<(usize, bool)> = (0..first).map(|place| (place, false)).collect();
        if table.every.is_none() {
            keys.insert(0, (first, true));
        }
        let mut rows = Rows { headings, rows };
        rows.sort(&keys);
        rows
    }

    /// Goes one step further.
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Sort(keys) => {
                let keys: Vec<_> = keys
                    .iter()
                    .filter_map(|Key { heading, descending }| Some((self.place(heading)?, *descending)))
                    .collect();
                self.sort(&keys);
            }
            Step::Limit(most) => self.rows.truncate(*most),
            Step::Fields(headings) => {
                let places: Vec<_> = headings.iter().map(|heading| self.place(heading)).collect();
                for row in &mut self.rows {
                    let cell =
                        |place: &Option<usize>| place.map_or(Cell::Nothing, |place| row[place].clone());
                    *row = places.iter().map(cell).collect();
                }
                self.headings.clone_from(headings);
            }
        }
    }

    /// The parser has made sure that there is one.
    fn place(&self, heading: &Heading) -> Option<usize> {
        self.headings.iter().position(|known| known == heading)
    }

    fn sort(&mut self, keys: &[(usize, bool)]) {
        let rows = std::mem::take(&mut self.rows);
        let mut ranked: Vec<(Vec<Rank>, Vec<Cell>)> = rows
            .into_iter()
            .map(|row| (keys.iter().map(|(place, _)| row[*place].rank()).collect(), row))
            .collect();
        ranked.sort_by(|(one, _), (other, _)| {
            order(one, other, keys.iter().map(|(_, descending)| *descending))
        });
        self.rows = ranked.into_iter().map(|(_, row)| row).collect();
    }

    /// The columns' names and kinds.
    pub(super) fn columns(&self) -> Vec<ColumnHead> {
        let head = |(place, heading): (usize, &Heading)| ColumnHead {
            name: match heading {
                // A name as people know it, without the quotes that a query may need.
                Heading::Column(column) => column.name(),
                Heading::Aggregate(_) => heading.to_string(),
            },
            kind: Kind::of(heading, self.rows.iter().map(|row| &row[place])),
        };
        self.headings.iter().enumerate().map(head).collect()
    }
}

/// How two rows compare by their ranks.
pub(super) fn order(one: &[Rank], other: &[Rank], descending: impl Iterator<Item = bool>) -> Ordering {
    let orders = one.iter().zip(other).zip(descending);
    orders
        .map(|((one, other), descending)| one.order(other, descending))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// What a column is called, and what is in it.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnHead {
    /// As in the query.
    pub name: String,
    /// What the values are.
    pub kind: Kind,
}

/// A table to be shown.
#[derive(Debug)]
pub struct ShownTable {
    /// Its columns.
    pub columns: Vec<ColumnHead>,
    /// Its rows; each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

impl ShownTable {
    pub(super) fn new(rows: Rows) -> ShownTable {
        ShownTable {
            columns: rows.columns(),
            rows: rows.rows,
        }
    }

    /// One row as a JSON object.
    pub fn object(&self, row: &[Cell]) -> String {
        serde_json::to_string(&Object(self, row)).expect("a row serialises without I/O")
    }
}

struct Object<'a>(&'a ShownTable, &'a [Cell]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Object(table, row) = self;
        let cells = table.columns.iter().zip(*row);
        serializer.collect_map(cells.map(|(head, cell)| (&head.name, ShownCell(cell, head.kind))))
    }
}

impl Serialize for ShownTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("columns", &self.columns)?;
        map.serialize_entry("rows", &Lines(self))?;
        map.end()
    }
}

struct Lines<'a>(&'a ShownTable);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.rows.iter().map(|row| Line(self.0, row)))
    }
}

struct Line<'a>(&'a ShownTable, &'a [Cell]);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cells = self.0.columns.iter().zip(self.1);
        serializer.collect_seq(cells.map(|(head, cell)| ShownCell(cell, head.kind)))
    }
}
