//! Answers as JSON: a record as every interface shows it, pages, histograms.

use std::time::Duration;

use log_record::Level;
use log_record::value::AsObject;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Asked;
use crate::query::ParseError;
use crate::store::{Bucket, Histogrammed, Page, Partial, StoredRecord};

/// The answer to a search.
#[derive(serde::Serialize)]
pub struct SearchAnswer {
    records: Vec<ShownRecord>,
    next: Option<String>,
    matched: usize,
    #[serde(flatten)]
    account: Account,
}

/// The answer to a histogram.
#[derive(serde::Serialize)]
pub struct HistogramAnswer {
    from: String,
    to: String,
    step_ms: f64,
    buckets: Vec<ShownBucket>,
    total: u64,
    #[serde(flatten)]
    account: Account,
}

/// What every answer says of itself.
#[derive(serde::Serialize)]
pub(super) struct Account {
    /// The query in its canonical form.
    read_as: String,
    /// Whether it was searched as plain text.
    as_text: bool,
    /// Why it was, if not because it was asked for.
    error: Option<ShownError>,
    scanned: u64,
    ms: f64,
    partial: Option<&'static str>,
}

/// A query's error, with its place for JavaScript.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ShownError {
    /// What is wrong.
    pub error: String,
    at: ShownPlace,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A place in the query, in UTF-16 code units.
#[derive(Debug, Clone, serde::Serialize)]
struct ShownPlace {
    start: usize,
    end: usize,
}

impl SearchAnswer {
    /// The records, in the answer's order.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &StoredRecord> {
        self.records.iter().map(|shown| &shown.0)
    }

    /// Whether there are more records than these.
    pub fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Why the query was searched as plain text, if it did not parse.
    pub fn error(&self) -> Option<&ShownError> {
        self.account.error.as_ref()
    }

    pub(super) fn new(page: Page, asked: Asked, took: Duration) -> SearchAnswer {
        SearchAnswer {
            matched: page.records.len(),
            next: page.next.map(|cursor| cursor.to_string()),
            account: Account::new(asked, page.scanned, page.partial, took),
            records: page.records.into_iter().map(ShownRecord).collect(),
        }
    }
}

impl HistogramAnswer {
    pub(super) fn new(counted: &Histogrammed, asked: Asked, took: Duration) -> HistogramAnswer {
        HistogramAnswer {
            from: counted.range.from.to_string(),
            to: counted.range.to.to_string(),
            step_ms: milliseconds(counted.step),
            buckets: counted.buckets.iter().cloned().map(ShownBucket).collect(),
            total: counted.total,
            account: Account::new(asked, counted.scanned, counted.partial, took),
        }
    }
}

impl Account {
    pub(super) fn new(asked: Asked, scanned: u64, partial: Option<Partial>, took: Duration) -> Account {
        Account {
            read_as: asked.query.to_string(),
            as_text: asked.as_text,
            error: asked.error,
            scanned,
            ms: milliseconds(took),
            partial: partial.map(|partial| match partial {
                Partial::Deadline => "the time limit was reached",
                Partial::Cancelled => "it was cancelled",
                Partial::Damaged => "part of what is stored cannot be read: see the server's log",
            }),
        }
    }
}

impl ShownError {
    pub(super) fn new(error: &ParseError, query: &str) -> ShownError {
        let at = error.utf16(query);
        ShownError {
            error: error.what.clone(),
            at: ShownPlace {
                start: at.start,
                end: at.end,
            },
            hint: error.hint.clone(),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Whole microseconds: finer is noise.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A record as JSON. What it does not have is absent.
pub struct ShownRecord(pub StoredRecord);

impl Serialize for ShownRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StoredRecord { id, source, record } = &self.0;
        let mut map = serializer.serialize_map(None)?;
        // A text: JavaScript's numbers end at 2^53.
        map.serialize_entry("id", &id.to_string())?;
        map.serialize_entry("time", &record.time.to_string())?;
        map.serialize_entry("level", record.level().as_str())?;
        map.serialize_entry("service", &source.service)?;
        entry(&mut map, "instance", source.instance.as_ref())?;
        entry(&mut map, "host", source.host.as_ref())?;
        entry(&mut map, "version", source.version.as_ref())?;
        entry(&mut map, "boot", source.boot.as_ref())?;
        entry(
            &mut map,
            "attrs",
            (!source.attrs.is_empty()).then_some(AsObject(&source.attrs)),
        )?;
        entry(&mut map, "seq", record.seq)?;
        entry(
            &mut map,
            "target",
            Some(&record.callsite.target).filter(|target| !target.is_empty()),
        )?;
        entry(&mut map, "file", record.callsite.file.as_ref())?;
        entry(&mut map, "line", record.callsite.line)?;
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

fn entry<M: SerializeMap, T: Serialize>(map: &mut M, name: &str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

struct ShownBucket(Bucket);

impl Serialize for ShownBucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("time", &self.0.start.to_string())?;
        map.serialize_entry("counts", &ShownCounts(&self.0))?;
        map.end()
    }
}

struct ShownCounts<'a>(&'a Bucket);

impl Serialize for ShownCounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = Level::ALL
            .iter()
            .zip(self.0.counts)
            .filter(|(_, count)| *count > 0);
        serializer.collect_map(counts.map(|(level, count)| (level.as_str(), count)))
    }
}
