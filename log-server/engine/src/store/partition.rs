//! One file of the store, as it is read: a small pool of connections, and what is known of its health.
//!
//! A partition that cannot be read never stops the others: the damage is told once in the log, and every answer that
//! it touches says that something may be missing. A partition that retention deleted goes on being read by who has it
//! open, and has no records for who comes later.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::StoreError;
use super::blocks::{self, Block};
use super::schema::{self, Format};
use super::tail::{self, Entry};

/// Idle connections kept for a partition; more queries than this rarely run at once, and each has a page cache.
const IDLE: usize = 4;

const PROGRESS: &str = "SELECT first_batch, sealed, without FROM progress";

const SET_ASIDE: &str = "SELECT count(*) FROM set_aside";
const LEFTOVERS: &str =
    "SELECT EXISTS (SELECT 1 FROM batches WHERE id <= ?1) OR EXISTS (SELECT 1 FROM replaced)";

pub(super) struct Partition {
    path: PathBuf,
    readers: Readers,
    removed: AtomicBool,
    damage: OnceLock<String>,
}

enum Readers {
    /// Connections that are not in use. The writer in this process keeps what a query may still need.
    Pool(Mutex<Vec<Connection>>),
    /// One connection that sees the file as it was when it was opened, whatever a server does to it meanwhile.
    Pinned(Mutex<Option<Connection>>),
}

/// What a partition holds.
pub(super) struct Loaded {
    /// In order of arrival.
    pub(super) blocks: Vec<Arc<Block>>,
    /// What is not sealed yet, in order of arrival.
    pub(super) tail: Vec<Arc<Entry>>,
    /// Records in the tail.
    pub(super) unsealed: usize,
    /// Whether there is something that was sealed or replaced, and is still to be deleted.
    pub(super) leftovers: bool,
    pub(super) progress: Progress,
}

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// No batch of the partition has a lower id.
    pub(super) first_batch: i64,
    /// Every batch up to this id is sealed.
    pub(super) sealed: i64,
    /// Levels that retention took out, as bits.
    pub(super) without: u32,
}

impl Partition {
    /// A partition of a store that this process writes to.
    pub(super) fn new(path: PathBuf) -> Partition {
        Partition::reading(path, Readers::Pool(Mutex::default()))
    }

    /// A partition as it is now, whatever another process does to it.
    pub(super) fn pinned(path: PathBuf) -> Partition {
        Partition::reading(path, Readers::Pinned(Mutex::default()))
    }

