//! A copy of the whole store, made while the server goes on.
//!
//! Promises: the copy has every record that was acknowledged before it began; it appears under its name only when it
//! is whole and checked; nothing that is there is overwritten. A copy is a data directory: `--data COPY` serves it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::check::{CheckStep, Checked, check};
use super::directory::{self, Directory, unusable};
use super::partition::Partition;
use super::{StoreError, crash, schema};

/// Pages of 16 KiB copied between two reports of progress.
const PAGES_AT_ONCE: i32 = 1_024;

/// Where a backup stands.
#[derive(Debug, Clone, Copy)]
pub enum BackupStep<'a> {
    /// A file is being copied.
    Copying {
        /// Which.
        path: &'a Path,
        /// Bytes of it copied.
        done: u64,
        /// Its bytes.
        of: u64,
    },
    /// The copy is being checked.
    Checking(CheckStep<'a>),
}

/// Copies the store in `data` to the new directory `copy`, and says what is in it.
///
/// # Errors
/// [`StoreError::Unusable`] when `copy` exists, there is nothing to copy, or a file cannot be read or written;
/// [`StoreError::Damaged`] when the copy is not sound: what was copied is then at `copy` with `.partial` behind it.
pub fn backup(data: &Path, copy: &Path, mut step: impl FnMut(BackupStep<'_>)) -> Result<Checked, StoreError> {
    if copy.symlink_metadata().is_ok() {
        return Err(unusable(copy, &"it exists; a backup never overwrites anything"));
    }
    let partitions = Directory::read(data).partitions()?;
    if partitions.is_empty() {
        return Err(unusable(data, &"there are no records here"));
    }
    let mut unfinished = copy.as_os_str().to_owned();
    unfinished.push(".partial");
    let unfinished = PathBuf::from(unfinished);
    let logs = unfinished.join("logs");
    for directory in [&unfinished, &logs] {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .map_err(|error| unusable(directory, &error))?;
    }
    for from in &partitions {
        let to = logs.join(from.file_name().expect("a partition has a name"));
        copy_partition(from, &to, &mut step)?;
        crash::point("backup.one-copied");
    }
    let checked = check(&unfinished, |at| step(BackupStep::Checking(at)))?;
    if let Some(problem) = checked.problems.first() {
        return Err(StoreError::Damaged {
            path: problem.path.clone(),
            why: format!(
                "the copy is not sound, nor perhaps what was copied: {} ({} problems)",
                problem.what,
                checked.problems.len()
            ),
        });
    }
    fs::rename(&unfinished, copy)
        .and_then(|()| directory::sync_names(copy))
        .map_err(|error| unusable(copy, &error))?;
    Ok(checked)
}

/// Copies one partition as it is at one moment.
fn copy_partition(from: &Path, to: &Path, step: &mut impl FnMut(BackupStep<'_>)) -> Result<(), StoreError> {
    let source = Arc::new(Partition::pinned(from.to_owned()));
    schema::touch(to);
    let mut copied = Connection::open(to).map_err(|error| unusable(to, &error))?;
    let read = source.with_reader(|reader| {
        // The transaction begins with the first read. While it lasts the copy need not start again when the server
        // writes, and what it writes is not in the copy.
        reader.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(copy_pages(reader, &mut copied, from, step))
    });
    match read {
        // Retention has deleted it meanwhile.
        Err(_) if source.is_removed() => directory::remove(to).map_err(|error| unusable(to, &error)),
        Err(error) => Err(error),
        Ok(pages) => {
            pages.map_err(|error| unusable(to, &error))?;
            copied.close().map_err(|(_, error)| unusable(to, &error))
        }
    }
}

fn copy_pages(
    from: &Connection,
    to: &mut Connection,
    path: &Path,
    step: &mut impl FnMut(BackupStep<'_>),
) -> rusqlite::Result<()> {
    let page: u32 = from.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = |count: i32| u64::from(count.unsigned_abs()) * u64::from(page);
    let copy = Backup::new(from, to)?;
    loop {
        let result = copy.step(PAGES_AT_ONCE)?;
        let progress = copy.progress();
        step(BackupStep::Copying {
            path,
            done: pages(progress.pagecount - progress.remaining),
            of: pages(progress.pagecount),
        });
        // Nobody else writes to the copy, and who reads a log needs no lock: anything else means that pages are left.
        if result == StepResult::Done {
            return Ok(());
        }
    }
}
