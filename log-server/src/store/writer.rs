//! The one thread that writes. Appends that wait together are committed together: a commit costs an fsync, a batch
//! does not.

use std::collections::HashSet;
use std::sync::Arc;

use log_record::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot, watch};
use xxhash_rust::xxh3::xxh3_64;

use super::ledger::Ledger;
use super::schema::DatabaseFile;
use super::tail::{Entry, StoredBatch, Tail, compress};
use super::{Appended, Incoming, StoreError};

/// Appends committed at once; with [`GROUP_BYTES`] it bounds how long the first of them waits for the others.
const GROUP: usize = 32;
/// Bytes of text committed at once.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

const KNOWN: &str = "SELECT boot, no FROM batches WHERE boot IS NOT NULL ORDER BY id";
const LAST: &str = "SELECT coalesce(max(id), 0) FROM batches";
const HASH: &str = "SELECT hash FROM batches WHERE boot = ?1 AND no = ?2";
const INSERT: &str = "INSERT INTO batches (id, boot, no, arrived, records, earliest, latest, hash, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// A batch to be stored, and who waits for it.
pub(super) struct Append {
    pub(super) incoming: Incoming,
    pub(super) done: oneshot::Sender<Result<Appended, StoreError>>,
}

pub(super) struct Writer {
    file: DatabaseFile,
    ledger: Ledger,
    last_id: i64,
    tail: Arc<Tail>,
    failed: watch::Sender<Option<String>>,
}

/// An append within a transaction that is not yet committed.
struct Pending {
    done: oneshot::Sender<Result<Appended, StoreError>>,
    outcome: Result<Appended, StoreError>,
    stored: Option<(Entry, Arc<StoredBatch>)>,
    identity: Option<(Arc<str>, u64)>,
}

impl Writer {
    pub(super) fn new(
        file: DatabaseFile,
        tail: Arc<Tail>,
        failed: watch::Sender<Option<String>>,
    ) -> Result<Writer, StoreError> {
        let (ledger, last_id) =
            known(&file.connection).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Writer {
            file,
            ledger,
            last_id,
            tail,
            failed,
        })
    }

    /// Stores what comes until every sender is gone, or until the file can no longer be trusted.
    pub(super) fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        while let Some(first) = appends.blocking_recv() {
            let mut bytes = first.incoming.text.len();
            let mut group = vec![first];
            while group.len() < GROUP && bytes < GROUP_BYTES {
                let Ok(next) = appends.try_recv() else { break };
                bytes += next.incoming.text.len();
                group.push(next);
            }
            if let Err(why) = self.commit(group) {
                tracing::error!(%why, "the store has stopped");
                self.failed.send_replace(Some(why));
                return;
            }
        }
        if let Err(error) = self
            .file
            .connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        {
            tracing::warn!(%error, "the last checkpoint was not made; the next start makes it");
        }
    }

    /// One transaction for the group. `Err` says why no further write may be tried.
    fn commit(&mut self, group: Vec<Append>) -> Result<(), String> {
        let first_id = self.last_id;
        let outcome = self.write(group);
        let (pending, error) = match outcome {
            Ok(pending) => (pending, None),
            Err((pending, error)) => (pending, Some(error)),
        };
        let Some(error) = error else {
            for (boot, no) in pending.iter().filter_map(|append| append.identity.as_ref()) {
                self.ledger.insert(boot, *no);
            }
            let mut answers = Vec::with_capacity(pending.len());
            let mut stored = Vec::with_capacity(pending.len());
            for append in pending {
                stored.extend(append.stored);
                answers.push((append.done, append.outcome));
            }
            // Visible before acknowledged: who has the answer finds the records.
            self.tail.extend(stored);
            for (done, outcome) in answers {
                // The caller stopped waiting; the batch is stored, and a resend is answered as a duplicate.
                let _ = done.send(outcome);
            }
            return Ok(());
        };
        self.last_id = first_id;
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let why = if full {
            StoreError::Full
        } else {
            StoreError::Failed(error.to_string())
        };
        for append in pending {
            // The caller stopped waiting; it will send the batch again, for it got no answer.
            let _ = append.done.send(Err(why.clone()));
        }
        if full {
            return Ok(());
        }
        Err(format!("{}: {error}", self.file.path.display()))
    }

    fn write(&mut self, group: Vec<Append>) -> Result<Vec<Pending>, (Vec<Pending>, rusqlite::Error)> {
        let mut pending = Vec::with_capacity(group.len());
        let mut appends = group.into_iter();
        let written = (|| {
            let transaction = self.file.connection.unchecked_transaction()?;
            let mut new = HashSet::new();
            for append in appends.by_ref() {
                let id = self.last_id + 1;
                // Whatever happens to this append, its caller is answered: it is in `pending` before anything can fail.
                pending.push(Pending {
                    done: append.done,
                    outcome: Ok(Appended::Duplicate),
                    stored: None,
                    identity: None,
                });
                let slot = pending.last_mut().expect("just pushed");
                let Incoming { batch, text, .. } = &append.incoming;
                let identity = batch.source.boot.clone().zip(batch.no);
                let hash = xxh3_64(text.as_bytes()).cast_signed();
                if let Some((boot, no)) = &identity
                    && (self.ledger.has(boot, *no) || new.contains(&(boot.clone(), *no)))
                {
                    let known: Option<i64> = transaction
                        .prepare_cached(HASH)?
                        .query_row(params![&**boot, no.cast_signed()], |row| row.get(0))
                        .optional()?;
                    if known.is_some_and(|known| known != hash) {
                        slot.outcome = Err(StoreError::Reused {
                            boot: boot.to_string(),
                            no: *no,
                        });
                    }
                    continue;
                }
                let stored = insert(&transaction, id, append.incoming, hash)?;
                self.last_id = id;
                slot.outcome = Ok(Appended::Stored);
                slot.stored = stored;
                new.extend(identity.clone());
                slot.identity = identity;
            }
            transaction.commit()
        })();
        match written {
            Ok(()) => Ok(pending),
            Err(error) => {
                pending.extend(appends.map(|append| Pending {
                    done: append.done,
                    outcome: Ok(Appended::Duplicate),
                    stored: None,
                    identity: None,
                }));
                Err((pending, error))
            }
        }
    }
}

