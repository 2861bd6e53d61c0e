//! The batches that are not sealed yet: an entry in memory for each, and the newest ones decoded that were searched.
//!
//! Rule: a batch is read from the file and decoded when somebody looks at it. Memory for decoded batches is bounded by
//! [`DECODED_RECORDS`]. What is read back is what was stored: its hash is compared.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log_record::{BorrowedBatch, BorrowedRecord, LogRecord, Source, Timestamp};
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use super::partition::Partition;
use super::{RecordId, StoreError};

/// How many records stay decoded, about 1 KiB each. Enough for the last minutes of a busy system, which is what people
/// look at; raise it if memory is plentiful.
const DECODED_RECORDS: usize = 40_000;

const ENTRIES: &str = "SELECT id, arrived, records, earliest, latest, hash, substr(payload, 1, 18) FROM batches WHERE id > ?1 ORDER BY id";
const PAYLOAD: &str = "SELECT payload FROM batches WHERE id = ?1";

/// A decoded batch.
#[derive(Debug)]
pub struct StoredBatch {
    /// Its number, rising in order of arrival.
    pub id: i64,
    /// Who sent it.
    pub source: Arc<Source>,
    /// The place of the first of its records in the batch as it came. Not 0 once retention has taken out some before it:
    /// what is left of a batch is then in several pieces, so that a record's id stays what it was.
    pub first: usize,
    /// Its records.
    pub records: Vec<LogRecord>,
}

impl StoredBatch {
    /// The id of the record at `index` of [`StoredBatch::records`].
    pub fn record_id(&self, index: usize) -> RecordId {
        RecordId::new(self.id, self.first + index)
    }

    /// Bytes of its records' texts, about.
    pub(super) fn text_bytes(&self) -> usize {
        self.records.iter().map(LogRecord::text_bytes).sum()
    }

    /// The record of that id, if it is here.
    pub(super) fn record(&self, id: RecordId) -> Option<&LogRecord> {
        if id.batch() != self.id {
            return None;
        }
        self.records.get(id.place().checked_sub(self.first)?)
    }
}

/// What is known of an unsealed batch without decoding it.
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) arrived: Timestamp,
    /// 0 for a batch that has none; it waits to be entered in the ledger, and is in no snapshot.
    pub(super) records: usize,
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
    pub(super) hash: i64,
    /// Of its text.
    pub(super) bytes: usize,
    /// Since when it waits to be sealed.
    pub(super) since: Instant,
    pub(super) partition: Arc<Partition>,
}

impl Entry {
    /// The id of its last record.
    pub(super) fn last_record(&self) -> RecordId {
        RecordId::new(self.id, self.records.saturating_sub(1))
    }
}

/// The entries of a partition's batches that are not sealed, in order of arrival.
pub(super) fn load(
    reader: &Connection,
    partition: &Arc<Partition>,
    sealed: i64,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let since = Instant::now();
    let mut statement = reader.prepare(ENTRIES)?;
    let rows = statement.query_map([sealed], |row| {
        let time = |index| {
            row.get::<_, Option<i64>>(index)
                .map(|ns| Timestamp::from_nanos(ns.unwrap_or(0)))
        };
        Ok(Arc::new(Entry {
            id: row.get(0)?,
            arrived: Timestamp::from_nanos(row.get(1)?),
            records: usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            earliest: time(3)?,
            latest: time(4)?,
            hash: row.get(5)?,
            bytes: text_bytes(&row.get::<_, Vec<u8>>(6)?),
            since,
            partition: partition.clone(),
        }))
    })?;
    rows.collect()
}

/// How long the text of a payload is, told from its first 18 bytes: the longest header that zstd writes. What has no such
/// header cannot be decoded either, so its length does not matter.
fn text_bytes(header: &[u8]) -> usize {
    let told = zstd::zstd_safe::get_frame_content_size(header).ok().flatten();
    told.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
}

/// The newest batches, decoded.
#[derive(Default)]
pub(super) struct Decoded {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    batches: BTreeMap<i64, Arc<StoredBatch>>,
    records: usize,
}

impl Decoded {
    /// The batch's records, from memory or from the file.
    pub(super) fn batch(&self, entry: &Entry) -> Result<Arc<StoredBatch>, StoreError> {
        let kept = self.lock().batches.get(&entry.id).cloned();
        if let Some(batch) = kept {
            return Ok(batch);
        }
        let batch = Arc::new(read(entry)?);
        self.keep(batch.clone());
        Ok(batch)
    }

