//! The thread that writes the log of the live partition back into its file, beside the appends: a commit that had to do
//! it would stall for 50 to 150 ms.
//!
//! Under constant load the log never falls empty by itself, since what is appended meanwhile stays in it. When it has
//! grown too long the writer is asked to write back the little that is left, between two commits.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use super::contents::Contents;
use super::partition::Partition;
use super::schema;
use super::writer::Request;

const TICK: Duration = Duration::from_millis(500);
/// A shorter log is left alone while there are appends: many of them change the same pages.
const WORTH_IT: u64 = 8 << 20;
/// Beyond this the writer helps. A start after a crash reads the whole log.
const TOO_LONG: u64 = 64 << 20;
/// Beyond this somebody keeps an old state of the file open, and the log cannot begin anew.
const STUCK: u64 = 256 << 20;

pub(super) struct Checkpointer {
    pub(super) contents: Arc<Contents>,
    pub(super) writer: mpsc::Sender<Request>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Works until it is told to stop. `Err` says why the store must stop.
    pub(super) fn run(self) -> Result<(), String> {
        let mut open: Option<(Arc<Partition>, Connection)> = None;
        let (mut before, mut done, mut told) = (None, None, false);
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(TICK);
            let live = self.contents.live();
            let Some((length, written)) = log(live.path()) else {
                continue;
            };
            // The length alone tells little: the log is written over from its start when all of it was written back.
            let quiet = before == Some((length, written));
            before = Some((length, written));
            if length == 0 || done == before || (!quiet && length < WORTH_IT) {
                continue;
            }
            if open
                .as_ref()
                .is_none_or(|(partition, _)| !Arc::ptr_eq(partition, &live))
            {
                open = schema::open_writer(live.path())
                    .ok()
                    .map(|connection| (live.clone(), connection));
            }
            // If it cannot be opened now, the next round tries again; the writer would tell if the file were bad.
            let Some((_, connection)) = &open else { continue };
            match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                Ok(()) => done = before,
                // A full disk and another checkpoint pass.
                Err(error)
                    if matches!(
                        error.sqlite_error_code(),
                        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                    ) => {}
                Err(error) => return Err(format!("{}: {error}", live.path().display())),
            }
            if length > TOO_LONG && self.writer.blocking_send(Request::Checkpoint).is_err() {
                return Ok(());
            }
            if length > STUCK && !told {
                tracing::warn!(
                    bytes = length,
                    "the write-ahead log grows: another program keeps the database open"
                );
            }
            told = length > STUCK;
        }
        Ok(())
    }
}

/// The length of a partition's log, and when it was last written to.
fn log(path: &Path) -> Option<(u64, SystemTime)> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let metadata = fs::metadata(log).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
