//! The data directory: who has it, and which partitions are in it.
//!
//! `<data>/lock` is held with `flock` while a server runs; `<data>/logs/<UTC time>.db` are the partitions, whose names
//! sort in the order in which they were begun. A partition appears under its name only when it is whole. Directories
//! are 0700 and files 0600: logs are nobody else's business. Knows nothing of what is in a partition.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log_record::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// The ending of a partition that is being made.
const UNFINISHED: &str = "new";
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

pub(super) struct Directory {
    logs: PathBuf,
    /// The one partition that is looked at, wherever it is.
    only: Option<PathBuf>,
    /// `None` when the directory is only read, and once it was given back.
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// Takes the directory for writing, creating it if it is not there, and removes what a crash left unfinished.
    pub(super) fn take(data: &Path) -> Result<Directory, StoreError> {
        let logs = data.join("logs");
        for directory in [data, &logs] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| unusable(directory, &error))?;
        }
        let directory = Directory {
            lock: Mutex::new(Some(lock(data)?)),
            logs,
            only: None,
        };
        for path in directory.files(UNFINISHED)? {
            remove(&path).map_err(|error| unusable(&path, &error))?;
        }
        directory
            .remove_orphans()
            .map_err(|error| unusable(&directory.logs, &error))?;
        Ok(directory)
    }

    /// What SQLite kept beside a database that is being deleted.
    fn remove_orphans(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.logs)? {
            let path = entry?.path();
            let name = path.to_string_lossy();
            let database = COMPANIONS.iter().find_map(|ending| name.strip_suffix(ending));
            if database.is_some_and(|database| database.ends_with(".db") && !Path::new(database).exists()) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The directory as it is, for reading, whether or not a server has it.
    pub(super) fn read(data: &Path) -> Directory {
        Directory {
            logs: data.join("logs"),
            only: None,
            lock: Mutex::new(None),
        }
    }

    /// Nothing but this partition, for reading.
    pub(super) fn of_file(file: &Path) -> Directory {
        Directory {
            logs: folder(file).to_owned(),
            only: Some(file.to_owned()),
            lock: Mutex::new(None),
        }
    }

    /// Lets another server have the directory.
    pub(super) fn give_back(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The partitions, oldest first.
    pub(super) fn partitions(&self) -> Result<Vec<PathBuf>, StoreError> {
        match &self.only {
            Some(file) => Ok(vec![file.clone()]),
            None => self.files("db"),
        }
    }

    /// The name of a partition that begins now. Follows `newest` also when the clock was set back.
    pub(super) fn next(&self, newest: Option<&Path>) -> PathBuf {
        let now = Timestamp::now();
        let after = newest
            .and_then(begun)
            .map(|begun| begun.after(Duration::from_millis(1)));
        let begun = after.map_or(now, |after| after.max(now));
        let time = jiff::Timestamp::from_nanosecond(begun.as_nanos().into()).unwrap_or(jiff::Timestamp::MAX);
        self.logs
            .join(format!("{}.db", time.strftime("%Y-%m-%dT%H-%M-%S.%3fZ")))
    }

    /// The bytes of all partitions, with what SQLite keeps beside them.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.partitions()?.iter().map(|path| bytes(path)).sum())
    }

    /// Where the partitions are.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, StoreError> {
        let logs = &self.logs;
        let mut found = Vec::new();
        for entry in fs::read_dir(logs).map_err(|error| unusable(logs, &error))? {
            let entry = entry.map_err(|error| unusable(logs, &error))?;
            let path = entry.path();
            if path.extension() != Some(OsStr::new(extension)) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| unusable(&path, &error))?;
            if !kind.is_file() {
                // A pipe would make us wait for ever, and a link could lead anywhere.
                return Err(unusable(
                    &path,
                    &"this is not a file; nothing but partitions belongs here",
                ));
            }
            found.push(path);
        }
        found.sort();
        Ok(found)
    }
}

/// Where a partition is made before it appears as `path`.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    companion(path, ".new")
}

/// Deletes a partition. Who has it open goes on reading it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    // The database goes first: without it the others mean nothing, and a log without its database is never replayed
    // into another one, for names are not used again.
    for file in std::iter::once(path.to_owned()).chain(COMPANIONS.map(|ending| companion(path, ending))) {
        match fs::remove_file(&file) {
            Ok(()) => super::crash::point("remove.one-file-gone"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The bytes of a partition, with what SQLite keeps beside it.
pub(super) fn bytes(path: &Path) -> u64 {
    std::iter::once(path.to_owned())
        .chain(COMPANIONS.map(|ending| companion(path, ending)))
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// The bytes of a partition's write-ahead log, which are not in its file yet, or are there too.
pub(super) fn log_bytes(path: &Path) -> u64 {
    fs::metadata(companion(path, "-wal")).map_or(0, |metadata| metadata.len())
}

/// Which file a path leads to: device and inode.
pub(super) type Identity = (u64, u64);

/// The file that the path leads to now.
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes the names in the directory of `path` survive a power cut.
pub(super) fn sync_names(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Where a file lies; of a bare name, here.
fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// When a partition was begun, by its name.
pub(super) fn begun(path: &Path) -> Option<Timestamp> {
    let name = path.file_stem()?.to_str()?;
    let (date, time) = name.strip_suffix('Z')?.split_once('T')?;
    let text = format!("{date}T{}Z", time.replace('-', ":"));
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_nanos(
        i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX),
    ))
}

fn companion(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
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

pub(super) fn unusable(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_rise_also_when_the_clock_was_set_back() {
        let data = tempfile::TempDir::new().unwrap();
        let directory = Directory::take(data.path()).unwrap();
        let mut newest = directory.next(None);
        assert!(begun(&newest).unwrap() <= Timestamp::now());
        for _ in 0..100 {
            let next = directory.next(Some(&newest));
            assert!(next > newest && begun(&next) > begun(&newest), "{next:?}");
            newest = next;
        }
        let future = Path::new("2099-01-01T00-00-00Z.db");
        let next = directory.next(Some(future));
        assert_eq!(next.file_name().unwrap(), "2099-01-01T00-00-00.001Z.db");
        assert_eq!(begun(Path::new("incident.db")), None);
    }

    #[test]
    fn a_bare_name_lies_here() {
        assert_eq!(folder(Path::new("incident.db")), Path::new("."));
        assert_eq!(folder(Path::new("/incident.db")), Path::new("/"));
        assert!(Directory::of_file(Path::new("incident.db")).logs().exists());
    }

    #[test]
    fn what_is_no_file_is_refused_and_what_is_no_partition_is_left_alone() {
        let data = tempfile::TempDir::new().unwrap();
        let directory = Directory::take(data.path()).unwrap();
        fs::write(directory.logs().join("notes.txt"), "mine").unwrap();
        assert!(directory.partitions().unwrap().is_empty());
        fs::create_dir(directory.logs().join("2026.db")).unwrap();
        assert!(matches!(directory.partitions(), Err(StoreError::Unusable { .. })));
    }
}
