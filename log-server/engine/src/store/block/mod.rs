//! A block: up to 65,536 records, kept by column, compressed.
//!
//! The format, with the reason for every choice, is described in `store/FORMAT.md`. Knows nothing of SQLite: columns
//! come and go as bytes with a number.
//!
//! Reading order: `bytes`, `prose`, `column`, `planes`, `integers`, `chunks`, `floats`, `text`, `texts` (how columns are written), `filter` (what a block may
//! contain), `head` (what rows share), `seal` (from batches to columns), `read` (an open block), `prune`, `select` and
//! `fields` (which rows a filter finds), `records` and `count` (what is made of rows).

mod bytes;
mod prose;
mod rows;
mod planes;
mod integers;
mod chunks;
mod callsites;
mod column;
mod codes;
mod floats;
mod loaded;
mod directory;
mod text;
mod texts;
mod filter;
mod head;
mod packed;
mod seal;
mod read;
mod prune;
mod probe;
mod select;
mod fields;
mod records;
mod count;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
mod memory;
#[cfg(any(test, feature = "fuzzing"))]
mod hostile;

use std::ops::Range;

#[cfg(test)]
use log_record::LogRecord;
use log_record::{Level, Timestamp};

use super::StoreError;
pub(in crate::store) use bytes::{Damaged, unpacked_here};
pub(in crate::store) use chunks::{Chunk, of as chunks_of};
pub(in crate::store) use column::Place;
#[cfg(test)]
pub(in crate::store) use directory::before;
pub(in crate::store) use directory::{Entry, put as put_directory, read as read_directory};
#[cfg(any(test, feature = "fuzzing"))]
pub use hostile::read_edited;
pub(in crate::store) use loaded::Loaded;
pub(in crate::store) use prune::may_match;
pub(in crate::store) use read::Block;
pub(in crate::store) use records::{ROWS_AT_ONCE, unseal};
pub(in crate::store) use rows::Rows;
pub(in crate::store) use seal::{Piece, seal, seal_shown};

/// Records in a block at most.
pub(in crate::store) const ROWS_MOST: usize = 65_536;
/// Text that is made one block: its records are in memory while that is done.
pub(in crate::store) const BYTES_MOST: usize = 64 << 20;

/// Where a block's columns are.
pub(in crate::store) trait Columns {
    /// The numbers of all columns.
    fn numbers(&self) -> Result<Vec<u32>, StoreError>;

    /// How the column is kept, if the block has it.
    fn place(&self, number: u32) -> Result<Option<Place>, StoreError>;

    /// Some bytes of a column that has a place, and of it no more than it has; not compared with anything.
    fn read(&self, number: u32, range: Range<usize>) -> Result<Vec<u8>, StoreError>;
}

/// Whether every byte of every column is what was stored.
pub(in crate::store) fn verify(columns: &dyn Columns) -> Result<(), Damaged> {
    for number in columns.numbers()? {
        Loaded::new(columns).column(number)?.rest()?;
    }
    Ok(())
}

/// Numbers of columns. A column of texts has two: its head, and with the next number its body.
const HEAD: u32 = 0;
const FILTER: u32 = 1;
const TIME: u32 = 2;
const CALLSITE: u32 = 3;
const SHAPE: u32 = 4;
const SEQ: u32 = 5;
const MESSAGE: u32 = 6;
const TRACE_ID: u32 = 8;
const SPAN_ID: u32 = 10;
const THREAD: u32 = 12;
/// In the place of [`SHAPE`] where the shapes are ranks by call-site.
const RANKED_SHAPE: u32 = 14;
const CHUNKS: u32 = 15;
/// The first of the fields' columns, two numbers each.
const FIELDS: u32 = 16;

/// Records sealed together: columns by number, each compressed on its own.
pub(in crate::store) struct SealedBlock {
    pub(in crate::store) summary: Summary,
    pub(in crate::store) columns: Vec<(u32, Vec<u8>)>,
}

/// What is known of a block without reading its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Summary {
    /// The id of the first batch in it.
    pub(in crate::store) first_batch: i64,
    /// The id of the last.
    pub(in crate::store) last_batch: i64,
    /// How many records it has.
    pub(in crate::store) rows: u32,
    /// The time of the earliest of them.
    pub(in crate::store) earliest: Timestamp,
    /// The time of the latest.
    pub(in crate::store) latest: Timestamp,
    /// How many of each level.
    pub(in crate::store) counts: [u32; Level::ALL.len()],
}
