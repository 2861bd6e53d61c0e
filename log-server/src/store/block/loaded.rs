//! The columns of a block as they are read, kept as long as the block is looked at, so that what is decoded from them
//! can borrow.

use typed_arena::Arena;

use super::Columns;
use super::bytes::{Damaged, Reader, damaged, open_column};

/// Reads columns, once each if asked once each, and keeps their bytes.
pub(in crate::store) struct Loaded<'s> {
    columns: &'s dyn Columns,
    bytes: Arena<Vec<u8>>,
}

impl<'s> Loaded<'s> {
    pub(in crate::store) fn new(columns: &'s dyn Columns) -> Loaded<'s> {
        Loaded {
            columns,
            bytes: Arena::new(),
        }
    }

    /// The column, which must be there.
    pub(super) fn column(&self, number: u32) -> Result<Reader<'_>, Damaged> {
        let column = self
            .columns
            .column(number)?
            .ok_or(damaged("a column is missing"))?;
        open_column(self.keep(column)).map(Reader::new)
    }

    /// Keeps bytes as long as the columns.
    pub(super) fn keep(&self, bytes: Vec<u8>) -> &[u8] {
        self.bytes.alloc(bytes)
    }
}
