//! The columns of a block as they are read, kept as long as the block is looked at, so that what is decoded from them
//! can borrow.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use typed_arena::Arena;

use super::bytes::{Damaged, Reader, damaged};
use super::callsites::Callsites;
use super::column::Column;
use super::{CALLSITE, Columns};

const MISSING: Damaged = damaged("a column is missing");

/// Reads what is asked for of columns, and keeps it; twice if the same column is asked for twice.
pub(in crate::store) struct Loaded<'s> {
    columns: &'s dyn Columns,
    opened: Arena<Column>,
    bytes: Arena<Vec<u8>>,
    /// How many are kept in all.
    kept: Rc<Cell<usize>>,
    callsites: OnceCell<Callsites>,
}

impl<'s> Loaded<'s> {
    pub(in crate::store) fn new(columns: &'s dyn Columns) -> Loaded<'s> {
        Loaded {
            columns,
            opened: Arena::new(),
            bytes: Arena::new(),
            kept: Rc::default(),
            callsites: OnceCell::new(),
        }
    }

    /// The column, which must be there.
    pub(super) fn column(&self, number: u32) -> Result<Reader<'_>, Damaged> {
        self.column_if_there(number)?.ok_or(MISSING)
    }

    pub(super) fn column_if_there(&self, number: u32) -> Result<Option<Reader<'_>>, Damaged> {
        let Some(place) = self.columns.place(number)? else {
            return Ok(None);
        };
        let column = self.opened.alloc(Column::new(number, place, self.kept.clone()));
        Reader::of(self.columns, column).map(Some)
    }

    /// The call-site of each row, read once.
    pub(super) fn callsites(&self) -> Result<&Callsites, Damaged> {
        if let Some(known) = self.callsites.get() {
            return Ok(known);
        }
        let callsites = Callsites::read(self.column(CALLSITE)?.rest()?.to_vec())?;
        Ok(self.callsites.get_or_init(|| callsites))
    }

    /// How many bytes are kept.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.kept.get()
    }

    /// Keeps bytes as long as the columns.
    pub(super) fn keep(&self, bytes: Vec<u8>) -> &[u8] {
        self.kept.set(self.kept.get() + bytes.len());
        self.bytes.alloc(bytes)
    }
}
