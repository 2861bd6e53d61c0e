//! The blocks of a partition on disk: their rows, their columns, and how some take the place of others.
//!
//! Rule: the columns of a block are deleted only when no snapshot holds the block any more, so a search that began
//! before a merge goes on reading what it saw. Until then the block stands in `replaced`; what a crash leaves there is
//! deleted at the next start.

use std::sync::Arc;

use log_record::{Level, Timestamp};
use rusqlite::{Connection, Row, named_params};

use super::block::{self, Chunk, Damaged, Loaded, SealedBlock, Summary};
use super::columns;
use super::partition::Partition;
use super::{StoreError, StoredBatch};
use crate::query::Filter;

const LOAD: &str =
    "SELECT id, first_batch, last_batch, rows, earliest, latest, trace, debug, info, warn, error
    FROM blocks ORDER BY first_batch";
const INSERT: &str = "INSERT INTO blocks
    (first_batch, last_batch, rows, earliest, latest, trace, debug, info, warn, error) VALUES
    (:first_batch, :last_batch, :rows, :earliest, :latest, :trace, :debug, :info, :warn, :error)";
const DELETE: &str = "DELETE FROM blocks WHERE id = ?1";
const REPLACED: &str = "INSERT INTO replaced (block) VALUES (?1)";
const FORGET_REPLACED: &str = "DELETE FROM replaced WHERE block = ?1";

/// A sealed block of a partition.
pub(super) struct Block {
    pub(super) id: i64,
    pub(super) summary: Summary,
    pub(super) partition: Arc<Partition>,
}

impl Block {
    /// Whether every byte of it is what was stored.
    pub(super) fn verify(&self) -> Result<(), StoreError> {
        self.with_columns(block::verify)?
            .map_err(|why| self.damaged(&why))
    }

    /// All its records; at least one batch, and no batch without records.
    pub(super) fn batches(&self) -> Result<Vec<StoredBatch>, StoreError> {
        let unsealed = self.with_columns(|columns| block::unseal(&self.summary, columns));
        let batches = unsealed?.map_err(|why| self.damaged(&why))?;
        if batches.is_empty() || batches.iter().any(|batch| batch.records.is_empty()) {
            return Err(self.damaged(&"it has no records"));
        }
        Ok(batches)
    }

    /// What is known of its rows by the chunk.
    pub(super) fn chunks(&self) -> Result<Vec<Chunk>, StoreError> {
        let known = self.with_columns(|columns| block::chunks_of(&self.summary, &Loaded::new(columns)));
        known?.map_err(|why| self.damaged(&why))
    }

    /// What `look` sees in it.
    pub(super) fn open<T>(
        &self,
        look: impl FnOnce(&mut block::Block<'_>) -> Result<T, Damaged>,
    ) -> Result<T, StoreError> {
        let seen = self.with_columns(|columns| {
            let loaded = Loaded::new(columns);
            look(&mut block::Block::open(&self.summary, &loaded)?)
        });
        seen?.map_err(|why| self.damaged(&why))
    }

    /// What `look` sees in it, unless it certainly has nothing that the filter finds.
    pub(super) fn open_if<T>(
        &self,
        filter: &Filter,
        look: impl FnOnce(&mut block::Block<'_>) -> Result<T, Damaged>,
    ) -> Result<Option<T>, StoreError> {
        let seen = self.with_columns(|columns| {
            let loaded = Loaded::new(columns);
            if !block::may_match(&self.summary, &loaded, filter)? {
                return Ok(None);
            }
            look(&mut block::Block::open(&self.summary, &loaded)?).map(Some)
        });
        seen?.map_err(|why| self.damaged(&why))
    }

    fn with_columns<T>(&self, look: impl FnOnce(&dyn block::Columns) -> T) -> Result<T, StoreError> {
        columns::with(&self.partition, self.id, look)
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> StoreError {
        self.partition.damaged(&format!("block {}: {why}", self.id))
    }

    /// Whether the batch may be in it.
    pub(super) fn spans(&self, batch: i64) -> bool {
        (self.summary.first_batch..=self.summary.last_batch).contains(&batch)
    }
}

/// The blocks of a partition, in order of arrival.
pub(super) fn load(reader: &Connection, partition: &Arc<Partition>) -> rusqlite::Result<Vec<Arc<Block>>> {
    let mut statement = reader.prepare(LOAD)?;
    let rows = statement.query_map([], |row| {
        Ok(Arc::new(Block {
            id: row.get(0)?,
            summary: summary(row)?,
            partition: partition.clone(),
        }))
    })?;
    rows.collect()
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let mut counts = [0; Level::ALL.len()];
    for level in Level::ALL {
        counts[level as usize] = row.get(level.as_str())?;
    }
    Ok(Summary {
        first_batch: row.get("first_batch")?,
        last_batch: row.get("last_batch")?,
        rows: row.get("rows")?,
        earliest: Timestamp::from_nanos(row.get("earliest")?),
        latest: Timestamp::from_nanos(row.get("latest")?),
        counts,
    })
}

/// Writes a block; returns its id. Within the caller's transaction.
pub(super) fn insert(writer: &Connection, block: &SealedBlock) -> rusqlite::Result<i64> {
    let Summary {
        first_batch,
        last_batch,
        rows,
        earliest,
        latest,
        counts,
    } = block.summary;
    let count = |level: Level| counts[level as usize];
    writer.prepare_cached(INSERT)?.execute(named_params! {
        ":first_batch": first_batch,
        ":last_batch": last_batch,
        ":rows": rows,
        ":earliest": earliest.as_nanos(),
        ":latest": latest.as_nanos(),
        ":trace": count(Level::Trace),
        ":debug": count(Level::Debug),
        ":info": count(Level::Info),
        ":warn": count(Level::Warn),
        ":error": count(Level::Error),
    })?;
    let id = writer.last_insert_rowid();
    columns::insert(writer, id, &block.columns)?;
    Ok(id)
}

/// Takes blocks out of the list, keeping their columns for who still reads them. Within the caller's transaction.
pub(super) fn replace(writer: &Connection, old: &[i64]) -> rusqlite::Result<()> {
    for id in old {
        writer.prepare_cached(DELETE)?.execute([id])?;
        writer.prepare_cached(REPLACED)?.execute([id])?;
    }
    Ok(())
}

/// Deletes the columns of blocks that were replaced. Within the caller's transaction.
pub(super) fn delete_replaced(writer: &Connection, blocks: &[i64]) -> rusqlite::Result<()> {
    for id in blocks {
        columns::delete(writer, *id)?;
        writer.prepare_cached(FORGET_REPLACED)?.execute([id])?;
    }
    Ok(())
}

/// The blocks whose columns are still to be deleted.
pub(super) fn replaced(writer: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = writer.prepare("SELECT block FROM replaced")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}
