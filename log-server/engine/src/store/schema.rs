//! The tables of a partition: how a file is made, told apart from other files, brought up to date, and connected to.
//!
//! The format's version stands in `user_version`. An older one is migrated in one transaction; a newer one is refused,
//! so that an older server cannot harm it. A file that is not ours is never written to.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::StoreError;
use super::crash;
use super::directory::unusable;

/// "LogS": marks our files among SQLite's.
pub(super) const APPLICATION_ID: i32 = 0x4C6F_6753;

/// What each version of the format added to the one before; version 1 to an empty file. A step is never changed once it
/// was released. Each makes only what is new, so that bringing a file up to date costs the same whatever its size.
const STEPS: [&str; 6] = [
    "CREATE TABLE batches (            -- as they came, until they are sealed
        id       INTEGER PRIMARY KEY,  -- rises in order of arrival, over all partitions
        boot     TEXT,                 -- the sender's run; NULL: not deduplicated
        no       INTEGER,              -- the batch's number in that run
        arrived  INTEGER NOT NULL,     -- ns since 1970
        records  INTEGER NOT NULL,
        earliest INTEGER,              -- ns, of its records; NULL: it has none
        latest   INTEGER,
        hash     INTEGER NOT NULL,     -- xxh3 of the text, to tell a repeat from a reuse of the number
        payload  BLOB NOT NULL         -- the batch's JSON text as it came, zstd
    ) STRICT;
    CREATE UNIQUE INDEX batches_identity ON batches (boot, no) WHERE boot IS NOT NULL;",
    "CREATE TABLE blocks (             -- records sealed together
        id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: who reads a block may outlive it
        first_batch INTEGER NOT NULL,
        last_batch  INTEGER NOT NULL,
        rows        INTEGER NOT NULL,
        earliest    INTEGER NOT NULL,  -- ns, of its records
        latest      INTEGER NOT NULL,
        trace       INTEGER NOT NULL,  -- records of each level
        debug       INTEGER NOT NULL,
        info        INTEGER NOT NULL,
        warn        INTEGER NOT NULL,
        error       INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE columns (
        id   INTEGER PRIMARY KEY,      -- block << 16 | number of the column or stripe
        data BLOB NOT NULL             -- and 4 bytes of xxh3 over it
    ) STRICT;
    CREATE TABLE replaced (            -- blocks that others took the place of; their columns are still to be deleted
        block INTEGER PRIMARY KEY
    ) STRICT;
    CREATE TABLE boots (               -- which of a sender's batches were stored, in sealed ones
        id         INTEGER PRIMARY KEY,
        boot       TEXT NOT NULL UNIQUE,
        contiguous INTEGER NOT NULL,   -- every number from 1 to this one
        above      BLOB,               -- those above it, 8 bytes each; NULL: too many, ask `sent` of every partition
        seen       INTEGER NOT NULL    -- when the last of them arrived, ns since 1970
    ) STRICT;
    CREATE TABLE sent (                -- the content of sealed batches: numbers without a hole
        boot   INTEGER NOT NULL,
        first  INTEGER NOT NULL,
        last   INTEGER NOT NULL,
        hashes BLOB NOT NULL           -- 4 bytes each
    ) STRICT;
    CREATE INDEX sent_identity ON sent (boot, first, last);
    CREATE TABLE set_aside (           -- batches whose payload could not be read when they were to be sealed
        id INTEGER PRIMARY KEY, boot TEXT, no INTEGER, arrived INTEGER NOT NULL, records INTEGER NOT NULL,
        earliest INTEGER, latest INTEGER, hash INTEGER NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE TABLE progress (            -- one row
        one         INTEGER PRIMARY KEY CHECK (one = 1),
        first_batch INTEGER NOT NULL,  -- no batch of this partition has a lower id
        sealed      INTEGER NOT NULL,  -- every batch up to this id is sealed
        without     INTEGER NOT NULL   -- levels that retention took out, as bits
    ) STRICT;
    INSERT INTO progress VALUES (1, 1, 0, 0);",
    // The numbers of records, as u64 with the same bits; NULL: the batch says none.
    "ALTER TABLE batches ADD COLUMN first_seq INTEGER;
    ALTER TABLE batches ADD COLUMN last_seq INTEGER;
    ALTER TABLE set_aside ADD COLUMN first_seq INTEGER;
    ALTER TABLE set_aside ADD COLUMN last_seq INTEGER;
    -- In boots: which numbers sealed batches had, first and last of each range, 8 bytes each; NULL: none; empty: too
    -- many ranges to keep.
    ALTER TABLE boots ADD COLUMN received BLOB;",
    // All columns of a block stand in one row, block << 16 | 65535; and integers and codes have kinds that older servers
    // do not know.
    "",
    // The row of a block's columns is cut into stripes.
    "",
    // Columns have no checksum behind them; those of their pieces stand in the directory.
    "",
];

/// Bytes of a page of the files that are made here: columns are tens of kilobytes.
pub(super) const PAGE: usize = 16_384;

