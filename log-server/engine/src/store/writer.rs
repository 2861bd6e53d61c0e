//! The one thread that writes to the live partition. Appends that wait together are committed together: a commit costs
//! an fsync, a batch does not. Between them it makes the changes that sealing and merging have prepared.
//!
//! Promise: after an error that leaves the file in doubt nothing is written or acknowledged any more. A full disk is
//! not such an error: the transaction is undone, and the next one may succeed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use log_record::Timestamp;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::block::ROWS_MOST;
use super::contents::Contents;
use super::crash;
use super::directory;
use super::ledger::{self, Known, Ledger};
use super::opening;
use super::partition::{self, Partition, Progress, low_half};
use super::schema;
use super::tail::{self, Entry};
use super::{Appended, Incoming, StoreError};

/// Appends committed at once; with [`GROUP_BYTES`] it bounds how long the first of them waits for the others.
const GROUP: usize = 32;
/// Bytes of text committed at once.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

const LAST: &str =
    "SELECT max(sealed, first_batch - 1, coalesce((SELECT max(id) FROM batches), 0)) FROM progress";
const INSERT: &str =
    "INSERT INTO batches (id, boot, no, arrived, records, earliest, latest, hash, payload, first_seq, last_seq)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// What the writer is asked to do.
pub(super) enum Request {
    Append(Append),
    Change(Change),
    Roll(Roll),
    /// What little a checkpoint beside the appends left over is to be written back, so that the log can begin anew.
    Checkpoint,
}

/// A batch to be stored, and who waits for it.
pub(super) struct Append {
    pub(super) incoming: Incoming,
    pub(super) done: oneshot::Sender<Result<Appended, StoreError>>,
}

/// Something to be written to the live partition in a transaction of its own.
pub(super) struct Change {
    pub(super) write: Write,
    pub(super) done: SyncSender<Result<i64, StoreError>>,
}

/// Answers with a number of the caller's choice: the id of a row it wrote.
pub(super) type Write = Box<dyn FnOnce(&Connection) -> rusqlite::Result<i64> + Send>;

/// A new partition is to be begun; answered with the connection to the old one.
pub(super) struct Roll {
    pub(super) path: PathBuf,
    pub(super) done: SyncSender<Result<Connection, StoreError>>,
}

pub(super) struct Writer {
    partition: Arc<Partition>,
    connection: Connection,
    ledger: Ledger,
    last_id: i64,
    contents: Arc<Contents>,
    /// Which file it is: SQLite would go on writing to one that was deleted or replaced.
    file: directory::Identity,
    /// Told when there is a block's worth to seal.
    sealer: SyncSender<()>,
}

