//! Where records are kept and found again: SQLite files in a data directory.
//!
//! Promises: [`Store::append`] returns only after the records are on disk (`COMMIT` with `synchronous=FULL`); a batch
//! with the same `(boot, no)` is stored once; what was appended is seen by every search that starts afterwards; on an
//! I/O error or corruption the store stops acknowledging and says why ([`Store::failed`]).
//!
//! Speaks in records, filters and pages, never in SQL. Knows nothing of HTTP or Redis.
//!
//! Reading order: `record` (what is stored), `schema` (the file), `ledger` (what was stored before), `tail` (the
//! batches as they came), `writer` (the one thread that writes), `search`, `scan` and `histogram`
//! (how they are found), `plain` and `sql` (what SQL sees of them).

mod record;
mod schema;
mod ledger;
mod tail;
mod writer;
mod search;
mod scan;
mod histogram;
mod plain;
mod sql;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use log_record::{Batch, LogRecord, Source, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

pub use histogram::{Bucket, Histogram, Histogrammed};
pub use record::{Cursor, RecordId, StoredRecord, TimeRange};
pub use scan::{Scan, Scanned};
pub use search::{Budget, Direction, Page, Partial, Search};
pub use sql::{Selected, SqlValue};
pub use tail::StoredBatch;

use tail::Tail;
use writer::Append;

/// The records of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` once closed: the writer ends when the last sender is gone.
    writer: Mutex<Option<mpsc::Sender<Append>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    tail: Arc<Tail>,
    failed: watch::Receiver<Option<String>>,
}

/// A batch that has arrived.
#[derive(Debug)]
pub struct Incoming {
    /// What it says.
    pub batch: Batch,
    /// Its JSON as it came; this is what is kept.
    pub text: Box<str>,
    /// When it came: the time of records that bring none.
    pub arrived: Timestamp,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Its records are on disk.
    Stored,
    /// They were already.
    Duplicate,
}

/// What can go wrong in the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another server has the directory.
    #[error("{0} is in use by another log-server")]
    InUse(String),
    /// The directory or a file in it cannot be used.
    #[error("{path}: {why}")]
    Unusable {
        /// Which one.
        path: String,
        /// What is the matter.
        why: String,
    },
    /// The number of the batch was given before to other content; neither is touched.
    #[error("batch {no} of boot {boot} was stored before with other content")]
    Reused {
        /// The sender's run.
        boot: String,
        /// The batch's number.
        no: u64,
    },
    /// There is no room on disk now; the same batch can be tried again later.
    #[error("the disk is full")]
    Full,
    /// The store has stopped for good, and this is why.
    #[error("the store has stopped: {0}")]
    Failed(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl Store {
    /// Opens the data directory, creating it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Unusable`] when it cannot be read or written or
    /// was written by a newer version.
    pub fn open(data: &Path) -> Result<Store, StoreError> {
        let file = schema::open(data)?;
        let tail = Arc::new(Tail::load(&file.connection, &file.path)?);
        let (failed_sender, failed) = watch::channel(None);
        // Enough for every call that the RPC server has in flight; beyond it callers wait in `append`.
        let (sender, receiver) = mpsc::channel(64);
        let writer = writer::Writer::new(file, tail.clone(), failed_sender)?;
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(receiver))
            .map_err(|error| StoreError::Failed(format!("no thread for the writer: {error}")))?;
        Ok(Store {
            inner: Arc::new(Inner {
                writer: Mutex::new(Some(sender)),
                thread: Mutex::new(Some(thread)),
                tail,
                failed,
            }),
        })
    }

    /// Opens a data directory for searching only, whether or not a server is using it: sees what is stored now, and
    /// appends nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when there are no records, or none that this version can read.
    pub fn open_to_read(data: &Path) -> Result<Store, StoreError> {
        let (path, connection) = schema::open_to_read(data)?;
        let tail = Arc::new(Tail::load(&connection, &path)?);
        let (writer, thread) = (Mutex::new(None), Mutex::new(None));
        Ok(Store {
            inner: Arc::new(Inner {
                writer,
                thread,
                tail,
                failed: watch::channel(None).1,
            }),
        })
    }

    /// Stores a batch. Returns when its records are on disk and can be found.
    ///
    /// # Errors
    /// [`StoreError`]; the batch is then not stored and was not seen by any search.
    pub async fn append(&self, incoming: Incoming) -> Result<Appended, StoreError> {
        let sender = self
            .inner
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (done, answer) = oneshot::channel();
        let sender = sender.ok_or(StoreError::Closed)?;
        sender
            .send(Append { incoming, done })
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
        search::run(&self.inner.tail, search)
    }

    /// Shows every record that matches to `see`, in no particular order. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn scan(
        &self,
        scan: &Scan<'_>,
        see: impl FnMut(&LogRecord, &Arc<Source>),
    ) -> Result<Scanned, StoreError> {
        scan::run(&self.inner.tail, scan, see)
    }

    /// The record of that id, if there is one. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn record(&self, id: RecordId) -> Result<Option<StoredRecord>, StoreError> {
        self.inner.tail.record(id)
    }

    /// How many records match, over time and per level. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn histogram(&self, histogram: &Histogram<'_>) -> Result<Histogrammed, StoreError> {
        histogram::run(&self.inner.tail, histogram)
    }

    /// The batches that came after the record `after`, oldest first, at most the newest `limit` of them; and whether
    /// there were more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when stored data cannot be read back.
    pub fn since(&self, after: RecordId, limit: usize) -> Result<(Vec<Arc<StoredBatch>>, bool), StoreError> {
        self.inner.tail.since(after, limit)
    }

    /// Changes whenever something was appended; the value is the newest record's id.
    pub fn newest(&self) -> watch::Receiver<RecordId> {
        self.inner.tail.newest()
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

    /// Commits what is waiting, checkpoints and closes the file. Blocks until that is done.
    pub fn close(&self) {
        drop(
            self.inner
                .writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .inner
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic of the writer was reported when its channel closed; there is nothing to add.
            let _ = thread.join();
        }
    }

    fn why_closed(&self) -> StoreError {
        self.failure().map_or(StoreError::Closed, StoreError::Failed)
    }
}
