//! A sealed block or an unsealed batch: what a search visits at a time.

use std::sync::Arc;

use log_record::Timestamp;

use super::blocks::Block;
use super::contents::{Contents, Snapshot};
use super::tail::Entry;
use super::{StoreError, StoredBatch, TimeRange};

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

    /// Its records. What cannot be read is left out, and noted in `damaged` unless retention has deleted it.
    pub(super) fn batches(
        &self,
        contents: &Contents,
        damaged: &mut bool,
    ) -> Result<Vec<Arc<StoredBatch>>, StoreError> {
        let (read, partition) = match self {
            Unit::Block(block) => (
                block
                    .batches()
                    .map(|batches| batches.into_iter().map(Arc::new).collect()),
                &block.partition,
            ),
            Unit::Batch(entry) => (contents.decode(entry).map(|batch| vec![batch]), &entry.partition),
        };
        match read {
            Err(StoreError::Damaged { .. }) => {
                *damaged |= !partition.is_removed();
                Ok(Vec::new())
            }
            other => other,
        }
    }
}