/// An append within a transaction that is not yet committed.
struct Pending {
    done: oneshot::Sender<Result<Appended, StoreError>>,
    outcome: Result<Appended, StoreError>,
    stored: Option<Entry>,
    identity: Option<(Arc<str>, u64)>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        contents: Arc<Contents>,
        sealer: SyncSender<()>,
    ) -> Result<Writer, StoreError> {
        let last_id = connection
            .query_row(LAST, [], |row| row.get(0))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let partition = contents.live();
        let file = directory::identity(partition.path())
            .map_err(|error| directory::unusable(partition.path(), &error))?;
        Ok(Writer {
            partition,
            connection,
            file,
            ledger: Ledger::default(),
            last_id,
            contents,
            sealer,
        })
    }

    /// Does what it is asked until nobody can ask any more, or until the file can no longer be trusted: then `Err`
    /// says why.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Result<(), String> {
        let mut waiting = None;
        loop {
            let Some(request) = waiting.take().or_else(|| requests.blocking_recv()) else {
                break;
            };
            match request {
                Request::Append(first) => {
                    let mut bytes = first.incoming.text.len();
                    let mut group = vec![first];
                    while group.len() < GROUP && bytes < GROUP_BYTES {
                        match requests.try_recv() {
                            Ok(Request::Append(next)) => {
                                bytes += next.incoming.text.len();
                                group.push(next);
                            }
                            Ok(other) => {
                                waiting = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group)?;
                }
                Request::Change(change) => self.change(change)?,
                Request::Roll(roll) => self.roll(roll)?,
                Request::Checkpoint => self.checkpoint()?,
            }
        }
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);") {
            tracing::warn!(%error, "the last checkpoint was not made; the next start makes it");
        }
        Ok(())
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
            if let Err(why) = self.still_ours() {
                refuse(pending, &StoreError::Failed(why.clone()));
                return Err(why);
            }
            for (boot, no) in pending.iter().filter_map(|append| append.identity.as_ref()) {
                self.ledger.insert(boot, *no);
            }
            let mut answers = Vec::with_capacity(pending.len());
            let mut stored = Vec::with_capacity(pending.len());
            for append in pending {
                stored.extend(append.stored);
                answers.push((append.done, append.outcome));
            }
            crash::point("append.committed");
            // Visible before acknowledged: who has the answer finds the records.
            let unsealed = self.contents.extend(stored);
            for (done, outcome) in answers {
                // The caller stopped waiting; the batch is stored, and a resend is answered as a duplicate.
                let _ = done.send(outcome);
            }
            if unsealed >= ROWS_MOST {
                // A full channel has told the sealer already; a closed one has no sealer.
                let _ = self.sealer.try_send(());
            }
            return Ok(());
        };
        self.last_id = first_id;
        // It may have read rows that are undone now.
        self.ledger.forget();
        let (why, fatal) = self.judge(&error);
        refuse(pending, &why);
        fatal.map_or(Ok(()), Err)
    }

    /// SQLite would go on writing to a file that nobody can find any more.
    fn still_ours(&self) -> Result<(), String> {
        let path = self.partition.path();
        if directory::identity(path).is_ok_and(|file| file == self.file) {
            return Ok(());
        }
        Err(format!(
            "{}: it was deleted, renamed or replaced while the server was using it",
            path.display()
        ))
    }

    fn write(&mut self, group: Vec<Append>) -> Result<Vec<Pending>, (Vec<Pending>, rusqlite::Error)> {
        let mut pending = Vec::with_capacity(group.len());
        let mut appends = group.into_iter();
        let written = (|| {
            let transaction = begin(&self.connection)?;
            let mut new = HashSet::new();
            for append in appends.by_ref() {
                // Whatever happens to this append, its caller is answered: it is in `pending` before anything can fail.
                pending.push(Pending::new(append.done));
                let slot = pending.last_mut().expect("just pushed");
                let incoming = append.incoming;
                let identity = incoming.source.boot.clone().zip(incoming.no);
                let hash = tail::hash(&incoming.text);
                if let Some((boot, no)) = &identity {
                    let known = if new.contains(&(boot.clone(), *no)) {
                        Known::Yes
                    } else {
                        self.ledger.known(&transaction, boot, *no)?
                    };
                    match self.repeats(known, boot, *no, hash)? {
                        None => {}
                        Some(outcome) => {
                            slot.outcome = outcome;
                            continue;
                        }
                    }
                }
                let id = self.last_id + 1;
                slot.stored = Some(insert(&transaction, id, &incoming, hash, &self.partition)?);
                self.last_id = id;
                slot.outcome = Ok(Appended::Stored);
                new.extend(identity.clone());
                slot.identity = identity;
            }
            crash::point("append.before-commit");
            transaction.commit()
        })();
        match written {
            Ok(()) => Ok(pending),
            Err(error) => {
                pending.extend(appends.map(|append| Pending::new(append.done)));
                Err((pending, error))
            }
        }
    }

    /// What to answer to a batch that may have been stored before; `None` when it was not.
    fn repeats(
        &self,
        known: Known,
        boot: &str,
        no: u64,
        hash: i64,
    ) -> rusqlite::Result<Option<Result<Appended, StoreError>>> {
        if known == Known::No {
            return Ok(None);
        }
        let mut found = partition::known_hash(&self.connection, boot, no)?;
        if found.is_none() {
            let forgotten = Timestamp::now().before(ledger::WINDOW);
            let mut newer_began = None;
            for older in self.contents.partitions().iter().rev() {
                if found.is_some() || newer_began.is_some_and(|began| began < forgotten) {
                    break;
                }
                newer_began = directory::begun(older.path());
                // One that cannot be read has said so; it is as if its batches' content had been forgotten.
                found = older
                    .with_reader(|reader| partition::known_hash(reader, boot, no))
                    .unwrap_or(None);
            }
        }
        Ok(match (found, known) {
            (Some(known), _) if known != low_half(hash) => Some(Err(StoreError::Reused {
                boot: boot.to_owned(),
                no,
            })),
            (Some(_), _) | (None, Known::Yes) => Some(Ok(Appended::Duplicate)),
            (None, Known::Perhaps | Known::No) => None,
        })
    }

    fn change(&mut self, change: Change) -> Result<(), String> {
        let written = in_transaction(&self.connection, change.write);
        let (answer, fatal) = match written {
            Ok(id) => (Ok(id), None),
            Err(error) => {
                let (why, fatal) = self.judge(&error);
                (Err(why), fatal)
            }
        };
        // The sealer stopped waiting: it is being closed, and finds at the next start what was done.
        let _ = change.done.send(answer);
        fatal.map_or(Ok(()), Err)
    }

    fn checkpoint(&mut self) -> Result<(), String> {
        let done = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match done {
            Ok(()) => Ok(()),
            Err(error) => self.judge(&error).1.map_or(Ok(()), Err),
        }
    }

    /// Makes a new partition and writes to it from now on. If that fails the old one goes on: a later try may have more
    /// room, or more rights.
    fn roll(&mut self, roll: Roll) -> Result<(), String> {
        let began = self.begin(&roll.path);
        if began.is_err()
            && let Err(error) = directory::remove(&roll.path)
        {
            // It would be taken for the newest at the next start, and the ids given meanwhile would be given again.
            return Err(format!("{}: {error}", roll.path.display()));
        }
        let old = began.map(|connection| std::mem::replace(&mut self.connection, connection));
        // The sealer stopped waiting: it is being closed, and the old connection is not needed.
        let _ = roll.done.send(old);
        Ok(())
    }

    fn begin(&mut self, path: &Path) -> Result<Connection, StoreError> {
        let progress = Progress {
            first_batch: self.last_id + 1,
            sealed: self.last_id,
            without: 0,
        };
        opening::make(path, progress, |new| {
            ledger::carry(&self.connection, new, Timestamp::now())
        })?;
        let connection = schema::open_writer(path)?;
        crash::point("roll.opened");
        self.file = directory::identity(path).map_err(|error| directory::unusable(path, &error))?;
        self.partition = Arc::new(Partition::new(path.to_owned()));
        self.contents.begin(self.partition.clone(), progress);
        Ok(connection)
    }

    /// What to answer to who asked, and why nothing may be written any more, if so.
    fn judge(&self, error: &rusqlite::Error) -> (StoreError, Option<String>) {
        if is_full(error) {
            return (StoreError::Full, None);
        }
        let why = format!("{}: {error}", self.partition.path().display());
        (StoreError::Failed(why.clone()), Some(why))
    }
}

