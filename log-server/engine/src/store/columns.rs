//! The columns of a block on disk: one after the other in *stripes* of one length, so that they fill the file's pages,
//! and are read by themselves all the same.
//!
//! Format of what the stripes hold: length of the directory (4 bytes, little-endian) · the directory
//! (`block/directory.rs`) · the columns.
//!
//! A BLOB of SQLite is a chain of pages: to read its end, all pages before are read, because each says where the next
//! one is. In one BLOB for a block, any search read the whole store. The first stripe has the highest number, and they
//! are written from the last to the first. Blocks of format 4 have one stripe, whatever its length; those of format 3
//! and before a row for each column.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

use rusqlite::blob::Blob;
use rusqlite::{Connection, MAIN_DB, OptionalExtension};

use super::StoreError;
use super::block::{self, Columns, Entry, Place};
use super::partition::Partition;
use super::schema::PAGE;

const COLUMN_BITS: u32 = 16;
/// The number of the first stripe.
const FIRST: u32 = (1 << COLUMN_BITS) - 1;
/// Numbers from here on are of stripes, below of columns.
const STRIPES: u32 = FIRST / 2 + 1;
/// The length of every stripe but the last. SQLite keeps the least that it can of such a row in the table's tree, and the
/// rest in three pages that are full to the last byte; of what is in the tree eight rows fill a page but for 16 bytes.
/// <https://www.sqlite.org/fileformat2.html#b_tree_pages>: "Cell payload overflow pages".
const STRIPE: usize = 3 * (PAGE - 4) + (PAGE - 12) * 32 / 255 - 23 - ROW_HEADER;
/// What SQLite writes before the bytes: lengths and types.
const ROW_HEADER: usize = 5;
/// So much of the first stripe nearly always has the whole directory, and is in the table's tree.
const FRONT: usize = 2_000;
const LENGTH: usize = size_of::<u32>();
/// No block has more bytes: there are no more numbers of stripes.
const MOST: usize = (FIRST - STRIPES + 1) as usize * STRIPE;
/// Nearly everything that is read at once fits.
const CAPACITY: usize = 1 << 24;

const INSERT: &str = "INSERT INTO columns (id, data) VALUES (?1, ?2)";
const ONE: &str = "SELECT data FROM columns WHERE id = ?1";
const LENGTH_OF_ONE: &str = "SELECT length(data) FROM columns WHERE id = ?1";
const NUMBERS: &str = "SELECT id FROM columns WHERE id >= ?1 AND id < ?2";
const DELETE: &str = "DELETE FROM columns WHERE id >= ?1 AND id < ?2";

/// Writes the columns of a block. Within the caller's transaction.
pub(super) fn insert(writer: &Connection, block: i64, columns: &[(u32, Vec<u8>)]) -> rusqlite::Result<()> {
    let all = joined(&block::put_directory(columns), columns);
    let mut insert = writer.prepare_cached(INSERT)?;
    // In rising order of their keys, which fills pages of the tree one after the other.
    for (index, stripe) in all.chunks(STRIPE).enumerate().rev() {
        insert.execute((stripe_key(block, index), stripe))?;
    }
    Ok(())
}

/// What the stripes hold.
fn joined(directory: &[u8], columns: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let length = u32::try_from(directory.len()).expect("a block has few columns");
    let bytes = columns.iter().map(|(_, column)| column.len()).sum::<usize>();
    let mut all = Vec::with_capacity(LENGTH + directory.len() + bytes);
    all.extend_from_slice(&length.to_le_bytes());
    all.extend_from_slice(directory);
    columns
        .iter()
        .for_each(|(_, column)| all.extend_from_slice(column));
    all
}

/// Deletes the columns of a block. Within the caller's transaction.
pub(super) fn delete(writer: &Connection, block: i64) -> rusqlite::Result<()> {
    let rows = (key(block, 0), key(block + 1, 0));
    writer.prepare_cached(DELETE)?.execute(rows)?;
    Ok(())
}