/// Writes one batch. `None` when it has no record that a search could find.
fn insert(
    transaction: &Connection,
    id: i64,
    incoming: Incoming,
    hash: i64,
) -> rusqlite::Result<Option<(Entry, Arc<StoredBatch>)>> {
    let Incoming { batch, text, arrived } = incoming;
    let times = batch.records.iter().map(|record| record.time);
    let (earliest, latest) = (times.clone().min(), times.max());
    let (boot, no) = batch
        .source
        .boot
        .as_deref()
        .zip(batch.no.map(u64::cast_signed))
        .unzip();
    transaction.prepare_cached(INSERT)?.execute(params![
        id,
        boot,
        no,
        arrived.as_nanos(),
        i64::try_from(batch.records.len()).expect("a batch is small"),
        earliest.map(Timestamp::as_nanos),
        latest.map(Timestamp::as_nanos),
        hash,
        compress(&text),
    ])?;
    Ok(earliest.zip(latest).map(|(earliest, latest)| {
        let entry = Entry {
            id,
            arrived,
            records: batch.records.len(),
            earliest,
            latest,
        };
        (
            entry,
            Arc::new(StoredBatch {
                id,
                source: batch.source,
                records: batch.records,
            }),
        )
    }))
}

fn known(connection: &Connection) -> rusqlite::Result<(Ledger, i64)> {
    let mut ledger = Ledger::default();
    let mut statement = connection.prepare(KNOWN)?;
    let mut rows = statement.query([])?;
    let mut boot: Arc<str> = "".into();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        if *boot != *name {
            boot = name.into();
        }
        ledger.insert(&boot, row.get::<_, i64>(1)?.cast_unsigned());
    }
    Ok((ledger, connection.query_row(LAST, [], |row| row.get(0))?))
}