impl Pending {
    fn new(done: oneshot::Sender<Result<Appended, StoreError>>) -> Pending {
        Pending {
            done,
            outcome: Ok(Appended::Duplicate),
            stored: None,
            identity: None,
        }
    }
}

/// Tells everyone that nothing was stored.
fn refuse(pending: Vec<Pending>, why: &StoreError) {
    for append in pending {
        // The caller stopped waiting; it will send the batch again, for it got no answer.
        let _ = append.done.send(Err(why.clone()));
    }
}

/// Whether the disk has no room, which passes.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// With the right to write from its start: one that begins by reading is refused at its first write when anybody wrote
/// in between, and waits for nobody.
fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// All or nothing.
pub(super) fn in_transaction(connection: &Connection, write: Write) -> rusqlite::Result<i64> {
    let transaction = begin(connection)?;
    let answer = write(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}

/// Writes one batch.
fn insert(
    transaction: &Connection,
    id: i64,
    incoming: &Incoming,
    hash: i64,
    partition: &Arc<Partition>,
) -> rusqlite::Result<Entry> {
    let Incoming {
        source,
        text,
        times,
        numbers,
        ..
    } = incoming;
    let (earliest, latest) = times.unzip();
    let (boot, no) = source
        .boot
        .as_deref()
        .zip(incoming.no.map(u64::cast_signed))
        .unzip();
    let mut statement = transaction.prepare_cached(INSERT)?;
    tail::with_payload(text, |payload| {
        statement.execute(params![
            id,
            boot,
            no,
            incoming.arrived.as_nanos(),
            i64::try_from(incoming.records).expect("a batch is small"),
            earliest.map(Timestamp::as_nanos),
            latest.map(Timestamp::as_nanos),
            hash,
            payload,
            numbers.as_ref().map(|numbers| numbers.start().cast_signed()),
            numbers.as_ref().map(|numbers| numbers.end().cast_signed()),
        ])
    })?;
    Ok(Entry {
        id,
        arrived: incoming.arrived,
        records: incoming.records,
        earliest: earliest.unwrap_or_default(),
        latest: latest.unwrap_or_default(),
        hash,
        bytes: text.len(),
        since: Instant::now(),
        partition: partition.clone(),
    })
}
