//! The data directory and the database in it: how it is locked, opened, and told apart from other files.
//!
//! `<data>/lock` is held with `flock` while a server runs; `<data>/logs/<UTC time>.db` holds the records. Directories
//! are 0700 and files 0600: logs are nobody else's business.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// "LogS": marks our files among SQLite's.
const APPLICATION_ID: i32 = 0x4C6F_6753;
/// The version of the tables below. A file with a higher one is refused, so that an older server cannot harm it.
const VERSION: i32 = 1;

const CREATE: &str = "
CREATE TABLE batches (
    id       INTEGER PRIMARY KEY,  -- rises in order of arrival
    boot     TEXT,                 -- the sender's run; NULL: not deduplicated
    no       INTEGER,              -- the batch's number in that run
    arrived  INTEGER NOT NULL,     -- ns since 1970
    records  INTEGER NOT NULL,
    earliest INTEGER,              -- ns, of its records; NULL: it has none
    latest   INTEGER,
    hash     INTEGER NOT NULL,     -- xxh3 of the text, to tell a repeat from a reuse of the number
    payload  BLOB NOT NULL         -- the batch's JSON text as it came, zstd
) STRICT;
CREATE UNIQUE INDEX batches_identity ON batches (boot, no) WHERE boot IS NOT NULL;
";

/// An open database, and the lock that makes it ours.
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// Held until the process ends or the store is dropped.
    _lock: File,
}

/// Locks the directory and opens the newest database in it, or a new one.
pub(super) fn open(data: &Path) -> Result<DatabaseFile, StoreError> {
    let logs = data.join("logs");
    for directory in [data, &logs] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| unusable(directory, &e))?;
    }
    let lock = lock(data)?;
    let path = match newest(&logs)? {
        Some(path) => path,
        None => logs.join(format!(
            "{}.db",
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ")
        )),
    };
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unusable(&path, &error))?;
    let connection = Connection::open(&path).map_err(|error| unusable(&path, &error))?;
    let fresh = is_fresh(&connection, &path)?;
    prepare(&connection).map_err(|error| unusable(&path, &error))?;
    if fresh {
        create(&connection).map_err(|error| unusable(&path, &error))?;
    }
    Ok(DatabaseFile {
        path,
        connection,
        _lock: lock,
    })
}

/// The newest database of a directory for reading only, with or without a server that writes to it.
pub(super) fn open_to_read(data: &Path) -> Result<(PathBuf, Connection), StoreError> {
    let logs = data.join("logs");
    let path = newest(&logs)?.ok_or_else(|| unusable(&logs, &"there are no records here"))?;
    let connection = open_reader(&path)?;
    if is_fresh(&connection, &path)? {
        return Err(unusable(&path, &"there are no records here"));
    }
    Ok((path, connection))
}

/// A second connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).map_err(|error| unusable(path, &error))?;
    reader
        .execute_batch("PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA busy_timeout=5000;")
        .map_err(|error| unusable(path, &error))?;
    Ok(reader)
}

fn lock(data: &Path) -> Result<File, StoreError> {
    let path = data.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unusable(&path, &error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse(data.display().to_string()))?;
    Ok(file)
}

fn newest(logs: &Path) -> Result<Option<PathBuf>, StoreError> {
    let mut newest = None;
    for entry in fs::read_dir(logs).map_err(|error| unusable(logs, &error))? {
        let path = entry.map_err(|error| unusable(logs, &error))?.path();
        // Names are UTC times, so the greatest is the newest.
        if path.extension().is_some_and(|extension| extension == "db") && Some(&path) > newest.as_ref() {
            newest = Some(path);
        }
    }
    Ok(newest)
}

/// `synchronous=FULL` is the promise that an acknowledged record survives a power cut.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA page_size=16384;
         PRAGMA journal_mode=WAL;
         PRAGMA synchronous=FULL;
         PRAGMA trusted_schema=OFF;
         PRAGMA cell_size_check=ON;
         PRAGMA busy_timeout=5000;
         PRAGMA journal_size_limit=67108864;",
    )
}

/// Whether the file is empty. Refuses a file that is not ours before anything is written to it.
fn is_fresh(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let failed = |error: rusqlite::Error| unusable(path, &error);
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i32>(0))
            .map_err(failed)
    };
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(true);
    }
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(unusable(
            path,
            &"this SQLite file was not written by log-server; it is left as it is",
        ));
    }
    let version = number("PRAGMA user_version")?;
    if version != VERSION {
        let why =
            format!("it was written by a newer log-server (format {version}, this one knows {VERSION})");
        return Err(unusable(path, &why));
    }
    Ok(false)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(CREATE)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}
