//! Everything that matches, as a SQLite file: for `log-server open`, and for any tool that reads SQLite.
//!
//! The file has a name only while it is written: what is handed out is open and deleted, so that nothing stays behind
//! however the download ends. What a killed server leaves is deleted at the next start.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::why;
use super::params::ExportParams;
use super::{CancelOnDrop, SearchError, Searcher};
use crate::store::{Budget, Exported, Incident, Partial, Store, StoreError};

/// How long it may take to write; who waits for it may go away sooner.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// How large it may become: some millions of records. More is a matter for `log-server export` beside the data.
const BYTES: u64 = 1 << 30;

/// A file that has no name any more.
pub struct ExportedFile {
    /// Open at its beginning.
    pub file: File,
    /// How long it is.
    pub bytes: u64,
    /// Why not everything may be in it.
    pub partial: Option<&'static str>,
}

impl Searcher {
    /// Writes everything that matches to a file within `data`. One at a time. Dropping the future cancels it.
    ///
    /// # Errors
    /// As for a search; [`SearchError::Incomplete`] when it takes too long or would become too large.
    pub async fn export_file(&self, params: &ExportParams, data: &Path) -> Result<ExportedFile, SearchError> {
        let (filter, range) = params.records()?;
        let turn = self
            .files
            .clone()
            .try_acquire_owned()
            .map_err(|_| SearchError::Busy)?;
        let (store, directory) = (self.store.clone(), directory(data));
        let budget = Arc::new(Budget::until(Instant::now() + TIME_LIMIT));
        let cancel = CancelOnDrop(budget.clone());
        let written = tokio::task::spawn_blocking(move || {
            let path = directory.join("export.db");
            let incident = Incident {
                filter: &filter,
                range,
                path: &path,
                bytes: Some(BYTES),
                budget: &budget,
            };
            let written = write(&store, &directory, &incident);
            drop(turn);
            written
        });
        let written = written.await.unwrap_or_else(|error| {
            let why = format!("the export ended early: {error}");
            Err(SearchError::Store(StoreError::Failed(why)))
        });
        drop(cancel);
        written
    }
}

/// Deletes what a killed server left of its exports.
///
/// # Errors
/// When it is there and cannot be deleted.
pub fn forget_exports(data: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory(data)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn directory(data: &Path) -> PathBuf {
    data.join("exports")
}

fn write(store: &Store, directory: &Path, incident: &Incident<'_>) -> Result<ExportedFile, SearchError> {
    let failed = |error: io::Error| {
        SearchError::Store(StoreError::Unusable {
            path: directory.display().to_string(),
            why: error.to_string(),
        })
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let Exported { partial, .. } = store.export_file(incident).map_err(|error| match error {
        StoreError::Full => SearchError::Incomplete("there is no room for so large a file"),
        other => SearchError::Store(other),
    })?;
    if let Some(spent @ (Partial::Deadline | Partial::Cancelled)) = partial {
        return Err(SearchError::Incomplete(why(spent)));
    }
    let file = File::open(incident.path);
    fs::remove_file(incident.path).map_err(failed)?;
    let file = file.map_err(failed)?;
    Ok(ExportedFile {
        bytes: file.metadata().map_err(failed)?.len(),
        file,
        partial: partial.map(why),
    })
}