/// Shows the columns of a block to `look`.
pub(super) fn with<T>(
    partition: &Partition,
    block: i64,
    look: impl FnOnce(&dyn Columns) -> T,
) -> Result<T, StoreError> {
    if partition.has_one_reader() {
        // Others read in turns with this one.
        return Ok(look(&Stored::new(partition, block, None)));
    }
    let mut answer = None;
    let read = partition.with_reader(|reader| {
        let stored = Stored::new(partition, block, Some(reader));
        answer = Some(look(&stored));
        stored.failed.take().map_or(Ok(()), Err)
    });
    match (answer, read) {
        // What it saw has told of a column that could not be read.
        (Some(answer), _) => Ok(answer),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => unreachable!("a reader that was found was looked at"),
    }
}

/// The columns of a block, for each of which a reader is asked: between them nothing is held.
pub(super) fn one_by_one(partition: &Partition, block: i64) -> impl Columns {
    Stored::new(partition, block, None)
}

/// Columns that are read one by one.
struct Stored<'r> {
    partition: &'r Partition,
    block: i64,
    /// The connection, if it need not be asked for each time.
    held: Option<&'r Connection>,
    /// Of that connection: a stripe, and which it is.
    blob: RefCell<Option<(usize, Blob<'r>)>>,
    layout: OnceCell<Layout>,
    /// Why the connection is not to be trusted any more.
    failed: Cell<Option<rusqlite::Error>>,
}

/// How the columns are kept.
enum Layout {
    /// In a row each.
    Each,
    /// In stripes of that length: where each is in all that they hold.
    Striped(usize, Vec<Entry>),
    /// In stripes that begin with bytes that were not written: who takes them for a column sees that.
    Damaged(Vec<u8>),
}

impl Columns for Stored<'_> {
    fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        self.ask(|reader, blob| match self.known_layout(reader, blob)? {
            Layout::Striped(_, entries) => Ok(entries.iter().map(|entry| entry.number).collect()),
            // Whichever is asked for is damaged.
            Layout::Damaged(_) => Ok(vec![0]),
            Layout::Each => {
                let mut statement = reader.prepare_cached(NUMBERS)?;
                let ids =
                    statement.query_map((key(self.block, 0), key(self.block + 1, 0)), |row| row.get(0))?;
                ids.map(|id: rusqlite::Result<i64>| Ok((id? & i64::from(FIRST)) as u32))
                    .collect()
            }
        })
    }

    fn place(&self, number: u32) -> Result<Option<Place>, StoreError> {
        self.ask(|reader, blob| {
            let whole = |length| Place { length, checks: None };
            Ok(match self.known_layout(reader, blob)? {
                Layout::Striped(_, entries) => {
                    let entry = entries.iter().find(|entry| entry.number == number);
                    entry.map(|entry| entry.place.clone())
                }
                Layout::Damaged(bytes) => Some(whole(bytes.len())),
                Layout::Each => {
                    let mut statement = reader.prepare_cached(LENGTH_OF_ONE)?;
                    let row = statement.query_row([key(self.block, number)], |row| row.get::<_, u32>(0));
                    row.optional()?.map(|length| whole(length as usize))
                }
            })
        })
    }

    fn read(&self, number: u32, range: Range<usize>) -> Result<Vec<u8>, StoreError> {
        self.ask(|reader, blob| {
            let (stripe, entries) = match self.known_layout(reader, blob)? {
                Layout::Striped(stripe, entries) => (*stripe, entries),
                Layout::Damaged(bytes) => return Ok(bytes.get(range.clone()).unwrap_or_default().to_vec()),
                Layout::Each => {
                    let mut statement = reader.prepare_cached(ONE)?;
                    return statement.query_row([key(self.block, number)], |row| row.get(0));
                }
            };
            let entry = entries.iter().find(|entry| entry.number == number);
            let start = entry.map_or(0, |entry| entry.start) + range.start;
            // A file from elsewhere may say anything.
            let mut bytes = Vec::with_capacity(range.len().min(CAPACITY));
            while bytes.len() < range.len() {
                let (known, at) = (bytes.len(), start + bytes.len());
                let (index, offset) = (at / stripe, at % stripe);
                bytes.resize(range.len().min(known + stripe - offset), 0);
                self.open(reader, blob, index)?
                    .read_at_exact(&mut bytes[known..], offset)?;
            }
            Ok(bytes)
        })
    }
}