    /// Keeps the newest batches within the bound: an older one does not push out a newer one.
    fn keep(&self, batch: Arc<StoredBatch>) {
        let mut kept = self.lock();
        kept.records += batch.records.len();
        if let Some(replaced) = kept.batches.insert(batch.id, batch) {
            kept.records -= replaced.records.len();
        }
        while kept.records > DECODED_RECORDS
            && let Some((_, oldest)) = kept.batches.pop_first()
        {
            kept.records -= oldest.records.len();
        }
    }

    /// Forgets what is sealed, which is read from its block.
    pub(super) fn forget(&self, entries: &[Arc<Entry>]) {
        let mut kept = self.lock();
        for entry in entries {
            if let Some(batch) = kept.batches.remove(&entry.id) {
                kept.records -= batch.records.len();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(entry: &Entry) -> Result<StoredBatch, StoreError> {
    with_batch(entry, |batch| StoredBatch {
        id: entry.id,
        source: batch.source,
        first: 0,
        records: batch
            .records
            .into_iter()
            .map(BorrowedRecord::into_owned)
            .collect(),
    })
}

/// Shows a batch as it stands in the file.
pub(super) fn with_batch<T>(
    entry: &Entry,
    see: impl FnOnce(BorrowedBatch<'_>) -> T,
) -> Result<T, StoreError> {
    let damaged =
        |why: &dyn std::fmt::Display| entry.partition.damaged(&format!("batch {}: {why}", entry.id));
    let text = entry.partition.with_reader(|reader| {
        let mut statement = reader.prepare_cached(PAYLOAD)?;
        let mut rows = statement.query([entry.id])?;
        let payload = rows
            .next()?
            .map(|row| row.get_ref(0)?.as_blob_or_null().map_err(Into::into));
        payload
            .transpose()
            .map(|payload: Option<Option<&[u8]>>| payload.flatten().map(decompress))
    })?;
    let text = text.ok_or_else(|| damaged(&"it is missing"))?;
    let text = text.map_err(|error| damaged(&error))?;
    if hash(&text) != entry.hash {
        return Err(damaged(&"it is not what was stored"));
    }
    let batch = BorrowedBatch::read(&text, entry.arrived).map_err(|error| damaged(&error))?;
    Ok(see(batch))
}

/// By which a repeat is told from other content, and damage from what was stored.
pub(super) fn hash(text: &str) -> i64 {
    xxh3_64(text.as_bytes()).cast_signed()
}

/// A payload lives for minutes, so it is compressed as fast as zstd can; level 1 would take twice the time.
const PAYLOAD_LEVEL: i32 = -3;
/// No batch is longer, so that a damaged length cannot ask for all memory.
const TEXT_MOST: usize = 1 << 28;

thread_local! {
    // Making one costs as much as compressing some kilobytes, and so does memory that was never touched.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    static COMPRESSOR: RefCell<Option<(zstd::bulk::Compressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Shows the payload of a batch with that text.
pub(super) fn with_payload<T>(text: &str, see: impl FnOnce(&[u8]) -> T) -> T {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let (compressor, payload) = compressor.get_or_insert_with(|| {
            let compressor = zstd::bulk::Compressor::new(PAYLOAD_LEVEL);
            (
                compressor.expect("negative levels exist in every zstd"),
                Vec::new(),
            )
        });
        payload.clear();
        payload.reserve(zstd::zstd_safe::compress_bound(text.len()));
        compressor
            .compress_to_buffer(text.as_bytes(), payload)
            .expect("compressing memory into memory that is large enough does not fail");
        see(payload)
    })
}

pub(super) fn decompress(payload: &[u8]) -> Result<String, std::io::Error> {
    let length = text_bytes(payload);
    let bytes = if (1..=TEXT_MOST).contains(&length) {
        DECOMPRESSOR.with_borrow_mut(|decompressor| {
            let decompressor = match decompressor {
                Some(decompressor) => decompressor,
                none => none.insert(zstd::bulk::Decompressor::new()?),
            };
            decompressor.decompress(payload, length)
        })?
    } else {
        zstd::decode_all(payload)?
    };
    String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
