//! Columns in memory, for tests and the fuzzer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::column::checks;
use super::{Columns, Place};
use crate::store::StoreError;

/// Columns by number, with the checksums that they had when they came.
pub(super) struct Memory {
    pub(super) columns: BTreeMap<u32, (Vec<u8>, Vec<u32>)>,
    /// How many bytes were read.
    pub(super) read: Cell<usize>,
}

impl Memory {
    pub(super) fn of(columns: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Memory {
        let with_checks = |(number, column): (u32, Vec<u8>)| {
            let checks = checks(&column).collect();
            (number, (column, checks))
        };
        Memory {
            columns: columns.into_iter().map(with_checks).collect(),
            read: Cell::new(0),
        }
    }
}

impl Columns for Memory {
    fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        Ok(self.columns.keys().copied().collect())
    }

    fn place(&self, number: u32) -> Result<Option<Place>, StoreError> {
        let column = self.columns.get(&number);
        Ok(column.map(|(column, checks)| Place {
            length: column.len(),
            checks: Some(checks.clone()),
        }))
    }

    fn read(&self, number: u32, range: Range<usize>) -> Result<Vec<u8>, StoreError> {
        self.read.set(self.read.get() + range.len());
        Ok(self.columns[&number].0[range].to_vec())
    }
}