impl<'r> Stored<'r> {
    fn new(partition: &'r Partition, block: i64, held: Option<&'r Connection>) -> Stored<'r> {
        Stored {
            partition,
            block,
            held,
            blob: RefCell::default(),
            layout: OnceCell::new(),
            failed: Cell::new(None),
        }
    }

    /// What `ask` gets from the connection, or from one that is found for it.
    fn ask<T>(
        &self,
        ask: impl for<'c> Fn(&'c Connection, &mut Option<(usize, Blob<'c>)>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let Some(reader) = self.held else {
            return self.partition.with_reader(|reader| ask(reader, &mut None));
        };
        ask(reader, &mut self.blob.borrow_mut()).map_err(|error| {
            let told = self.partition.unread(&error);
            self.failed.set(Some(error));
            told
        })
    }

    fn known_layout<'c>(
        &self,
        reader: &'c Connection,
        blob: &mut Option<(usize, Blob<'c>)>,
    ) -> rusqlite::Result<&Layout> {
        if let Some(layout) = self.layout.get() {
            return Ok(layout);
        }
        let layout = self.layout(reader, blob)?;
        Ok(self.layout.get_or_init(|| layout))
    }

    fn layout<'c>(
        &self,
        reader: &'c Connection,
        blob: &mut Option<(usize, Blob<'c>)>,
    ) -> rusqlite::Result<Layout> {
        let blob = match self.open(reader, blob, 0) {
            Ok(blob) => blob,
            Err(error) if is_no_row(&error) => return Ok(Layout::Each),
            Err(error) => return Err(error),
        };
        let length = blob.len();
        let mut front = vec![0; FRONT.min(length)];
        blob.read_at_exact(&mut front, 0)?;
        let first = front
            .first_chunk()
            .map_or(0, |length| u32::from_le_bytes(*length)) as usize
            + LENGTH;
        if (front.len()..=length).contains(&first) {
            front.resize(first, 0);
            blob.read_at_exact(&mut front, 0)?;
        }
        let directory = front.get(LENGTH..first).unwrap_or_default();
        // Whether there are as many stripes as it says is seen when they are read.
        let end = if length == STRIPE { MOST } else { length };
        Ok(match block::read_directory(directory, first..end) {
            Ok(entries) => Layout::Striped(length.max(1), entries),
            Err(_) => Layout::Damaged(front),
        })
    }

    fn open<'b, 'c>(
        &self,
        reader: &'c Connection,
        blob: &'b mut Option<(usize, Blob<'c>)>,
        stripe: usize,
    ) -> rusqlite::Result<&'b mut Blob<'c>> {
        let row = stripe_key(self.block, stripe);
        match blob {
            None => *blob = Some((stripe, reader.blob_open(MAIN_DB, "columns", "data", row, true)?)),
            Some((known, blob)) if *known != stripe => {
                blob.reopen(row)?;
                *known = stripe;
            }
            Some(_) => {}
        }
        Ok(&mut blob.as_mut().expect("it was opened above").1)
    }
}

