//! Answers as JSON: a record as every interface shows it, pages, histograms.

use std::time::Duration;

use log_record::Level;
use log_record::value::AsObject;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Asked;
use super::export::{self, ExportFormat};
use super::pipeline::{Made, Outcome, ShownTable};
use crate::query::{ParseError, Step};
use crate::store::{Bucket, Histogrammed, Page, Partial, StoredRecord};

/// The answer to a search.
#[derive(serde::Serialize)]
pub struct SearchAnswer {
    #[serde(flatten)]
    found: Found,
    matched: u64,
    #[serde(skip)]
    sorted: bool,
    #[serde(flatten)]
    account: Account,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Found {
    Records {
        records: Vec<ShownRecord>,
        next: Option<String>,
    },
    Table {
        #[serde(flatten)]
        table: ShownTable,
        /// Rows there are; the answer may have only the first of them.
        total: usize,
        /// Whether there were more groups than are told apart.
        capped: bool,
        /// How many records belong to groups that are missing for that.
        left_out: u64,
    },
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
    /// The records, in the answer's order; none if it is a table.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &StoredRecord> {
        let records = match &self.found {
            Found::Records { records, .. } => &records[..],
            Found::Table { .. } => &[],
        };
        records.iter().map(|shown| &shown.0)
    }

    /// The table, if the query ends in one.
    pub fn table(&self) -> Option<&ShownTable> {
        match &self.found {
            Found::Records { .. } => None,
            Found::Table { table, .. } => Some(table),
        }
    }

    /// How the query was read, if nothing matched it.
    pub fn nothing(&self) -> Option<&str> {
        let nothing = match &self.found {
            Found::Records { records, .. } => records.is_empty(),
            Found::Table { table, .. } => table.rows.is_empty(),
        };
        nothing.then_some(&*self.account.read_as)
    }

    /// Whether there are more records, or rows, than these.
    pub fn has_more(&self) -> bool {
        match &self.found {
            Found::Records { next, .. } => next.is_some(),
            Found::Table { table, total, .. } => *total > table.rows.len(),
        }
    }

    /// Why it is not the whole, if it is not.
    pub fn shortfall(&self) -> Option<String> {
        if let Some(why) = self.account.partial {
            return Some(format!("not everything was looked at: {why}"));
        }
        match &self.found {
            Found::Table { left_out: 1.., .. } => {
                Some("there are more groups than are told apart; rare ones may be missing".to_owned())
            }
            Found::Table { .. } | Found::Records { .. } => None,
        }
    }

    /// Whether a pipeline chose the records' order; otherwise they are the newest first.
    pub fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// All of it, for programs: with a head where the format has one, in the answer's order.
    pub fn in_format(&self, format: ExportFormat) -> String {
        match &self.found {
            Found::Records { records, .. } => {
                export::records(records.iter().map(|shown| &shown.0), format, true)
            }
            Found::Table { table, .. } => export::table(table, format, true),
        }
    }

    /// Why the query was searched as plain text, if it did not parse.
    pub fn error(&self) -> Option<&ShownError> {
        self.account.error.as_ref()
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn new(page: Page, asked: Asked, took: Duration) -> SearchAnswer {
        SearchAnswer {
            matched: page.records.len() as u64,
            sorted: false,
            account: Account::new(asked, page.scanned, page.partial.map(why), took),
            found: Found::Records {
                next: page.next.map(|cursor| cursor.to_string()),
                records: page.records.into_iter().map(ShownRecord).collect(),
            },
        }
    }

    pub(super) fn of_pipeline(outcome: Outcome, asked: Asked, took: Duration) -> SearchAnswer {
        let found = match outcome.made {
            Made::Records(records) => Found::Records {
                records: records.into_iter().map(ShownRecord).collect(),
                next: None,
            },
            Made::Table(made) => Found::Table {
                table: made.table,
                total: made.total,
                capped: made.left_out > 0,
                left_out: made.left_out,
            },
        };
        let is_sort = |step: &Step| matches!(step, Step::Sort(_));
        SearchAnswer {
            found,
            sorted: asked.query.pipeline.steps.iter().any(is_sort),
            matched: outcome.matched,
            account: Account::new(asked, outcome.scanned, outcome.partial, took),
        }
    }
}

impl HistogramAnswer {
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn new(counted: &Histogrammed, asked: Asked, took: Duration) -> HistogramAnswer {
        HistogramAnswer {
            from: counted.range.from.to_string(),
            to: counted.range.to.to_string(),
            step_ms: milliseconds(counted.step),
            buckets: counted.buckets.iter().cloned().map(ShownBucket).collect(),
            total: counted.total,
            account: Account::new(asked, counted.scanned, counted.partial.map(why), took),
        }
    }
}

impl Account {
    pub(super) fn new(asked: Asked, scanned: u64, partial: Option<&'static str>, took: Duration) -> Account {
        Account {
            read_as: asked.query.to_string(),
            as_text: asked.as_text,
            error: asked.error,
            scanned,
            ms: milliseconds(took),
            partial,
        }
    }
}

impl Account {
    /// Tells of a query that took at least `slow`; of what was searched, the reading, for that is what made it slow.
    pub(super) fn tell_if_slow(&self, kind: &'static str, slow: Duration) {
        if self.ms >= milliseconds(slow) {
            let partial = self.partial.unwrap_or("no");
            let query: String = self.read_as.chars().take(500).collect();
            tracing::warn!(
                kind,
                query,
                ms = self.ms,
                scanned = self.scanned,
                partial,
                "a slow query"
            );
        }
    }
}

/// The reason in words.
pub(super) fn why(partial: Partial) -> &'static str {
    match partial {
        Partial::Deadline => "the time limit was reached",
        Partial::Cancelled => "it was cancelled",
        Partial::Damaged => "part of what is stored cannot be read: see the server's log",
    }
}

impl ShownError {
    /// What stands before the place in the query `q`.
    pub fn before<'q>(&self, q: &'q str) -> &'q str {
        let mut units = 0;
        let place = q.char_indices().find(|(_, c)| {
            let is_there = units >= self.at.start;
            units += c.len_utf16();
            is_there
        });
        place.map_or(q, |(at, _)| &q[..at])
    }

    /// What is wrong with the query; its place is told in UTF-16 units, as browsers count.
    pub fn new(error: &ParseError, query: &str) -> ShownError {
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
        ShownBorrowed(&self.0).serialize(serializer)
    }
}

/// A record as JSON.
pub fn record_json(record: &StoredRecord) -> String {
    serde_json::to_string(&ShownBorrowed(record)).expect("a record serialises without I/O")
}

/// The same of a record that somebody else owns.
pub(super) struct ShownBorrowed<'a>(pub(super) &'a StoredRecord);

impl Serialize for ShownBorrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StoredRecord { id, source, record } = self.0;
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
