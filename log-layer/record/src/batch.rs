//! A batch: what one sender ships at a time. Sealed once; a resend is the same bytes with the same number.
//!
//! The format is `v: 1`; unknown keys are kept out but never refused, so that newer senders can say more.

use std::collections::HashMap;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::callsite::CallSite;
use crate::level::Level;
use crate::record::BorrowedRecord;
use crate::source::Source;
use crate::timestamp::Timestamp;
use crate::value::AsObject;
use crate::{limits, reader};

/// The version of the format this crate reads and writes.
pub const VERSION: u64 = 1;

/// A batch that stands by itself.
pub type Batch = BorrowedBatch<'static>;

/// Records of one process, in the order it accepted them. Their texts may stand in the JSON that they were read from.
#[derive(Debug, Clone, PartialEq)]
pub struct BorrowedBatch<'a> {
    /// Who sent it.
    pub source: Arc<Source>,
    /// Number within the sender's run, from 1. With [`Source::boot`] it identifies the batch.
    pub no: Option<u64>,
    /// When it was sealed, by the sender's clock.
    pub sent: Option<Timestamp>,
    /// What the sender refused to take since its last batch.
    pub dropped: Vec<Dropped>,
    /// The records that could be read.
    pub records: Vec<BorrowedRecord<'a>>,
    /// The records that could not.
    pub rejected: Vec<Rejected>,
}

/// Records that a sender refused to take: counted, not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// Their severity.
    pub level: Level,
    /// Why, in the sender's word: `full`, `oversize`, `after_shutdown` …
    pub reason: String,
    /// How many.
    pub count: u64,
    /// When the first was refused.
    pub from: Timestamp,
    /// When the last was refused.
    pub to: Timestamp,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Rejected {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What is wrong with it, for the sender.
    pub why: String,
}

/// Why a batch as a whole was refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// It is not JSON of the right shape; the text names the place.
    #[error("the batch could not be read: {0}")]
    Malformed(String),
    /// It was written for another version.
    #[error("batch version {found} is not supported; this server reads version 1")]
    Version {
        /// What it said.
        found: String,
    },
    /// It has too many records; the sender should split it.
    #[error("the batch has {records} records, the limit is {}", limits::BATCH_RECORDS)]
    TooManyRecords {
        /// How many it has.
        records: usize,
    },
    /// It is too large even with over-long records cut; the sender should split it.
    #[error("the batch has {bytes} bytes, the limit is {}", limits::BATCH_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Batch {
    /// Reads a batch that outlives its text; else as [`BorrowedBatch::read`].
    ///
    /// # Errors
    /// As that says.
    pub fn parse(json: &str, arrived: Timestamp) -> Result<Batch, BatchError> {
        let batch = reader::read(json, arrived)?;
        let records = batch.records.into_iter().map(BorrowedRecord::into_owned);
        Ok(Batch {
            records: records.collect(),
            source: batch.source,
            no: batch.no,
            sent: batch.sent,
            dropped: batch.dropped,
            rejected: batch.rejected,
        })
    }
}

impl<'a> BorrowedBatch<'a> {
    /// Reads a batch. `arrived` is the time of records that bring none.
    ///
    /// # Errors
    /// [`BatchError`] when nothing of the batch can be used; a single bad record is listed in
    /// [`BorrowedBatch::rejected`].
    pub fn read(json: &'a str, arrived: Timestamp) -> Result<BorrowedBatch<'a>, BatchError> {
        reader::read(json, arrived)
    }

    /// Writes the batch in the full form. [`BorrowedBatch::rejected`] is not part of it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a batch serialises without I/O or failing keys")
    }
}

impl Serialize for BorrowedBatch<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers: HashMap<&CallSite, usize> = HashMap::new();
        let mut callsites: Vec<&CallSite> = Vec::new();
        for record in &self.records {
            numbers.entry(&record.callsite).or_insert_with(|| {
                callsites.push(&record.callsite);
                callsites.len() - 1
            });
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &VERSION)?;
        map.serialize_entry("source", &Shown(&*self.source))?;
        entry(&mut map, "no", self.no.as_ref())?;
        entry(&mut map, "sent", self.sent.as_ref())?;
        if !self.dropped.is_empty() {
            map.serialize_entry("dropped", &self.dropped.iter().map(Shown).collect::<Vec<_>>())?;
        }
        map.serialize_entry(
            "callsites",
            &callsites.iter().copied().map(Shown).collect::<Vec<_>>(),
        )?;
        map.serialize_entry(
            "records",
            &Records {
                records: &self.records,
                numbers: &numbers,
            },
        )?;
        map.end()
    }
}

/// Writes what is there and leaves out what is not.
fn entry<M: SerializeMap, T: Serialize>(map: &mut M, name: &str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

/// A part of a batch in its wire form.
struct Shown<'a, T>(&'a T);

impl Serialize for Shown<'_, Source> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("service", &self.0.service)?;
        entry(&mut map, "instance", self.0.instance.as_ref())?;
        entry(&mut map, "boot", self.0.boot.as_ref())?;
        entry(&mut map, "host", self.0.host.as_ref())?;
        entry(&mut map, "version", self.0.version.as_ref())?;
        entry(
            &mut map,
            "attrs",
            (!self.0.attrs.is_empty()).then_some(AsObject(&self.0.attrs)),
        )?;
        map.end()
    }
}

impl Serialize for Shown<'_, CallSite> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("target", &self.0.target)?;
        entry(&mut map, "file", self.0.file.as_ref())?;
        entry(&mut map, "line", self.0.line.as_ref())?;
        map.serialize_entry("level", self.0.level.as_str())?;
        map.serialize_entry("kind", self.0.kind.as_str())?;
        map.end()
    }
}

impl Serialize for Shown<'_, Dropped> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("level", self.0.level.as_str())?;
        map.serialize_entry("reason", &self.0.reason)?;
        map.serialize_entry("count", &self.0.count)?;
        map.serialize_entry("from", &self.0.from)?;
        map.serialize_entry("to", &self.0.to)?;
        map.end()
    }
}

struct Records<'a> {
    records: &'a [BorrowedRecord<'a>],
    numbers: &'a HashMap<&'a CallSite, usize>,
}

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.records.len()))?;
        for record in self.records {
            list.serialize_element(&Numbered {
                record,
                callsite: self.numbers[&*record.callsite],
            })?;
        }
        list.end()
    }
}

struct Numbered<'a> {
    record: &'a BorrowedRecord<'a>,
    callsite: usize,
}

impl Serialize for Numbered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "seq", record.seq)?;
        // A reader tells a number's unit by its size, and takes small ones for seconds.
        if record.time.as_nanos().unsigned_abs() < 100_000_000_000_000_000 {
            map.serialize_entry("ts", &record.time.to_string())?;
        } else {
            map.serialize_entry("ts", &record.time)?;
        }
        map.serialize_entry("callsite", &self.callsite)?;
        map.serialize_entry("message", &record.message)?;
        entry(
            &mut map,
            "fields",
            (!record.fields.is_empty()).then_some(AsObject(&record.fields)),
        )?;
        entry(
            &mut map,
            "spans",
            (!record.spans.is_empty()).then_some(&record.spans),
        )?;
        entry(&mut map, "trace_id", record.trace_id.as_ref())?;
        entry(&mut map, "span_id", record.span_id.as_ref())?;
        entry(&mut map, "thread", record.thread.as_ref())?;
        if !record.flags.is_empty() {
            map.serialize_entry("flags", &record.flags.names().collect::<Vec<_>>())?;
        }
        map.end()
    }
}
