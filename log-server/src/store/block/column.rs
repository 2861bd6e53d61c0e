//! A column of a block, read as far as it is looked at: whole pieces of it, each of which is known to be what was written.
//!
//! Promise: no byte is shown that was not compared with its checksum. A piece may be read more than once; who reads much of
//! a column reads all of it, once.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::rc::Rc;

use typed_arena::Arena;
use xxhash_rust::xxh3::xxh3_64;

use super::Columns;
use super::bytes::{Damaged, damaged, open_column};

/// Bytes that share a checksum. Half as many would find the same errors with twice the checksums, and SQLite reads pages of
/// twice as many.
pub(super) const PIECE: usize = 8_192;
/// Who has asked for more than one byte in so many is given the whole column.
const SHARE: usize = 2;

const OTHER: Damaged = damaged("a column is not what was stored");

/// How a column is kept.
#[derive(Debug, Clone)]
pub(in crate::store) struct Place {
    /// How many bytes it has.
    pub(in crate::store) length: usize,
    /// The checksum of each piece; `None` if the column ends with one of its own, as all did up to format 5.
    pub(in crate::store) checks: Option<Vec<u32>>,
}

/// The checksum of each piece.
pub(in crate::store) fn checks(column: &[u8]) -> impl Iterator<Item = u32> {
    // The low half is as good a checksum of as many bits.
    column.chunks(PIECE).map(|piece| xxh3_64(piece) as u32)
}

pub(super) struct Column {
    number: u32,
    place: Place,
    whole: OnceCell<Vec<u8>>,
    parts: Arena<Vec<u8>>,
    /// Bytes that were read in parts.
    asked: Cell<usize>,
    /// Bytes that are kept of all columns.
    kept: Rc<Cell<usize>>,
}

impl Column {
    pub(super) fn new(number: u32, place: Place, kept: Rc<Cell<usize>>) -> Column {
        Column {
            number,
            place,
            whole: OnceCell::new(),
            parts: Arena::new(),
            asked: Cell::new(0),
            kept,
        }
    }

    /// How many bytes it holds.
    pub(super) fn length(&self, columns: &dyn Columns) -> Result<usize, Damaged> {
        match self.place.checks {
            Some(_) => Ok(self.place.length),
            None => self.whole(columns).map(<[u8]>::len),
        }
    }

    /// Some of what it holds, which must be within its length.
    pub(super) fn part(&self, columns: &dyn Columns, range: Range<usize>) -> Result<&[u8], Damaged> {
        let asked = self.asked.get() + range.len();
        if self.whole.get().is_none() && asked * SHARE <= self.place.length {
            self.asked.set(asked);
            let start = range.start / PIECE * PIECE;
            let end = range.end.next_multiple_of(PIECE).min(self.place.length);
            if let Some(part) = self.read(columns, start..end)? {
                return Ok(&self.parts.alloc(part)[range.start - start..range.end - start]);
            }
        }
        self.whole(columns)?.get(range).ok_or(OTHER)
    }

    /// The end of the piece that begins before `at` or there.
    pub(super) fn end_of_piece(at: usize) -> usize {
        (at + 1).next_multiple_of(PIECE)
    }

    /// All that it holds.
    pub(super) fn whole(&self, columns: &dyn Columns) -> Result<&[u8], Damaged> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let whole = match self.read(columns, 0..self.place.length)? {
            Some(whole) => whole,
            None => {
                let mut bytes = columns.read(self.number, 0..self.place.length)?;
                self.kept.set(self.kept.get() + bytes.len());
                let length = open_column(&bytes)?.len();
                bytes.truncate(length);
                bytes
            }
        };
        Ok(self.whole.get_or_init(|| whole))
    }

    /// Reads pieces, from the beginning of one to the end of another; `None` if they have no checksums.
    fn read(&self, columns: &dyn Columns, pieces: Range<usize>) -> Result<Option<Vec<u8>>, Damaged> {
        let Some(known) = &self.place.checks else {
            return Ok(None);
        };
        let first = pieces.start / PIECE;
        let bytes = columns.read(self.number, pieces)?;
        self.kept.set(self.kept.get() + bytes.len());
        let known = known.get(first..).unwrap_or_default().iter().copied();
        let mut known = known.take(bytes.len().div_ceil(PIECE));
        if checks(&bytes).eq(known.by_ref()) {
            Ok(Some(bytes))
        } else {
            Err(OTHER)
        }
    }
}
