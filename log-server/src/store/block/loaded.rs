//! The columns of a block as they are read, kept as long as the block is looked at, so that what is decoded from them
//! can borrow.

use std::cell::{Cell, OnceCell};

use typed_arena::Arena;

use super::bytes::{Damaged, Reader, damaged, open_column};
use super::callsites::Callsites;
use super::{CALLSITE, Columns};

const MISSING: Damaged = damaged("a column is missing");

/// Reads columns, once each if asked once each, and keeps their bytes.
pub(in crate::store) struct Loaded<'s> {
    columns: &'s dyn Columns,
    bytes: Arena<Vec<u8>>,
    /// How many these are.
    length: Cell<usize>,
    callsites: OnceCell<Callsites>,
}

impl<'s> Loaded<'s> {
    pub(in crate::store) fn new(columns: &'s dyn Columns) -> Loaded<'s> {
        Loaded {
            columns,
            bytes: Arena::new(),
            length: Cell::new(0),
            callsites: OnceCell::new(),
        }
    }

    /// The column, which must be there.
    pub(super) fn column(&self, number: u32) -> Result<Reader<'_>, Damaged> {
        self.column_if_there(number)?.ok_or(MISSING)
    }

    pub(super) fn column_if_there(&self, number: u32) -> Result<Option<Reader<'_>>, Damaged> {
        let column = self.columns.column(number)?;
        let opened = column.map(|column| open_column(self.keep(column)).map(Reader::new));
        opened.transpose()
    }

    /// The call-site of each row, read once.
    pub(super) fn callsites(&self) -> Result<&Callsites, Damaged> {
        if let Some(known) = self.callsites.get() {
            return Ok(known);
        }
        let column = self.columns.column(CALLSITE)?.ok_or(MISSING)?;
        self.length.set(self.length.get() + column.len());
        let callsites = Callsites::read(column)?;
        Ok(self.callsites.get_or_init(|| callsites))
    }

    /// How many bytes are kept.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.length.get()
    }

    /// Keeps bytes as long as the columns.
    pub(super) fn keep(&self, bytes: Vec<u8>) -> &[u8] {
        self.length.set(self.length.get() + bytes.len());
        self.bytes.alloc(bytes)
    }
}
