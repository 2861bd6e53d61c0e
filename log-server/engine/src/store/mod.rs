//! Where records are kept and found again: SQLite files in a data directory.
//!
//! Promises: [`Store::append`] returns only after the records are on disk (`COMMIT` with `synchronous=FULL`); a batch
//! with the same `(boot, no)` is stored once; what was appended is seen by every search that starts afterwards; on an
//! I/O error or corruption the store stops acknowledging and says why ([`Store::failed`]).
//!
//! Speaks in records, filters and pages, never in SQL. Knows nothing of HTTP or Redis.
//!
//! Reading order: `record` (what is stored), `incoming` (what is
//! to be stored), `options` (what can be chosen), `directory` and `schema` (the files),
//! `partition` (one of them, as it is read), `ledger` (what was stored before) and
//! `received` (which record numbers), `tail` (the batches as they came),
//! `block` and `blocks` (records sealed together), `kept` (those of them that stay open), `contents` (what there is now, and what a search sees), `opening`
//! (the newest partition at a start), `writer` (the one thread that writes), `sealer`, `superseded`, `merge`, `retention` and
//! `checkpointer` (what goes on beside it), `sought`, `search`, `scan` and `histogram` (how records are found),
//! `plain` and `sql` (what SQL sees of them), `incident` (some of them as a file), `check` and `backup` (what one does with the files). `crash` names the places at which tests let a process die.

mod error;
mod record;
mod incoming;
mod parts;
mod options;
mod directory;
mod schema;
mod partition;
mod ledger;
mod received;
mod tail;
mod block;
mod columns;
mod blocks;
mod kept;
mod contents;
mod opening;
mod writer;
mod sealer;
mod superseded;
mod merge;
mod retention;
mod checkpointer;
mod unit;
mod visit;
mod sought;
mod search;
mod scan;
mod count;
mod histogram;
mod plain;
mod sql;
mod incident;
mod check;
mod backup;
mod crash;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use log_record::{LogRecord, Source};
use tokio::sync::{mpsc, oneshot, watch};

pub use backup::{BackupStep, backup};
#[cfg(any(test, feature = "fuzzing"))]
pub use block::read_edited;
pub use check::{CheckStep, Checked, Problem, check};
pub use count::CountOf;
pub use error::StoreError;
pub use histogram::{Bucket, Histogram, Histogrammed};
pub use incident::{Exported, Incident};
pub use incoming::Incoming;
pub use options::{BadKeepRule, BadKeepTime, Keep, KeepRule, KeepTime, Options};
pub use parts::Parts;
pub use received::Received;
pub use record::{Cursor, RecordId, StoredRecord, TimeRange};
pub use scan::{Scan, Scanned, Seen};
pub use search::{Budget, Direction, Page, Partial, Search};
pub use sql::{Selected, SqlValue};
pub use tail::StoredBatch;

use checkpointer::Checkpointer;
use contents::Contents;
use directory::Directory;
use retention::{Clock, Deleted};
use sealer::Sealer;
use writer::{Append, Request};

/// The records of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    contents: Arc<Contents>,
    directory: Arc<Directory>,
    deleted: Arc<Deleted>,
    failed: watch::Receiver<Option<String>>,
    /// `None` once closed: the writer ends when the last sender is gone.
    writer: Mutex<Option<mpsc::Sender<Request>>>,
    threads: Mutex<Option<Threads>>,
}

/// What runs while a store is open for writing.
struct Threads {
    stop: Arc<AtomicBool>,
    /// Wakes the sealer.
    nudge: SyncSender<()>,
    sealer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// How much is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Files.
    pub partitions: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Sealed blocks.
    pub blocks: usize,
    /// Records in sealed blocks.
    pub sealed: u64,
    /// Records that wait to be sealed.
    pub unsealed: u64,
    /// Partitions that retention deleted since the store was opened.
    pub deleted_partitions: u64,
    /// Records that retention deleted since the store was opened, as far as they could be counted.
    pub deleted_records: u64,
    /// What cannot be read: file, and why.
    pub damaged: Vec<(String, String)>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Its records are on disk.
    Stored,
    /// They were already.
    Duplicate,
}

impl Store {
    /// Opens the data directory with the default options, creating it if it is not there.
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub fn open(data: &Path) -> Result<Store, StoreError> {
        Store::open_with(data, Options::default())
    }

