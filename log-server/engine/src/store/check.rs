//! Looking for damage: whether everything that was stored can be read, and agrees with itself.
//!
//! Only reads, and works beside a running server: each partition is seen as it is at one moment.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use log_record::{Level, Timestamp};
use rusqlite::Connection;

use super::block::Summary;
use super::blocks::Block;
use super::directory::Directory;
use super::partition::{Loaded, Partition};
use super::{StoreError, StoredBatch, schema};
use super::{incoming, tail};

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Files looked at.
    pub partitions: usize,
    /// Sealed blocks read.
    pub blocks: usize,
    /// Records read.
    pub records: u64,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which file.
    pub path: String,
    /// What.
    pub what: String,
}

/// Where a check stands, told before each step.
#[derive(Debug, Clone, Copy)]
pub struct CheckStep<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

/// Problems listed for one file; a broken file has the same one many times.
const PROBLEMS_MOST: usize = 20;

/// Checks every partition of a data directory.
///
/// # Errors
/// [`StoreError::Unusable`] when there is no such directory, or no records in it.
pub fn check(data: &Path, mut step: impl FnMut(CheckStep<'_>)) -> Result<Checked, StoreError> {
    let directory = Directory::read(data);
    let paths = directory.partitions()?;
    if paths.is_empty() {
        return Err(super::directory::unusable(
            directory.logs(),
            &"there are no records here",
        ));
    }
    let mut checked = Checked::default();
    // No id of a partition may be this or lower.
    let mut last_id = 0;
    for (index, path) in paths.iter().enumerate() {
        step(CheckStep {
            path,
            number: index + 1,
            of: paths.len(),
        });
        let mut of_file = OfFile {
            path,
            checked: &mut checked,
            problems: 0,
        };
        let partition = Arc::new(Partition::pinned(path.clone()));
        match of_file.partition(&partition, last_id) {
            Ok(last) => last_id = last,
            // Retention has deleted it meanwhile.
            Err(_) if partition.is_removed() => continue,
            Err(StoreError::Damaged { why, .. } | StoreError::Unusable { why, .. }) => of_file.problem(why),
            Err(other) => of_file.problem(other.to_string()),
        }
        checked.partitions += 1;
    }
    Ok(checked)
}

struct OfFile<'a> {
    path: &'a Path,
    checked: &'a mut Checked,
    problems: usize,
}

impl OfFile<'_> {
    fn problem(&mut self, what: impl Into<String>) {
        self.problems += 1;
        let what = match self.problems {
            ..PROBLEMS_MOST => what.into(),
            PROBLEMS_MOST => "more of the same kind is left out".to_owned(),
            _ => return,
        };
        self.checked.problems.push(Problem {
            path: self.path.display().to_string(),
            what,
        });
    }

    /// Returns the last id of the partition.
    fn partition(&mut self, partition: &Arc<Partition>, last_id: i64) -> Result<i64, StoreError> {
        for line in partition.with_reader(integrity)? {
            self.problem(format!("SQLite: {line}"));
        }
        let found = partition.with_reader(schema::tables)?;
        let expected = partition.with_reader(schema::expected)?;
        for name in expected.symmetric_difference(&found) {
            self.problem(format!(
                "the table or index is not as this server makes it: {name}"
            ));
        }
        let loaded = partition.load()?;
        if loaded.progress.first_batch <= last_id {
            self.problem(format!(
                "it begins with batch {}, and the partition before it has batches up to {last_id}",
                loaded.progress.first_batch
            ));
        }
        let last = self.blocks(&loaded);
        let last = self.tail(&loaded, last);
        for problem in partition.with_reader(ledger)? {
            self.problem(problem);
        }
        for (sql, what) in [
            (ORPHANS, "columns belong to no block"),
            (
                SET_ASIDE,
                "batches could not be read when they were to be sealed; table set_aside has them",
            ),
        ] {
            let count: i64 = partition.with_reader(|reader| reader.query_row(sql, [], |row| row.get(0)))?;
            if count > 0 {
                self.problem(format!("{count} {what}"));
            }
        }
        Ok(last)
    }

    fn blocks(&mut self, loaded: &Loaded) -> i64 {
        let mut last = loaded.progress.first_batch - 1;
        for block in &loaded.blocks {
            let Summary {
                first_batch,
                last_batch,
                ..
            } = block.summary;
            if first_batch <= last || last_batch > loaded.progress.sealed {
                self.problem(format!(
                    "block {}: batches {first_batch} to {last_batch} overlap what comes before or after",
                    block.id
                ));
            }
            last = last.max(last_batch);
            match block.verify().and_then(|()| block.batches()) {
                Ok(batches) => self.block(block, &batches),
                Err(StoreError::Damaged { why, .. }) => self.problem(why),
                Err(other) => self.problem(other.to_string()),
            }
            self.checked.blocks += 1;
        }
        last.max(loaded.progress.sealed)
    }

    fn block(&mut self, block: &Block, batches: &[StoredBatch]) {
        let known = &block.summary;
        let Some(found) = summary(batches) else {
            self.problem(format!("block {}: it has no records", block.id));
            return;
        };
        if found != *known {
            self.problem(format!(
                "block {}: it has {found:?} where its row says {known:?}",
                block.id
            ));
        }
        let ids: Vec<_> = batches
            .iter()
            .flat_map(|batch| (0..batch.records.len()).map(|index| batch.record_id(index)))
            .collect();
        if !ids.is_sorted_by(|a, b| a < b) {
            self.problem(format!("block {}: the ids of its records do not rise", block.id));
        }
        self.checked.records += u64::from(found.rows);
    }

    fn tail(&mut self, loaded: &Loaded, last: i64) -> i64 {
        let mut last = last;
        for entry in &loaded.tail {
            last = last.max(entry.id);
            match tail::with_batch(entry, |batch| (batch.records.len(), incoming::times(&batch))) {
                Ok(found) => {
                    let known = (entry.records > 0).then_some((entry.earliest, entry.latest));
                    if found != (entry.records, known) {
                        self.problem(format!("batch {}: it is not what its row says", entry.id));
                    }
                    self.checked.records += entry.records as u64;
                }
                Err(StoreError::Damaged { why, .. }) => self.problem(why),
                Err(other) => self.problem(other.to_string()),
            }
        }
        last
    }
}

