//! Who sends how much: per service and call-site, with what was lost, and how much is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log_record::{Flag, Level, LogRecord, Timestamp, Value};

use super::answer::{Account, why};
use super::params::StatsParams;
use super::{SearchError, Searcher};
use crate::query::{Filter, Number};
use crate::store::{
    Budget, Direction, Histogram, Parts, Scan, Search, Statistics, Store, StoreError, TimeRange,
};

/// Services and call-sites that are told apart.
const SERVICES: usize = 1_000;
const CALLSITES: usize = 20_000;
/// Call-sites shown of a service: those that take the most room.
const SHOWN: usize = 20;

/// The answer to a request for statistics.
#[derive(serde::Serialize)]
pub struct StatsAnswer {
    from: String,
    to: String,
    services: Vec<ShownService>,
    /// Records lost, all services together.
    lost: u64,
    store: Stored,
    #[serde(flatten)]
    account: Account,
}

#[derive(serde::Serialize)]
struct ShownService {
    service: Arc<str>,
    records: u64,
    /// Bytes of text, about: messages, fields and spans as they were sent.
    bytes: u64,
    rate_per_minute: f64,
    errors: u64,
    last_seen: String,
    lost: u64,
    callsites: Vec<ShownCallSite>,
}

#[derive(serde::Serialize)]
struct ShownCallSite {
    callsite: String,
    records: u64,
    bytes: u64,
}

/// How much is stored, of all times.
#[derive(serde::Serialize)]
struct Stored {
    records: u64,
    /// Bytes on disk.
    bytes: u64,
    oldest: Option<String>,
    newest: Option<String>,
    partitions: usize,
}

#[derive(Default)]
struct Service {
    records: u64,
    bytes: u64,
    errors: u64,
    last_seen: Timestamp,
    lost: i128,
    callsites: HashMap<Place, (u64, u64)>,
}

/// Target, file and line.
type Place = (Arc<str>, Option<Arc<str>>, Option<u32>);

impl Searcher {
    /// Statistics of the records that match, by default of the last hour, and of the store.
    ///
    /// # Errors
    /// As for a search.
    pub async fn stats(&self, params: &StatsParams) -> Result<StatsAnswer, SearchError> {
        let (asked, range) = (params.which.asked()?, params.range()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let (mut services, mut places) = (HashMap::<Arc<str>, Service>::new(), 0);
            let filter = &asked.query.filter;
            let done = store.scan(
                &Scan {
                    filter,
                    range,
                    parts: Parts::All,
                    budget,
                },
                |record, source| {
                    if services.len() < SERVICES || services.contains_key(&source.service) {
                        services
                            .entry(source.service.clone())
                            .or_default()
                            .add(record, &mut places);
                    }
                },
            )?;
            let oldest_seen = store_edge(&store, Direction::Newer, budget)?;
            let minutes = minutes(range, oldest_seen);
            let mut shown: Vec<_> = services
                .into_iter()
                .map(|(name, service)| service.shown(name, minutes))
                .collect();
            shown.sort_unstable_by(|one, other| {
                let by_bytes = other.bytes.cmp(&one.bytes);
                by_bytes.then_with(|| one.service.cmp(&other.service))
            });
            Ok(StatsAnswer {
                from: range.from.to_string(),
                to: range.to.to_string(),
                lost: shown.iter().map(|service| service.lost).sum(),
                services: shown,
                store: stored(&store, oldest_seen, budget)?,
                account: Account::new(asked, done.scanned, done.partial.map(why), started.elapsed()),
            })
        });
        self.told_if_slow("stats", answer.await, |answer| &answer.account)
    }
}

impl Service {
    fn add(&mut self, record: &LogRecord, places: &mut usize) {
        if record.flags.has(Flag::Lost) {
            self.lost += lost(record);
            return;
        }
        let bytes = record.text_bytes() as u64;
        self.records += 1;
        self.bytes += bytes;
        self.errors += u64::from(record.level() == Level::Error);
        self.last_seen = self.last_seen.max(record.time);
        let callsite = &record.callsite;
        let place = (callsite.target.clone(), callsite.file.clone(), callsite.line);
        if let Some((count, sum)) = self.callsites.get_mut(&place) {
            *count += 1;
            *sum += bytes;
        } else if *places < CALLSITES {
            *places += 1;
            self.callsites.insert(place, (1, bytes));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is approximate")]
    fn shown(self, service: Arc<str>, minutes: f64) -> ShownService {
        let callsite = |((target, file, line), (records, bytes)): (Place, (u64, u64))| ShownCallSite {
            callsite: match (file, line) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                (Some(file), None) => file.to_string(),
                (None, _) => target.to_string(),
            },
            records,
            bytes,
        };
        let mut callsites: Vec<_> = self.callsites.into_iter().map(callsite).collect();
        callsites.sort_unstable_by(|one, other| {
            let by_bytes = other.bytes.cmp(&one.bytes);
            by_bytes.then_with(|| one.callsite.cmp(&other.callsite))
        });
        callsites.truncate(SHOWN);
        ShownService {
            service,
            records: self.records,
            bytes: self.bytes,
            rate_per_minute: (self.records as f64 / minutes * 100.0).round() / 100.0,
            errors: self.errors,
            last_seen: self.last_seen.to_string(),
            lost: u64::try_from(self.lost).unwrap_or(0),
            callsites,
        }
    }
}

/// How many records it says are lost; a closed gap takes back what was said of it.
fn lost(record: &LogRecord) -> i128 {
    let field = |name: &str| {
        record
            .fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    let count = match field("count").and_then(Number::of) {
        Some(Number::Int(count)) => count,
        Some(Number::Float(_)) | None => 0,
    };
    match field("reason") {
        Some(Value::Text(reason)) if reason == "gap_closed" => -count,
        _ => count,
    }
}

/// The minutes of the range in which there were records at all; at least a second.
fn minutes(range: TimeRange, oldest: Option<Timestamp>) -> f64 {
    let from = range.from.max(oldest.unwrap_or(range.from));
    let to = range.to.min(Timestamp::now());
    to.since(from).max(Duration::from_secs(1)).as_secs_f64() / 60.0
}

fn stored(store: &Store, oldest: Option<Timestamp>, budget: &Budget) -> Result<Stored, StoreError> {
    let all = store.histogram(&Histogram {
        filter: &Filter::All,
        range: TimeRange::ALL,
        buckets: 1,
        budget,
    })?;
    let Statistics {
        partitions, bytes, ..
    } = store.statistics();
    Ok(Stored {
        records: all.total,
        bytes,
        oldest: oldest.map(|time| time.to_string()),
        newest: store_edge(store, Direction::Older, budget)?.map(|time| time.to_string()),
        partitions,
    })
}

/// The time of the first record in that direction.
fn store_edge(store: &Store, direction: Direction, budget: &Budget) -> Result<Option<Timestamp>, StoreError> {
    let page = store.search(&Search {
        filter: &Filter::All,
        range: TimeRange::ALL,
        after: None,
        direction,
        limit: 1,
        budget,
    })?;
    Ok(page.records.first().map(|record| record.record.time))
}
