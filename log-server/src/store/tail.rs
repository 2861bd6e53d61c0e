//! The batches as they came: a list of all of them in memory, and the newest ones decoded.
//!
//! Rule: memory for decoded batches is bounded by [`DECODED_RECORDS`]; an older batch is read from the file and decoded
//! when a search needs it. The list has one small entry per batch, in order of arrival.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use log_record::{Batch, LogRecord, Source, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use super::schema;
use super::{RecordId, StoreError, StoredRecord};

/// How many records stay decoded, about 1 KiB each. Enough for the last minutes of a busy system, which is what people
/// look at; raise it if memory is plentiful.
const DECODED_RECORDS: usize = 40_000;

const ENTRIES: &str = "SELECT id, arrived, records, earliest, latest FROM batches ORDER BY id";
const PAYLOAD: &str = "SELECT payload FROM batches WHERE id = ?1";

/// A decoded batch.
#[derive(Debug)]
pub struct StoredBatch {
    /// Its number, rising in order of arrival.
    pub id: i64,
    /// Who sent it.
    pub source: Arc<Source>,
    /// Its records; a record's place is part of its [`RecordId`].
    pub records: Vec<LogRecord>,
}

/// What is known of a batch without decoding it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) arrived: Timestamp,
    pub(super) records: usize,
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

pub(super) struct Tail {
    /// In order of arrival. Batches without records are not in it.
    entries: RwLock<Vec<Entry>>,
    decoded: Mutex<Decoded>,
    newest: watch::Sender<RecordId>,
    path: PathBuf,
    /// Connections that are not in use.
    readers: Mutex<Vec<Connection>>,
}

#[derive(Default)]
struct Decoded {
    batches: BTreeMap<i64, Arc<StoredBatch>>,
    records: usize,
}

impl Tail {
    pub(super) fn load(connection: &Connection, path: &Path) -> Result<Tail, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::Failed(error.to_string());
        let mut statement = connection.prepare(ENTRIES).map_err(failed)?;
        let rows = statement
            .query_map([], |row| {
                let time = |index| {
                    row.get::<_, Option<i64>>(index)
                        .map(|ns| ns.map(Timestamp::from_nanos))
                };
                let (id, records) = (row.get(0)?, usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0));
                let (arrived, earliest, latest) = (Timestamp::from_nanos(row.get(1)?), time(3)?, time(4)?);
                Ok(earliest.zip(latest).map(|(earliest, latest)| Entry {
                    id,
                    arrived,
                    records,
                    earliest,
                    latest,
                }))
            })
            .map_err(failed)?;
        let entries = rows
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let newest = entries.last().map_or(RecordId::default(), |entry| {
            RecordId::new(entry.id, entry.records - 1)
        });
        Ok(Tail {
            entries: RwLock::new(entries),
            decoded: Mutex::default(),
            newest: watch::channel(newest).0,
            path: path.to_owned(),
            readers: Mutex::default(),
        })
    }

    /// Makes batches visible to every search that starts from now on. Only the writer calls it, after `COMMIT`.
    pub(super) fn extend(&self, batches: Vec<(Entry, Arc<StoredBatch>)>) {
        let Some((last, _)) = batches.last() else { return };
        let newest = RecordId::new(last.id, last.records - 1);
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            entries.extend(batches.iter().map(|(entry, _)| *entry));
        }
        {
            let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, batch) in batches {
                decoded.keep(batch);
            }
        }
        self.newest.send_replace(newest);
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn newest(&self) -> watch::Receiver<RecordId> {
        self.newest.subscribe()
    }

    pub(super) fn since(
        &self,
        after: RecordId,
        limit: usize,
    ) -> Result<(Vec<Arc<StoredBatch>>, bool), StoreError> {
        let new: Vec<Entry> = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let start = entries.partition_point(|entry| RecordId::new(entry.id, entry.records - 1) <= after);
            entries[start..].to_vec()
        };
        let skipped = new.len().saturating_sub(limit);
        let batches = new[skipped..]
            .iter()
            .map(|entry| self.decode(entry))
            .collect::<Result<_, _>>()?;
        Ok((batches, skipped > 0))
    }

    /// The record of that id, if there is one.
    pub(super) fn record(&self, id: RecordId) -> Result<Option<StoredRecord>, StoreError> {
        let entry = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries
                .binary_search_by_key(&id.batch(), |entry| entry.id)
                .ok()
                .map(|index| entries[index])
        };
        let Some(entry) = entry else { return Ok(None) };
        let batch = self.decode(&entry)?;
        let record = batch.records.get(id.place()).cloned();
        Ok(record.map(|record| StoredRecord {
            id,
            source: batch.source.clone(),
            record,
        }))
    }

    /// The batch's records, from memory or from the file.
    pub(super) fn decode(&self, entry: &Entry) -> Result<Arc<StoredBatch>, StoreError> {
        let known = self
            .decoded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .batches
            .get(&entry.id)
            .cloned();
        if let Some(batch) = known {
            return Ok(batch);
        }
        let damaged = |why: &dyn std::fmt::Display| {
            StoreError::Failed(format!("{}: batch {}: {why}", self.path.display(), entry.id))
        };
        let payload = self.payload(entry.id).map_err(|error| damaged(&error))?;
        let text = decompress(&payload).map_err(|error| damaged(&error))?;
        let batch = Batch::parse(&text, entry.arrived).map_err(|error| damaged(&error))?;
        let batch = Arc::new(StoredBatch {
            id: entry.id,
            source: batch.source,
            records: batch.records,
        });
        self.decoded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(batch.clone());
        Ok(batch)
    }

    fn payload(&self, id: i64) -> Result<Vec<u8>, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = idle.map_or_else(|| schema::open_reader(&self.path), Ok)?;
        let payload = reader
            .prepare_cached(PAYLOAD)
            .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reader);
        payload.ok_or_else(|| StoreError::Failed("it is missing".into()))
    }
}

impl Decoded {
    /// Keeps the newest batches within the bound: an older one does not push out a newer one.
    fn keep(&mut self, batch: Arc<StoredBatch>) {
        self.records += batch.records.len();
        if let Some(replaced) = self.batches.insert(batch.id, batch) {
            self.records -= replaced.records.len();
        }
        while self.records > DECODED_RECORDS
            && let Some((_, oldest)) = self.batches.pop_first()
        {
            self.records -= oldest.records.len();
        }
    }
}

pub(super) fn compress(text: &str) -> Vec<u8> {
    // Level 1: higher levels cost CPU and save about one per cent on log text.
    zstd::bulk::compress(text.as_bytes(), 1).expect("compressing memory into memory does not fail")
}

fn decompress(payload: &[u8]) -> Result<String, std::io::Error> {
    let bytes = zstd::decode_all(payload)?;
    String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
