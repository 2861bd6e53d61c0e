//! What must be known of a batch before its records are needed: who sent it, how many records can be read, when they
//! were written and what their numbers are.

use std::sync::Arc;

use crate::batch::{BatchError, Dropped, Rejected};
use crate::reader;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// A batch of which all was read and nothing kept that its records say. It is refused where
/// [`BorrowedBatch::read`](crate::BorrowedBatch::read) refuses it, and takes 0.5 to 0.8 of its time (`benches/parse.rs`).
#[derive(Debug, PartialEq)]
pub struct Outline {
    /// Who sent it.
    pub source: Arc<Source>,
    /// Number within the sender's run, if it has one.
    pub no: Option<u64>,
    /// What the sender refused to take since its last batch.
    pub dropped: Vec<Dropped>,
    /// The records that could not be read.
    pub rejected: Vec<Rejected>,
    /// Those that could, in order.
    pub records: Vec<Mark>,
}

/// What is known of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When it was written.
    pub time: Timestamp,
    /// Its number in the sender's run, if it has one.
    pub seq: Option<u64>,
}

impl Outline {
    /// Reads a batch. `arrived` is the time of records that bring none.
    ///
    /// # Errors
    /// As [`BorrowedBatch::read`](crate::BorrowedBatch::read).
    pub fn read(json: &str, arrived: Timestamp) -> Result<Outline, BatchError> {
        reader::outline(json, arrived)
    }
}
