//! The columns of a block on disk: one after the other in one BLOB, so that they fill its pages, and are read by
//! themselves all the same.
//!
//! Format: length of the directory (4 bytes, little-endian) · the directory: of each column number and length (LEB128
//! both), and the xxh3 of that · the columns. Blocks of format 3 and before have a row for each column instead.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

use rusqlite::blob::Blob;
use rusqlite::{Connection, MAIN_DB, OptionalExtension};

use super::StoreError;
use super::block::{self, Columns};
use super::partition::Partition;

const COLUMN_BITS: u32 = 16;
/// The number under which all columns of a block are kept; higher than that of any column.
const ALL: u32 = (1 << COLUMN_BITS) - 1;
/// So much of the BLOB nearly always has the whole directory.
const FRONT: usize = 1_024;
const LENGTH: usize = size_of::<u32>();

const INSERT: &str = "INSERT INTO columns (id, data) VALUES (?1, ?2)";
const LENGTH_OF_ALL: &str = "SELECT length(data) FROM columns WHERE id = ?1";
const ONE: &str = "SELECT data FROM columns WHERE id = ?1";
const DELETE: &str = "DELETE FROM columns WHERE id >= ?1 AND id < ?2";

/// Writes the columns of a block. Within the caller's transaction.
pub(super) fn insert(writer: &Connection, block: i64, columns: &[(u32, Vec<u8>)]) -> rusqlite::Result<()> {
    let directory = block::put_directory(columns);
    let length = u32::try_from(directory.len()).expect("a block has few columns");
    let mut all = Vec::with_capacity(
        LENGTH + directory.len() + columns.iter().map(|(_, column)| column.len()).sum::<usize>(),
    );
    all.extend_from_slice(&length.to_le_bytes());
    all.extend_from_slice(&directory);
    columns
        .iter()
        .for_each(|(_, column)| all.extend_from_slice(column));
    writer.prepare_cached(INSERT)?.execute((key(block, ALL), all))?;
    Ok(())
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

/// Columns that are read one by one.
struct Stored<'r> {
    partition: &'r Partition,
    block: i64,
    /// The connection, if it need not be asked for each time.
    held: Option<&'r Connection>,
    /// Of that connection.
    blob: RefCell<Option<Blob<'r>>>,
    layout: OnceCell<Layout>,
    /// Why the connection is not to be trusted any more.
    failed: Cell<Option<rusqlite::Error>>,
}

/// How the columns are kept.
enum Layout {
    /// In a row each.
    Each,
    /// In one BLOB: where each is.
    One(Vec<(u32, Range<usize>)>),
    /// In one BLOB that begins with bytes that were not written: who takes them for a column sees that.
    Damaged(Vec<u8>),
}

impl Columns for Stored<'_> {
    fn column(&self, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(reader) = self.held else {
            return self.partition.with_reader(|reader| {
                let mut blob = None;
                self.read(reader, &mut blob, number)
            });
        };
        let read = self.read(reader, &mut self.blob.borrow_mut(), number);
        read.map_err(|error| {
            let told = self.partition.unread(&error);
            self.failed.set(Some(error));
            told
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

    fn read<'c>(
        &self,
        reader: &'c Connection,
        blob: &mut Option<Blob<'c>>,
        number: u32,
    ) -> rusqlite::Result<Option<Vec<u8>>> {
        let layout = match self.layout.get() {
            Some(layout) => layout,
            None => {
                let layout = self.layout(reader, blob)?;
                self.layout.get_or_init(|| layout)
            }
        };
        let directory = match layout {
            Layout::One(directory) => directory,
            Layout::Damaged(bytes) => return Ok(Some(bytes.clone())),
            Layout::Each => {
                let mut statement = reader.prepare_cached(ONE)?;
                let row = statement.query_row([key(self.block, number)], |row| row.get(0));
                return row.optional();
            }
        };
        let Some((_, place)) = directory.iter().find(|(known, _)| *known == number) else {
            return Ok(None);
        };
        let mut column = vec![0; place.len()];
        self.open(reader, blob)?.read_at_exact(&mut column, place.start)?;
        Ok(Some(column))
    }

    fn layout<'c>(&self, reader: &'c Connection, blob: &mut Option<Blob<'c>>) -> rusqlite::Result<Layout> {
        let mut statement = reader.prepare_cached(LENGTH_OF_ALL)?;
        let length = statement
            .query_row([key(self.block, ALL)], |row| row.get::<_, u32>(0))
            .optional()?;
        let Some(length) = length.map(|length| length as usize) else {
            return Ok(Layout::Each);
        };
        let blob = self.open(reader, blob)?;
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
        Ok(match block::read_directory(directory, first..length) {
            Ok(directory) => Layout::One(directory),
            Err(_) => Layout::Damaged(front),
        })
    }

    fn open<'b, 'c>(
        &self,
        reader: &'c Connection,
        blob: &'b mut Option<Blob<'c>>,
    ) -> rusqlite::Result<&'b mut Blob<'c>> {
        if blob.is_none() {
            *blob = Some(reader.blob_open(MAIN_DB, "columns", "data", key(self.block, ALL), true)?);
        }
        Ok(blob.as_mut().expect("it was opened above"))
    }
}

/// Gives every column of every block a row of its own, as older formats did.
#[cfg(test)]
pub(super) fn keep_apart(writer: &Connection) {
    let mut statement = writer.prepare("SELECT id, data FROM columns").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let blocks: Vec<(i64, Vec<u8>)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
    for (id, all) in blocks {
        let first = u32::from_le_bytes(*all.first_chunk().unwrap()) as usize + LENGTH;
        for (number, place) in block::read_directory(&all[LENGTH..first], first..all.len()).unwrap() {
            let row = (key(id >> COLUMN_BITS, number), &all[place]);
            writer.execute(INSERT, row).unwrap();
        }
        writer.execute("DELETE FROM columns WHERE id = ?1", [id]).unwrap();
    }
}

fn key(block: i64, number: u32) -> i64 {
    block << COLUMN_BITS | i64::from(number)
}