    fn reading(path: PathBuf, readers: Readers) -> Partition {
        Partition {
            path,
            readers,
            removed: AtomicBool::new(false),
            damage: OnceLock::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads its list of blocks and its tail, both as of one moment.
    pub(super) fn load(self: &Arc<Self>) -> Result<Loaded, StoreError> {
        let loaded = self.with_reader(|reader| {
            // One transaction, so that a record that is being sealed is seen in one place.
            let transaction = match self.readers {
                Readers::Pool(_) => Some(reader.unchecked_transaction()?),
                Readers::Pinned(_) => None,
            };
            let progress = reader.query_row(PROGRESS, [], |row| {
                Ok(Progress {
                    first_batch: row.get(0)?,
                    sealed: row.get(1)?,
                    without: row.get(2)?,
                })
            })?;
            let tail = tail::load(reader, self, progress.sealed)?;
            let loaded = Loaded {
                blocks: blocks::load(reader, self)?,
                unsealed: tail.iter().map(|entry| entry.records).sum(),
                tail,
                leftovers: reader.query_row(LEFTOVERS, [progress.sealed], |row| row.get(0))?,
                progress,
            };
            let set_aside: i64 = reader.query_row(SET_ASIDE, [], |row| row.get(0))?;
            drop(transaction);
            Ok((loaded, set_aside))
        });
        let (loaded, set_aside) = loaded?;
        if set_aside > 0 {
            self.note_damage(&format!(
                "{set_aside} batches could not be read when they were to be sealed"
            ));
        }
        Ok(loaded)
    }

    /// Reads something; an error of the file is a damage of the partition.
    pub(super) fn with_reader<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let answer = match &self.readers {
            Readers::Pool(idle) => {
                let reader = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let reader = reader.map_or_else(|| self.connect(), Ok)?;
                let answer = read(&reader);
                // A connection that saw an error is not trusted with the next question.
                if answer.is_ok() {
                    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < IDLE {
                        idle.push(reader);
                    }
                }
                answer
            }
            Readers::Pinned(reader) => {
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                if reader.is_none() {
                    let connection = self.connect()?;
                    connection
                        .execute_batch("BEGIN")
                        .map_err(|error| self.unread(&error))?;
                    *reader = Some(connection);
                }
                read(reader.as_ref().expect("just connected"))
            }
        };
        answer.map_err(|error| self.unread(&error))
    }

    /// Whether all that is read is read by one connection, because it sees the file as it was.
    pub(super) fn has_one_reader(&self) -> bool {
        match self.readers {
            Readers::Pool(_) => false,
            Readers::Pinned(_) => true,
        }
    }

    /// The error of something that could not be read, now or ever.
    pub(super) fn unread(&self, error: &rusqlite::Error) -> StoreError {
        if matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::CannotOpen
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
            )
        ) {
            // Too few file descriptors or no room for SQLite's shared memory, for example: it may be read next time.
            return StoreError::Damaged {
                path: self.path.display().to_string(),
                why: error.to_string(),
            };
        }
        self.damaged(error)
    }

    /// The error of something in this partition that cannot be read. Told in the log the first time.
    pub(super) fn damaged(&self, why: &dyn std::fmt::Display) -> StoreError {
        let why = why.to_string();
        self.note_damage(&why);
        StoreError::Damaged {
            path: self.path.display().to_string(),
            why,
        }
    }

    fn note_damage(&self, why: &str) {
        if !self.is_removed() && self.damage.set(why.to_owned()).is_ok() {
            tracing::error!(path = %self.path.display(), why, "part of the store cannot be read; answers say so");
        }
    }

    /// What is known to be unreadable in it.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Says that the file is about to be deleted.
    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        if !self.path.exists() {
            self.set_removed();
        }
        let reader = schema::open_reader(&self.path).map_err(|error| self.unread(&error))?;
        let format = schema::format(&reader, &self.path).map_err(|error| self.refused(error))?;
        match (format, &self.readers) {
            (Format::Version(schema::VERSION), _) => Ok(reader),
            (Format::Version(_), Readers::Pool(_)) => {
                // Ours to bring up to date; the connection sees it.
                schema::open_writer(&self.path).map_err(|error| self.refused(error))?;
                Ok(reader)
            }
            (Format::Version(schema::READABLE..), Readers::Pinned(_)) => Ok(reader),
            (Format::Version(older), Readers::Pinned(_)) => Err(self.damaged(&format!(
                "it has format {older}; starting the server brings it up to date"
            ))),
            (Format::Empty, _) => Err(self.damaged(&"there are no records in it")),
        }
    }

    fn refused(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Unusable { why, .. } => self.damaged(&why),
            other => other,
        }
    }
}

/// The low half of the hash under which a batch is known here, if it is.
pub(super) fn known_hash(reader: &Connection, boot: &str, no: u64) -> rusqlite::Result<Option<u32>> {
    const UNSEALED: &str = "SELECT hash FROM batches WHERE boot = ?1 AND no = ?2";
    const SEALED: &str = "SELECT first, hashes FROM sent
        WHERE boot = (SELECT id FROM boots WHERE boot = ?1) AND first <= ?2 AND last >= ?2";
    let no = no.cast_signed();
    let unsealed = reader
        .prepare_cached(UNSEALED)?
        .query_row((boot, no), |row| row.get::<_, i64>(0))
        .optional()?;
    if let Some(hash) = unsealed {
        return Ok(Some(low_half(hash)));
    }
    let sealed = reader
        .prepare_cached(SEALED)?
        .query_row((boot, no), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    Ok(sealed.and_then(|(first, hashes)| {
        let place = usize::try_from(no.checked_sub(first)?).ok()?;
        let bytes = hashes.get(place.checked_mul(4)?..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }))
}

/// What is kept of a hash once its batch is sealed.
pub(super) fn low_half(hash: i64) -> u32 {
    u32::try_from(hash.cast_unsigned() & u64::from(u32::MAX)).expect("it was cut to 32 bits")
}
