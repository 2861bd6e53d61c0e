//! The newest partition at a start: found, brought up to date, or begun; and what to do when it is damaged.
//!
//! Ids rise over all partitions for ever, so a partition that cannot be read leaves a gap wide enough for all the ids
//! it may have given.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::contents::Contents;
use super::directory::{self, Directory, unusable};
use super::partition::{Loaded, Partition, Progress};
use super::schema::{self, Format};
use super::writer;
use super::{StoreError, crash};

/// More batches than a partition can have.
const GAP: i64 = 1 << 32;

/// Of a new partition: its first id, and the one before it.
const SET_FIRST: &str = "UPDATE progress SET first_batch = ?1, sealed = ?2";

/// The contents, and the connection that writes to the newest partition.
pub(super) struct Opened {
    pub(super) contents: Contents,
    pub(super) connection: Connection,
}

/// Opens the directory's partitions for writing.
pub(super) fn open(directory: &Directory) -> Result<Opened, StoreError> {
    let mut paths = directory.partitions()?;
    let newest = paths.pop();
    let opened = match &newest {
        None => open_new(&directory.next(None), 1)?,
        Some(path) => match open_newest(path, &paths) {
            Ok(opened) => opened,
            Err(error) if is_ours_and_damaged(path) => {
                tracing::error!(%error, "the newest partition is damaged and set aside: what was stored last may be missing");
                paths.push(path.clone());
                open_new(&directory.next(newest.as_deref()), first_free(&paths))?
            }
            Err(error) => return Err(error),
        },
    };
    let older = paths.into_iter().map(|path| Arc::new(Partition::new(path)));
    let (connection, live, loaded) = opened;
    Ok(Opened {
        contents: Contents::new(older.collect(), live, loaded),
        connection,
    })
}

/// Opens the directory's partitions for reading, each as it is when it is first looked at.
pub(super) fn open_to_read(directory: &Directory) -> Result<Contents, StoreError> {
    let nothing = || unusable(directory.logs(), &"there are no records here");
    if !directory.logs().exists() {
        return Err(nothing());
    }
    let paths = directory.partitions()?;
    let mut partitions: Vec<_> = paths
        .into_iter()
        .map(|path| Arc::new(Partition::pinned(path)))
        .collect();
    let newest = partitions.pop().ok_or_else(nothing)?;
    let loaded = newest.load().map_err(|error| match error {
        StoreError::Damaged { path, why } => StoreError::Unusable { path, why },
        other => other,
    })?;
    Ok(Contents::new(partitions, newest, loaded))
}

type Live = (Connection, Arc<Partition>, Loaded);

/// Opens the newest partition; an empty file becomes one.
fn open_newest(path: &Path, older: &[PathBuf]) -> Result<Live, StoreError> {
    let is_empty = {
        let reader = schema::open_reader(path).map_err(|error| unusable(path, &error))?;
        schema::format(&reader, path)? == Format::Empty
    };
    let connection = schema::open_writer(path)?;
    if is_empty {
        let first = first_free(older);
        connection
            .execute(SET_FIRST, [first, first - 1])
            .map_err(|error| unusable(path, &error))?;
    }
    let live = Arc::new(Partition::new(path.to_owned()));
    let loaded = live.load()?;
    Ok((connection, live, loaded))
}

fn open_new(path: &Path, first_batch: i64) -> Result<Live, StoreError> {
    let progress = Progress {
        first_batch,
        sealed: first_batch - 1,
        without: 0,
    };
    make(path, progress, |_| Ok(()))?;
    open_newest(path, &[])
}

/// Makes a partition, which appears under its name when it is whole.
pub(super) fn make(
    path: &Path,
    progress: Progress,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let unfinished = directory::unfinished(path);
    let made = schema::create(&unfinished, |new| {
        new.execute(SET_FIRST, [progress.first_batch, progress.sealed])?;
        fill(new)
    });
    crash::point("roll.made");
    let placed = made
        .map_err(|error| {
            if writer::is_full(&error) {
                StoreError::Full
            } else {
                unusable(&unfinished, &error)
            }
        })
        .and_then(|()| {
            std::fs::rename(&unfinished, path)
                .and_then(|()| directory::sync_names(path))
                .map_err(|error| unusable(path, &error))
        });
    if placed.is_err()
        && let Err(error) = directory::remove(&unfinished)
    {
        tracing::warn!(%error, path = %unfinished.display(), "an unfinished partition stays until the next start");
    }
    crash::point("roll.renamed");
    placed
}

/// An id that no batch of these partitions has, nor any after it.
fn first_free(paths: &[PathBuf]) -> i64 {
    let mut unreadable = 0;
    let mut first = 1;
    for path in paths.iter().rev() {
        match Arc::new(Partition::new(path.clone())).load() {
            Ok(loaded) => {
                first = last_id(&loaded) + 1;
                break;
            }
            Err(_) => unreadable += 1,
        }
    }
    first + unreadable * GAP
}

fn last_id(loaded: &Loaded) -> i64 {
    let unsealed = loaded.tail.last().map_or(0, |entry| entry.id);
    unsealed
        .max(loaded.progress.sealed)
        .max(loaded.progress.first_batch - 1)
}

/// Whether the file is one that this server or an older one wrote, and no longer what it wrote. Reads the whole file, but only
/// after it could not be used.
fn is_ours_and_damaged(path: &Path) -> bool {
    /// Where SQLite's header has `user_version` and `application_id`, both big-endian.
    const VERSION_AT: usize = 60;
    const APPLICATION_ID_AT: usize = 68;
    let mut header = [0; 100];
    let is_ours = File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok();
    let number = |at: usize| i32::from_be_bytes(*header[at..].first_chunk().expect("the header is longer"));
    let version = usize::try_from(number(VERSION_AT)).unwrap_or(0);
    if !is_ours
        || number(APPLICATION_ID_AT) != schema::APPLICATION_ID
        || !(1..=schema::VERSION).contains(&version)
    {
        return false;
    }
    let Ok(reader) = schema::open_reader(path) else {
        return false;
    };
    let verdict = reader.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) => verdict != "ok",
        Err(error) => matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        ),
    }
}