    /// Opens the data directory, creating it if it is not there. The time it takes does not grow with what is stored:
    /// only the newest partition is read.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Unusable`] when it cannot be read or written or
    /// was written by a newer version. An older partition that cannot be read is no error: what is in it is missing
    /// from answers, which say so.
    pub fn open_with(data: &Path, options: Options) -> Result<Store, StoreError> {
        Store::open_by(data, options, Clock::new())
    }

    fn open_by(data: &Path, options: Options, clock: Clock) -> Result<Store, StoreError> {
        let directory = Arc::new(Directory::take(data)?);
        let opened = opening::open(&directory)?;
        let contents = Arc::new(opened.contents);
        let deleted = Arc::new(Deleted::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (failed_sender, failed) = watch::channel(None);
        // Enough for every call that the RPC server has in flight; beyond it callers wait in `append`.
        let (requests, receiver) = mpsc::channel(64);
        let (nudge, nudges) = sync_channel(1);
        let writer = writer::Writer::new(opened.connection, contents.clone(), nudge.clone())?;
        let sealer = Sealer {
            contents: contents.clone(),
            directory: directory.clone(),
            options,
            writer: requests.clone(),
            stop: stop.clone(),
            deleted: deleted.clone(),
            clock,
            work: sealer::Work::default(),
        };
        let checkpointer = Checkpointer {
            contents: contents.clone(),
            writer: requests.clone(),
            stop: stop.clone(),
        };
        let threads = Threads {
            stop,
            nudge,
            writer: spawn("store-writer", &failed_sender, move || writer.run(receiver))?,
            sealer: spawn("store-sealer", &failed_sender, move || sealer.run(&nudges))?,
            checkpointer: spawn("store-checkpointer", &failed_sender, move || checkpointer.run())?,
        };
        Ok(Store {
            inner: Arc::new(Inner {
                contents,
                directory,
                deleted,
                failed,
                writer: Mutex::new(Some(requests)),
                threads: Mutex::new(Some(threads)),
            }),
        })
    }

    /// Opens a data directory for searching only, whether or not a server is using it: sees what is stored now, and
    /// appends nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there are no records, or none that this version can read.
    pub fn open_to_read(data: &Path) -> Result<Store, StoreError> {
        Store::open_reading(Directory::read(data))
    }

    /// Opens one file of a data directory for searching only, wherever it is.
    ///
    /// # Errors
    /// As [`Store::open_to_read`].
    pub fn open_file(file: &Path) -> Result<Store, StoreError> {
        Store::open_reading(Directory::of_file(file))
    }

    fn open_reading(directory: Directory) -> Result<Store, StoreError> {
        let contents = opening::open_to_read(&directory)?;
        Ok(Store {
            inner: Arc::new(Inner {
                contents: Arc::new(contents),
                directory: Arc::new(directory),
                deleted: Arc::default(),
                failed: watch::channel(None).1,
                writer: Mutex::new(None),
                threads: Mutex::new(None),
            }),
        })
    }

    /// Stores a batch. Returns when its records are on disk and can be found.
    ///
    /// # Errors
    /// [`StoreError`]; the batch is then not stored and was not seen by any search.
    pub async fn append(&self, incoming: Incoming) -> Result<Appended, StoreError> {
        let sender = lock(&self.inner.writer).clone();
        let (done, answer) = oneshot::channel();
        let sender = sender.ok_or(StoreError::Closed)?;
        sender
            .send(Request::Append(Append { incoming, done }))
            .await
            .map_err(|_| self.why_closed())?;
        drop(sender);
        answer.await.map_err(|_| self.why_closed())?
    }

    /// The first records that match in the search's direction, at most `search.limit` of them. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn search(&self, search: &Search<'_>) -> Result<Page, StoreError> {
        search::run(&self.inner.contents, search)
    }

