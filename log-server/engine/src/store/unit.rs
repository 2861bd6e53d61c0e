//! A sealed block or an unsealed batch: what a search visits at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log_record::Timestamp;

use super::blocks::Block;
use super::contents::{Contents, Snapshot};
use super::tail::Entry;
use super::{StoreError, TimeRange};

pub(super) enum Unit {
    Block(Arc<Block>),
    Batch(Arc<Entry>),
}

/// Everything that may hold records of `range`, in order of arrival; and whether something cannot be read.
pub(super) fn list(contents: &Contents, range: TimeRange) -> (Vec<Unit>, bool) {
    let Snapshot {
        blocks,
        tail,
        damaged,
    } = contents.snapshot(range);
    let blocks = blocks.into_iter().map(Unit::Block);
    (blocks.chain(tail.into_iter().map(Unit::Batch)).collect(), damaged)
}

impl Unit {
    pub(super) fn earliest(&self) -> Timestamp {
        match self {
            Unit::Block(block) => block.summary.earliest,
            Unit::Batch(entry) => entry.earliest,
        }
    }

    pub(super) fn latest(&self) -> Timestamp {
        match self {
            Unit::Block(block) => block.summary.latest,
            Unit::Batch(entry) => entry.latest,
        }
    }

    pub(super) fn first_batch(&self) -> i64 {
        match self {
            Unit::Block(block) => block.summary.first_batch,
            Unit::Batch(entry) => entry.id,
        }
    }

    /// What could be read; `None`, noted in `damaged` unless retention has deleted it, if it could not.
    pub(super) fn readable<T>(
        &self,
        read: Result<T, StoreError>,
        damaged: &AtomicBool,
    ) -> Result<Option<T>, StoreError> {
        let partition = match self {
            Unit::Block(block) => &block.partition,
            Unit::Batch(entry) => &entry.partition,
        };
        match read {
            Err(StoreError::Damaged { .. }) => {
                damaged.fetch_or(!partition.is_removed(), Ordering::Relaxed);
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}