/// The version that this server writes.
pub(super) const VERSION: usize = STEPS.len();

/// Files of this version and later are read as they are; what came since only matters to who writes.
pub(super) const READABLE: usize = 2;

/// `synchronous=FULL` is the promise that an acknowledged record survives a power cut. Checkpoints are made by a thread
/// of their own: an automatic one would stall the commit that it falls upon by 50 to 150 ms.
const WRITING: &str = "
    PRAGMA busy_timeout=5000;
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=FULL;
    PRAGMA wal_autocheckpoint=0;
    PRAGMA journal_size_limit=67108864;
    PRAGMA trusted_schema=OFF;
    PRAGMA cell_size_check=ON;";

/// Of a file that is made. In one that has tables `auto_vacuum` would be a write, under the hands of whoever writes to it.
const MAKING: &str = "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL;";

const READING: &str = "
    PRAGMA query_only=ON;
    PRAGMA trusted_schema=OFF;
    PRAGMA cell_size_check=ON;
    PRAGMA busy_timeout=5000;";

/// What a file turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Nothing was ever written to it.
    Empty,
    /// Ours, of this version.
    Version(usize),
}

/// Makes a partition at `path`, complete except for what `fill` adds in the same transaction.
pub(super) fn create(
    path: &Path,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    touch(path);
    let connection = Connection::open(path)?;
    // Without a log beside it the file can be given its name in one step.
    connection.execute_batch(MAKING)?;
    connection.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;")?;
    let transaction = connection.unchecked_transaction()?;
    advance(&transaction, 0)?;
    fill(&transaction)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// A connection that writes to the partition at `path`, which is brought up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| unusable(path, &error);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    let version = || {
        format(&connection, path).map(|format| match format {
            Format::Empty => 0,
            Format::Version(version) => version,
        })
    };
    let found = version()?;
    if found == 0 {
        connection.execute_batch(MAKING).map_err(failed)?;
    }
    connection.execute_batch(WRITING).map_err(failed)?;
    if found < VERSION {
        // Another thread may be doing the same: who comes second waits here, and finds nothing left to do.
        let transaction =
            Transaction::new_unchecked(&connection, TransactionBehavior::Immediate).map_err(failed)?;
        let version = version()?;
        if (1..VERSION).contains(&version) {
            tracing::info!(path = %path.display(), from = version, to = VERSION, "bringing the partition up to date");
        }
        advance(&transaction, version).map_err(failed)?;
        crash::point("migrate.before-commit");
        transaction.commit().map_err(failed)?;
        crash::point("migrate.committed");
    }
    Ok(connection)
}

/// A connection that can only read the partition at `path`.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.execute_batch(READING)?;
    Ok(reader)
}

/// What the file is. Refuses one that is not ours or newer than this server, before anything is written to it.
pub(super) fn format(connection: &Connection, path: &Path) -> Result<Format, StoreError> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i32>(0))
            .map_err(|error| unusable(path, &error))
    };
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Format::Empty);
    }
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(unusable(
            path,
            &"this SQLite file was not written by log-server; it is left as it is",
        ));
    }
    let version = number("PRAGMA user_version")?;
    match usize::try_from(version) {
        Ok(known @ 1..=VERSION) => Ok(Format::Version(known)),
        Ok(newer) if newer > VERSION => Err(unusable(
            path,
            &format!("it was written by a newer log-server (format {newer}, this one knows {VERSION})"),
        )),
        Ok(_) | Err(_) => Err(unusable(
            path,
            &format!("it says that it has format {version}, which never was"),
        )),
    }
}

/// The tables and indexes of a file, as they were declared; without the plain rows that a search's file has beside them.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    const TABLES: &str = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
        WHERE tbl_name <> 'logs' AND tbl_name NOT LIKE 'sqlite_stat%'";
    let mut statement = connection.prepare(TABLES)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// The tables and indexes that a file of the reader's version has.
pub(super) fn expected(reader: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let version: i32 = reader.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = usize::try_from(version).unwrap_or(VERSION).min(VERSION);
    let made = || {
        let connection = Connection::open_in_memory()?;
        for step in &STEPS[..known] {
            connection.execute_batch(step)?;
        }
        tables(&connection)
    };
    Ok(made().expect("our own tables can be made in memory"))
}

/// Makes a file as an older format had it.
#[cfg(test)]
pub(super) fn create_format(path: &Path, version: usize) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA page_size=16384; PRAGMA journal_mode=WAL;")
        .unwrap();
    STEPS[..version]
        .iter()
        .for_each(|step| connection.execute_batch(step).unwrap());
    let version = i32::try_from(version).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
}

/// Creates the file with nobody else's rights, so that SQLite does not create it with everybody's.
pub(super) fn touch(path: &Path) {
    // If it cannot be created, SQLite will say so.
    let _ = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
}

fn advance(connection: &Connection, from: usize) -> rusqlite::Result<()> {
    for step in &STEPS[from..] {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(
        None,
        "user_version",
        i32::try_from(VERSION).expect("there are few versions"),
    )
}