    /// Shows every record that matches to `see`, in no particular order, on several threads: each has an accumulator of
    /// its own, made by `new`, and all of them are returned. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn fold<A: Send>(
        &self,
        scan: &Scan<'_>,
        new: impl Fn() -> A + Sync,
        see: impl Fn(&mut A, &LogRecord, &Arc<Source>) + Sync,
    ) -> Result<(Vec<A>, Scanned), StoreError> {
        scan::run(&self.inner.contents, scan, new, see)
    }

    /// Shows what is counted of the matching records, and how often they have it; the same text may be shown more than
    /// once. Threads and accumulators are as in [`Store::fold`]. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn count<A: Send>(
        &self,
        scan: &Scan<'_>,
        what: CountOf<'_>,
        new: impl Fn() -> A + Sync,
        see: impl Fn(&mut A, &str, u64) + Sync,
    ) -> Result<(Vec<A>, Scanned), StoreError> {
        count::run(&self.inner.contents, scan, what, new, see)
    }

    /// As [`Store::fold`], for one accumulator that all threads share.
    ///
    /// # Errors
    /// As for [`Store::fold`].
    pub fn scan(
        &self,
        scan: &Scan<'_>,
        see: impl FnMut(&LogRecord, &Arc<Source>) + Send,
    ) -> Result<Scanned, StoreError> {
        let see = Mutex::new(see);
        let locked = |(): &mut (), record: &LogRecord, source: &Arc<Source>| {
            (see.lock().unwrap_or_else(PoisonError::into_inner))(record, source);
        };
        Ok(self.fold(scan, || (), locked)?.1)
    }

    /// The record of that id, if there is one. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn record(&self, id: RecordId) -> Result<Option<StoredRecord>, StoreError> {
        self.inner.contents.record(id)
    }

    /// How many records match, over time and per level. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn histogram(&self, histogram: &Histogram<'_>) -> Result<Histogrammed, StoreError> {
        histogram::run(&self.inner.contents, histogram)
    }

    /// The batches that came after the record `after`, oldest first, at most the newest `limit` of them; and whether
    /// there were more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn since(&self, after: RecordId, limit: usize) -> Result<(Vec<Arc<StoredBatch>>, bool), StoreError> {
        Ok(self.inner.contents.since(after, limit))
    }

    /// Changes whenever something was appended; the value is the newest record's id.
    pub fn newest(&self) -> watch::Receiver<RecordId> {
        self.inner.contents.newest()
    }

    /// Waits until the store has stopped by itself and says why. Pending for ever while it works.
    pub async fn failed(&self) -> String {
        let mut failed = self.inner.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().expect("waited for it"),
            // The writer was closed in order: nothing failed, so there is nothing to report.
            Err(_) => std::future::pending().await,
        }
    }

    /// Why the store has stopped by itself, if it has.
    pub fn failure(&self) -> Option<String> {
        self.inner.failed.borrow().clone()
    }

    /// How much is stored. Blocks shortly: it looks at the files.
    pub fn statistics(&self) -> Statistics {
        let inner = &self.inner;
        let totals = inner.contents.totals();
        let damaged = inner.contents.partitions().into_iter().filter_map(|partition| {
            let why = partition.damage()?.to_owned();
            Some((partition.path().display().to_string(), why))
        });
        Statistics {
            partitions: totals.partitions,
            // A directory that cannot be listed is told of where it matters, when it is opened.
            bytes: inner.directory.bytes().unwrap_or(0),
            blocks: totals.blocks,
            sealed: totals.sealed,
            unsealed: totals.unsealed,
            deleted_partitions: inner.deleted.partitions.load(Ordering::Relaxed),
            deleted_records: inner.deleted.records.load(Ordering::Relaxed),
            damaged: damaged.collect(),
        }
    }

    /// Commits what is waiting, checkpoints and closes the files. Blocks until that is done.
    pub fn close(&self) {
        self.inner.close();
    }

    fn why_closed(&self) -> StoreError {
        self.failure().map_or(StoreError::Closed, StoreError::Failed)
    }
}

impl Inner {
    fn close(&self) {
        let threads = lock(&self.threads).take();
        let requests = lock(&self.writer).take();
        let Some(threads) = threads else { return };
        let Threads {
            stop,
            nudge,
            sealer,
            checkpointer,
            writer,
        } = threads;
        stop.store(true, Ordering::Relaxed);
        // A full channel wakes it as well.
        let _ = nudge.try_send(());
        checkpointer.thread().unpark();
        // Both may still ask the writer for something, so it ends last.
        for thread in [sealer, checkpointer] {
            // A panic was reported when it happened; there is nothing to add.
            let _ = thread.join();
        }
        self.contents.kept.close();
        drop(requests);
        // Likewise.
        let _ = writer.join();
        self.directory.give_back();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts a thread of the store; what it ends with stops the store.
fn spawn(
    name: &'static str,
    failed: &watch::Sender<Option<String>>,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let failed = failed.clone();
    let work = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let outcome =
            outcome.unwrap_or_else(|_| Err(format!("{name} has panicked; its message is in the log")));
        if let Err(why) = outcome {
            tracing::error!(%why, "the store has stopped");
            failed.send_replace(Some(why));
        }
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| StoreError::Failed(format!("no thread {name}: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
