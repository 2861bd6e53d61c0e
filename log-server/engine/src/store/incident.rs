//! What a search finds, as one file: a partition like any other, which the server opens, and beside it the same records
//! as plain rows in the table `logs`, which any tool reads. The rows take the most room; the blocks add a tenth to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_record::limits::BATCH_RECORDS;
use log_record::{LogRecord, Source};
use rusqlite::{Connection, params_from_iter};

use super::plain::{COLUMNS, PIECE, value};
use super::search::{Budget, Direction, Partial, Search};
use super::writer::is_full;
use super::{Cursor, Store, StoreError, StoredBatch, StoredRecord, TimeRange, block, blocks, schema};
use crate::query::Filter;

/// Records that become one block: what waits for it is in memory.
const BLOCK_ROWS: usize = 16_384;
/// Text that becomes one block.
const BLOCK_BYTES: usize = 16 << 20;
const PAGE_BYTES: u64 = 16_384;

const SET_PROGRESS: &str = "UPDATE progress SET first_batch = 1, sealed = ?1";
const INDEXES: &str = "
    CREATE INDEX logs_time ON logs (time);
    CREATE INDEX logs_service ON logs (service, time);
    CREATE INDEX logs_level ON logs (level, time);
    CREATE INDEX logs_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
    ANALYZE;";

/// Which records, and where to.
pub struct Incident<'a> {
    /// What they match.
    pub filter: &'a Filter,
    /// When they are from.
    pub range: TimeRange,
    /// The file, which must not be there yet.
    pub path: &'a Path,
    /// How large the file may become; `None`: as large as the disk.
    pub bytes: Option<u64>,
    /// When it must be done.
    pub budget: &'a Budget,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Records in it.
    pub records: u64,
    /// Why they may not be all. With [`Partial::Deadline`] and [`Partial::Cancelled`] there is no file.
    pub partial: Option<Partial>,
}

impl Store {
    /// Writes every record that matches to a new file. Blocks: call it off the async threads. The file appears when it is
    /// whole; of a try that failed nothing stays.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk has no room for it or it would become too large, [`StoreError::Unusable`] when
    /// there is such a file already or it cannot be written, others when stored data cannot be read back.
    pub fn export_file(&self, incident: &Incident<'_>) -> Result<Exported, StoreError> {
        if incident.path.exists() {
            return Err(super::directory::unusable(incident.path, &"it exists already"));
        }
        let mut part = incident.path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let failed = |error: std::io::Error| super::directory::unusable(incident.path, &error);
        if part.exists() {
            // What an earlier try left when it was killed.
            std::fs::remove_file(&part).map_err(failed)?;
        }
        let written = self.write_file(incident, &part);
        match written {
            Ok(Exported {
                partial: None | Some(Partial::Damaged),
                ..
            }) => std::fs::rename(&part, incident.path).map_err(failed)?,
            Ok(Exported {
                partial: Some(Partial::Deadline | Partial::Cancelled),
                ..
            })
            | Err(_) => std::fs::remove_file(&part).map_err(failed)?,
        }
        written
    }

    fn write_file(&self, incident: &Incident<'_>, part: &Path) -> Result<Exported, StoreError> {
        let failed = |error: rusqlite::Error| match is_full(&error) {
            true => StoreError::Full,
            false => super::directory::unusable(incident.path, &error),
        };
        schema::create(part, |_| Ok(())).map_err(failed)?;
        let mut file = FileWriter::begin(part, incident.bytes).map_err(failed)?;
        let (mut after, mut records, mut partial): (Option<Cursor>, u64, _) = (None, 0, None);
        loop {
            let page = self.search(&Search {
                filter: incident.filter,
                range: incident.range,
                after,
                direction: Direction::Newer,
                limit: PIECE,
                budget: incident.budget,
            })?;
            match page.partial {
                Some(spent @ (Partial::Deadline | Partial::Cancelled)) => {
                    let partial = Some(spent);
                    return Ok(Exported { records, partial });
                }
                Some(Partial::Damaged) => partial = Some(Partial::Damaged),
                None => {}
            }
            records += page.records.len() as u64;
            file.add(page.records).map_err(failed)?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        file.end().map_err(failed)?;
        Ok(Exported { records, partial })
    }
}

/// A file that is being written.
struct FileWriter {
    connection: Connection,
    insert: String,
    /// What becomes the next block.
    waiting: Vec<StoredBatch>,
    rows: usize,
    last_batch: i64,
}

impl FileWriter {
    fn begin(path: &Path, bytes: Option<u64>) -> rusqlite::Result<FileWriter> {
        let connection = Connection::open(path)?;
        // Nobody reads it before it is whole, and nobody misses it if it never is.
        connection.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
        if let Some(bytes) = bytes {
            let pages = i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        let columns = COLUMNS.map(|(name, kind)| format!("{name} {kind}"));
        connection.execute_batch(&format!("CREATE TABLE logs ({}) STRICT", columns.join(", ")))?;
        Ok(FileWriter {
            connection,
            insert: format!("INSERT INTO logs VALUES ({})", ["?"; COLUMNS.len()].join(", ")),
            waiting: Vec::new(),
            rows: 0,
            last_batch: 0,
        })
    }

    fn add(&mut self, records: Vec<StoredRecord>) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        {
            let mut insert = transaction.prepare_cached(&self.insert)?;
            for record in &records {
                insert.execute(params_from_iter(
                    COLUMNS.iter().map(|(name, _)| value(record, name)),
                ))?;
            }
        }
        transaction.commit()?;
        self.rows += records.len();
        for StoredRecord { source, record, .. } in records {
            self.wait(source, record);
        }
        let bytes: usize = self.waiting.iter().map(StoredBatch::text_bytes).sum();
        if self.rows >= BLOCK_ROWS || bytes > BLOCK_BYTES {
            self.seal()?;
        }
        Ok(())
    }

    /// Neighbours of one sender are one batch.
    fn wait(&mut self, source: Arc<Source>, record: LogRecord) {
        match self.waiting.last_mut() {
            Some(batch) if batch.source == source && batch.records.len() < BATCH_RECORDS => {
                batch.records.push(record);
            }
            Some(_) | None => {
                self.last_batch += 1;
                self.waiting.push(StoredBatch {
                    id: self.last_batch,
                    source,
                    first: 0,
                    records: vec![record],
                });
            }
        }
    }

    fn seal(&mut self) -> rusqlite::Result<()> {
        let batches = std::mem::take(&mut self.waiting).into_iter().map(Arc::new);
        self.rows = 0;
        let Some(sealed) = block::seal(batches) else {
            return Ok(());
        };
        let transaction = self.connection.unchecked_transaction()?;
        blocks::insert(&transaction, &sealed)?;
        transaction.execute(SET_PROGRESS, [self.last_batch])?;
        transaction.commit()
    }

    fn end(mut self) -> rusqlite::Result<()> {
        self.seal()?;
        self.connection.execute_batch(INDEXES)?;
        self.connection.close().map_err(|(_, error)| error)
    }
}