const ORPHANS: &str = "SELECT count(*) FROM columns
    WHERE id >> 16 NOT IN (SELECT id FROM blocks) AND id >> 16 NOT IN (SELECT block FROM replaced)";
const SET_ASIDE: &str = "SELECT count(*) FROM set_aside";

fn integrity(reader: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = reader.prepare("PRAGMA integrity_check(20)")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let lines: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// What does not fit between `boots` and `sent`.
fn ledger(reader: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut statement = reader.prepare("SELECT id, contiguous, above FROM boots")?;
    let mut boots = HashMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let above: Option<Vec<u8>> = row.get(2)?;
        let above = above.map(|bytes| {
            let (numbers, _) = bytes.as_chunks();
            numbers
                .iter()
                .map(|no| u64::from_le_bytes(*no))
                .collect::<BTreeSet<_>>()
        });
        boots.insert(
            row.get::<_, i64>(0)?,
            (row.get::<_, i64>(1)?.cast_unsigned(), above),
        );
    }
    let mut statement =
        reader.prepare("SELECT boot, first, last, length(hashes) FROM sent ORDER BY boot, first")?;
    let mut rows = statement.query([])?;
    let mut before = None;
    while let Some(row) = rows.next()? {
        let (boot, first, last): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if before.is_some_and(|(other, end)| other == boot && first <= end) {
            problems.push(format!("the ledger has batch {first} of sender {boot} twice"));
        }
        before = Some((boot, last));
        if last < first || row.get::<_, i64>(3)? != (last - first + 1) * 4 {
            problems.push(format!(
                "the ledger's batches {first} to {last} of sender {boot} are not complete"
            ));
        }
        let numbers = first.cast_unsigned()..=last.cast_unsigned();
        let is_known = match boots.get(&boot) {
            None => false,
            Some((_, None)) => true,
            Some((contiguous, Some(above))) => numbers
                .into_iter()
                .all(|no| (1..=*contiguous).contains(&no) || above.contains(&no)),
        };
        if !is_known {
            problems.push(format!(
                "the ledger does not know all of batches {first} to {last} of sender {boot}"
            ));
        }
    }
    Ok(problems)
}

/// What the row of a block with these batches must say.
fn summary(batches: &[StoredBatch]) -> Option<Summary> {
    let mut counts = [0; Level::ALL.len()];
    let mut times: Option<(Timestamp, Timestamp)> = None;
    for record in batches.iter().flat_map(|batch| &batch.records) {
        counts[record.level() as usize] += 1;
        let (earliest, latest) = times.unwrap_or((record.time, record.time));
        times = Some((earliest.min(record.time), latest.max(record.time)));
    }
    let (earliest, latest) = times?;
    Some(Summary {
        first_batch: batches.first()?.id,
        last_batch: batches.last()?.id,
        rows: counts.iter().sum(),
        earliest,
        latest,
        counts,
    })
}
