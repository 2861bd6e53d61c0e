//! A column of a block, read as far as it is looked at: whole pieces of it, each of which is known to be what was written.
//!
//! Promise: no byte is shown that was not compared with its checksum. A piece that is read with others may be read more than
//! once; who reads much of a column reads all of it, once.

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
/// A column of no more pieces is read at once.
const FEW: usize = 4;
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
    /// By number.
    pieces: OnceCell<Box<[OnceCell<Vec<u8>>]>>,
    /// Several pieces each.
    runs: Arena<Vec<u8>>,
    /// Bytes that were asked for and are not kept as whole.
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
            pieces: OnceCell::new(),
            runs: Arena::new(),
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
        let pieces = range.start / PIECE..range.end.div_ceil(PIECE);
        let asked = self.asked.get() + range.len();
        let as_whole = self.place.length <= FEW * PIECE || asked * SHARE > self.place.length;
        if as_whole || self.whole.get().is_some() || self.place.checks.is_none() {
            return self.whole(columns)?.get(range).ok_or(OTHER);
        }
        self.asked.set(asked);
        let start = pieces.start * PIECE;
        let read = if pieces.len() > 1 {
            self.runs.alloc(self.read(columns, pieces)?)
        } else {
            self.piece(columns, pieces.start)?
        };
        read.get(range.start - start..range.end - start).ok_or(OTHER)
    }

    /// One piece, read once.
    fn piece(&self, columns: &dyn Columns, number: usize) -> Result<&[u8], Damaged> {
        let count = self.place.length.div_ceil(PIECE);
        let pieces = self.pieces.get_or_init(|| vec![OnceCell::new(); count].into());
        let piece = pieces.get(number).ok_or(OTHER)?;
        if piece.get().is_none() {
            let read = self.read(columns, number..number + 1)?;
            return Ok(piece.get_or_init(|| read));
        }
        piece.get().map(Vec::as_slice).ok_or(OTHER)
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
        let whole = match &self.place.checks {
            Some(checks) => self.read(columns, 0..checks.len())?,
            None => {
                let mut bytes = self.load(columns, 0..self.place.length)?;
                let length = open_column(&bytes)?.len();
                bytes.truncate(length);
                bytes
            }
        };
        Ok(self.whole.get_or_init(|| whole))
    }

    /// Reads pieces, and compares them.
    fn read(&self, columns: &dyn Columns, pieces: Range<usize>) -> Result<Vec<u8>, Damaged> {
        let known = self
            .place
            .checks
            .as_deref()
            .and_then(|checks| checks.get(pieces.clone()));
        let range = pieces.start * PIECE..self.place.length.min(pieces.end * PIECE);
        let bytes = self.load(columns, range)?;
        if known.is_some_and(|known| checks(&bytes).eq(known.iter().copied())) {
            Ok(bytes)
        } else {
            Err(OTHER)
        }
    }

    fn load(&self, columns: &dyn Columns, range: Range<usize>) -> Result<Vec<u8>, Damaged> {
        let bytes = columns.read(self.number, range)?;
        self.kept.set(self.kept.get() + bytes.len());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::Reader;
    use super::super::memory::Memory;
    use super::super::{Loaded, SEQ};
    use super::*;

    const LENGTH: usize = 10 * PIECE - 100;

    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|at| (at / 7 % 251) as u8).collect()
    }

    /// What `read` reads of the column, and how many bytes that took.
    #[track_caller]
    fn check(read: impl Fn(Reader<'_>) -> Result<Vec<u8>, Damaged>, range: Range<usize>, cost: usize) {
        let memory = Memory::of([(SEQ, bytes())]);
        let loaded = Loaded::new(&memory);
        let column = loaded.column(SEQ).unwrap();
        assert_eq!((column.length(), memory.read.get()), (LENGTH, 0));
        assert_eq!(read(column).unwrap(), bytes()[range]);
        assert_eq!(memory.read.get(), cost);
        assert!(loaded.bytes() >= cost);
    }

    #[test]
    fn only_the_pieces_that_are_looked_at_are_read() {
        let part = |mut reader: Reader<'_>, start, length| {
            reader.part(start)?;
            reader.take(length).map(<[u8]>::to_vec)
        };
        check(|reader| part(reader, 5, 9), 5..14, PIECE);
        check(
            |reader| part(reader, PIECE - 2, 9),
            PIECE - 2..PIECE + 7,
            2 * PIECE,
        );
        check(
            |reader| part(reader, 2 * PIECE, PIECE),
            2 * PIECE..3 * PIECE,
            PIECE,
        );
        check(
            |reader| part(reader, LENGTH - 1, 1),
            LENGTH - 1..LENGTH,
            PIECE - 100,
        );
        check(|reader| part(reader, 3, LENGTH - 3), 3..LENGTH, LENGTH);
        // Byte by byte a piece is read once, and more than half of it in pieces is the whole.
        let bytes = |mut reader: Reader<'_>, count: usize| {
            (0..count).map(|_| reader.byte()).collect::<Result<Vec<_>, _>>()
        };
        check(|reader| bytes(reader, 3 * PIECE), 0..3 * PIECE, 3 * PIECE);
        check(|reader| bytes(reader, LENGTH), 0..LENGTH, 4 * PIECE + LENGTH);
        let twice = |reader: Reader<'_>| {
            part(reader, 9, 1)?;
            part(reader, 5, 9)
        };
        check(twice, 5..14, PIECE);
        check(|reader| Ok(reader.rest()?.to_vec()), 0..LENGTH, LENGTH);
        // Across the end of what is at hand.
        let both = |mut reader: Reader<'_>| {
            let mut read = vec![reader.byte()?];
            read.extend(reader.take(PIECE)?);
            Ok(read)
        };
        check(both, 0..PIECE + 1, 3 * PIECE);
    }

    #[test]
    fn beyond_its_end_there_is_nothing() {
        let memory = Memory::of([(SEQ, bytes())]);
        let loaded = Loaded::new(&memory);
        let column = || loaded.column(SEQ).unwrap();
        assert!(column().take(LENGTH + 1).is_err() && column().part(usize::MAX).is_err());
        let mut reader = column();
        reader.part(LENGTH).unwrap();
        assert!(reader.byte().is_err() && reader.rest().unwrap().is_empty());
        assert_eq!(reader.length(), 0);
    }

    #[test]
    fn a_piece_that_is_not_what_was_stored_is_not_shown() {
        let mut memory = Memory::of([(SEQ, bytes())]);
        memory.columns.get_mut(&SEQ).unwrap().0[3 * PIECE] ^= 1;
        let loaded = Loaded::new(&memory);
        let at = |start: usize| {
            let mut reader = loaded.column(SEQ)?;
            reader.part(start)?;
            reader.byte()
        };
        for start in (0..LENGTH).step_by(PIECE / 2) {
            assert_eq!(at(start).is_err(), start / PIECE == 3, "{start}");
        }
        assert!(loaded.column(SEQ).unwrap().rest().is_err());
    }
}
