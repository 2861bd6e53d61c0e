//! Records sealed together: columns by number, each compressed on its own.

use std::sync::Arc;

use log_record::{Batch, Level, Timestamp};

use super::{StoreError, StoredBatch};

/// The most records a block can have.
pub(super) const ROWS_MOST: usize = 65_536;

/// A block in memory, ready to be stored.
pub(super) struct SealedBlock {
    pub(super) summary: Summary,
    pub(super) columns: Vec<(u32, Vec<u8>)>,
}

/// What is known of a block without reading its columns. Kept in the row of `blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) first_batch: i64,
    pub(super) last_batch: i64,
    pub(super) rows: u32,
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
    /// Records by [`Level`] as index.
    pub(super) counts: [u32; Level::ALL.len()],
}

/// Where the columns of a block are read from.
pub(super) trait Columns {
    fn column(&self, number: u32) -> Result<Option<Vec<u8>>, StoreError>;
}

/// A block that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(String);

/// Seals batches, in order of arrival (ids rising; several pieces of one batch in the order of their places). At most [`ROWS_MOST`] records in all, and at least one.
pub(super) fn seal(batches: &[Arc<StoredBatch>]) -> SealedBlock {
    let records = || batches.iter().flat_map(|batch| &batch.records);
    let mut counts = [0; Level::ALL.len()];
    records().for_each(|record| counts[record.level() as usize] += 1);
    let summary = Summary {
        first_batch: batches.first().expect("there is a batch").id,
        last_batch: batches.last().expect("there is a batch").id,
        rows: u32::try_from(records().count()).expect("a block is small"),
        earliest: records()
            .map(|record| record.time)
            .min()
            .expect("there is a record"),
        latest: records()
            .map(|record| record.time)
            .max()
            .expect("there is a record"),
        counts,
    };
    let text = serde_json::to_vec(
        &batches
            .iter()
            .map(|batch| {
                let json = Batch {
                    source: batch.source.clone(),
                    no: None,
                    sent: None,
                    dropped: Vec::new(),
                    records: batch.records.clone(),
                    rejected: Vec::new(),
                };
                (batch.id, batch.first, json.to_json())
            })
            .collect::<Vec<_>>(),
    );
    let text = text.expect("values serialise without I/O");
    let data = zstd::bulk::compress(&text, 1).expect("compressing memory into memory does not fail");
    SealedBlock {
        summary,
        columns: vec![(0, data)],
    }
}

/// All records of a block again, as batches, in the order in which they were sealed.
pub(super) fn unseal(_summary: &Summary, columns: &dyn Columns) -> Result<Vec<StoredBatch>, Damaged> {
    let damaged = |why: &dyn std::fmt::Display| Damaged(why.to_string());
    let data = columns.column(0).map_err(|error| damaged(&error))?;
    let data = data.ok_or_else(|| damaged(&"a column is missing"))?;
    let text = zstd::decode_all(&*data).map_err(|error| damaged(&error))?;
    let batches: Vec<(i64, usize, String)> =
        serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
    batches
        .into_iter()
        .map(|(id, first, json)| {
            let batch = Batch::parse(&json, Timestamp::default()).map_err(|error| damaged(&error))?;
            Ok(StoredBatch {
                id,
                source: batch.source,
                first,
                records: batch.records,
            })
        })
        .collect()
}