/// Keeps the columns of every block as format 5 did, or 4, or 3.
#[cfg(test)]
pub(super) fn keep_as(writer: &Connection, format: usize) {
    let mut statement = writer
        .prepare("SELECT id, data FROM columns ORDER BY id DESC")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let mut blocks = std::collections::BTreeMap::<i64, Vec<u8>>::new();
    for row in rows.unwrap() {
        let (id, mut stripe): (i64, Vec<u8>) = row.unwrap();
        blocks.entry(id >> COLUMN_BITS).or_default().append(&mut stripe);
    }
    writer.execute("DELETE FROM columns", []).unwrap();
    for (block, all) in blocks {
        let first = u32::from_le_bytes(*all.first_chunk().unwrap()) as usize + LENGTH;
        let entries = block::read_directory(&all[LENGTH..first], first..all.len()).unwrap();
        let columns: Vec<_> = entries
            .iter()
            .map(|entry| block::before::seal(entry.number, &all[entry.start..][..entry.place.length]))
            .collect();
        if format == 3 {
            for (number, column) in columns {
                writer.execute(INSERT, (key(block, number), column)).unwrap();
            }
            continue;
        }
        let all = joined(&block::before::put(&columns), &columns);
        let stripe = if format == 4 { all.len() } else { STRIPE };
        for (index, stripe) in all.chunks(stripe).enumerate() {
            writer
                .execute(INSERT, (stripe_key(block, index), stripe))
                .unwrap();
        }
    }
}

/// Whether a BLOB could not be opened because there is no such row: SQLite says no more than that there is something wrong.
fn is_no_row(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_ERROR)
}

fn key(block: i64, number: u32) -> i64 {
    block << COLUMN_BITS | i64::from(number)
}

fn stripe_key(block: i64, stripe: usize) -> i64 {
    key(block, FIRST) - i64::try_from(stripe).expect("a block is in memory")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::super::schema;
    use super::*;

    /// Ten columns that are told apart by their bytes, in a file.
    fn written(data: &TempDir) -> (std::path::PathBuf, Vec<(u32, Vec<u8>)>) {
        let path = data.path().join("one.db");
        std::fs::write(&path, "").unwrap();
        let writer = schema::open_writer(&path).unwrap();
        let columns: Vec<(u32, Vec<u8>)> = (0..10)
            .map(|number| (number, vec![number as u8 + 65; 100_000]))
            .collect();
        for block in 1..=8 {
            insert(&writer, block, &columns).unwrap();
        }
        (path, columns)
    }

    #[test]
    fn columns_fill_the_pages_of_the_file() {
        let data = TempDir::new().unwrap();
        let (path, columns) = written(&data);
        let bytes = 8 * columns.iter().map(|(_, column)| column.len()).sum::<usize>();
        let reader = schema::open_reader(&path).unwrap();
        let pages: u32 = reader
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let file = pages as usize * PAGE;
        assert!(
            file < bytes * 101 / 100 + 30 * PAGE,
            "{bytes} bytes in a file of {file}"
        );
    }

    #[test]
    fn a_column_is_read_without_those_before_it() {
        let data = TempDir::new().unwrap();
        let (path, columns) = written(&data);
        let reader = schema::open_reader(&path).unwrap();
        let mut file = std::fs::read(&path).unwrap();
        // Not those that SQLite shares among stripes.
        let are_of = |page: &[u8], bytes: std::ops::RangeInclusive<u8>| {
            page[4..].iter().all(|byte| bytes.contains(byte))
        };
        let (pages, _) = file.as_chunks_mut::<PAGE>();
        let others = pages.iter_mut().filter(|page| are_of(&page[..], 65..=72));
        let wiped = others.map(|page| page.fill(0)).count();
        assert!(wiped > 300, "{wiped} pages");
        drop(reader);
        std::fs::write(&path, file).unwrap();
        let partition = Arc::new(Partition::new(path));
        for block in 1..=8 {
            let read = |number| with(&partition, block, |stored| stored.read(number, 0..100_000)).unwrap();
            assert_eq!(read(9).unwrap(), columns[9].1);
            assert!(read(2).is_err());
        }
    }
}
