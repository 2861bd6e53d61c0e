//! Who sends how much: per service and call-site, with what was lost, and how much is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log_record::{Flag, Level, LogRecord, Timestamp, Value};

use super::answer::{Account, why};
use super::issues::is;
use super::params::StatsParams;
use super::{SearchError, Searcher};
use crate::query::{Field, Filter, Number, Pattern};
use crate::store::{
    Budget, Direction, Histogram, Parts, Scan, Scanned, Search, Statistics, Store, StoreError, TimeRange,
};

/// Services and call-sites that are told apart.
const SERVICES: usize = 1_000;
const CALLSITES: usize = 20_000;
/// Call-sites shown of a service: those that take the most room.
const SHOWN: usize = 20;
/// Records that are read as a whole, about: half a second's work. Of up to so many, every byte is counted.
const SAMPLE: u64 = 100_000;
/// Spans of time among which the sample is chosen, so that it is of all times.
const SLICES: usize = 400;

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
    /// Bytes of text, about: messages, fields and spans as they were sent; of many records, as a sample of them says.
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

/// As many services and places as are told apart.
#[derive(Default)]
struct Services {
    services: HashMap<Arc<str>, Service>,
    places: usize,
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
            // First, because it is quick: after a scan that used up the time, it would be told as nothing at all.
            let oldest_seen = store_edge(&store, Direction::Newer, budget)?;
            let stored = stored(&store, oldest_seen, budget)?;
            let (services, done) = senders(&store, &asked.query.filter, range, budget)?;
            let minutes = minutes(range, oldest_seen);
            let mut shown: Vec<_> = services
                .services
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
                store: stored,
                account: Account::new(asked, done.scanned, done.partial.map(why), started.elapsed()),
            })
        });
        self.told_if_slow("stats", answer.await, |answer| &answer.account)
    }
}

/// Who sends how much. Of many records only a sample is read as a whole, to see how much room each takes.
fn senders(
    store: &Store,
    filter: &Filter,
    range: TimeRange,
    budget: &Budget,
) -> Result<(Services, Scanned), StoreError> {
    let look = |filter: &Filter, range, parts| {
        let scan = Scan {
            filter,
            range,
            parts,
            budget,
        };
        let (threads, done) = store.fold(&scan, Services::default, |services, record, source| {
            services.of(&source.service, |service, places| service.add(record, places));
        })?;
        let mut all = Services::default();
        threads.into_iter().for_each(|thread| all.merge(thread));
        Ok::<_, StoreError>((all, done))
    };
    let counted = store.histogram(&Histogram {
        filter,
        range,
        buckets: SLICES,
        budget,
    })?;
    let stride = counted.total.div_ceil(SAMPLE);
    if stride <= 1 {
        return look(filter, range, Parts::All);
    }
    // Without any of their fields they are counted many times as fast; what was lost stands in fields, of a few.
    let is_lost = is(Field::Flags, Pattern::new(&["lost"]));
    let kept = Filter::and([filter.clone(), Filter::Not(Box::new(is_lost.clone()))]);
    let (mut all, done) = look(&kept, range, Parts::Of(Vec::new()))?;
    all.merge(look(&Filter::and([filter.clone(), is_lost]), range, Parts::All)?.0);
    let mut sample = Services::default();
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    for bucket in counted.buckets.iter().rev().step_by(stride) {
        let slice = TimeRange {
            from: bucket.start.max(range.from),
            to: bucket.start.after(counted.step).min(range.to),
        };
        sample.merge(look(filter, slice, Parts::All)?.0);
    }
    all.weigh(&sample);
    Ok((all, done))
}

impl Services {
    /// Says that everything takes as much room as in the sample: records of a place as much as those of that place, or
    /// else as those of its service, or else as any.
    fn weigh(&mut self, sample: &Services) {
        let whole = sample
            .services
            .values()
            .fold((0, 0), |(records, bytes), service| {
                (records + service.records, bytes + service.bytes)
            });
        let any = mean(whole).unwrap_or(0.0);
        for (name, service) in &mut self.services {
            let known = sample.services.get(name);
            let usual = known.and_then(|known| mean((known.records, known.bytes)));
            let usual = usual.unwrap_or(any);
            service.bytes = times(usual, service.records);
            for (place, (records, bytes)) in &mut service.callsites {
                let own = known.and_then(|known| mean(*known.callsites.get(place)?));
                *bytes = times(own.unwrap_or(usual), *records);
            }
        }
    }

    /// Changes a service and the number of places; nothing where there is no room for another service.
    fn of(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Service, &mut usize)) {
        if let Some(service) = self.services.get_mut(name) {
            change(service, &mut self.places);
        } else if self.services.len() < SERVICES {
            change(self.services.entry(name.clone()).or_default(), &mut self.places);
        }
    }

    /// Adds what another thread has seen.
    fn merge(&mut self, other: Services) {
        for (name, theirs) in other.services {
            self.of(&name, |ours, places| ours.merge(theirs, places));
        }
    }
}

impl Service {
    fn merge(&mut self, other: Service, places: &mut usize) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.last_seen = self.last_seen.max(other.last_seen);
        self.lost += other.lost;
        for (place, (records, bytes)) in other.callsites {
            self.wrote(place, records, bytes, places);
        }
    }

    fn wrote(&mut self, place: Place, records: u64, bytes: u64, places: &mut usize) {
        if let Some((count, sum)) = self.callsites.get_mut(&place) {
            *count += records;
            *sum += bytes;
        } else if *places < CALLSITES {
            *places += 1;
            self.callsites.insert(place, (records, bytes));
        }
    }

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
        self.wrote(place, 1, bytes, places);
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

/// Bytes of a record, of so many records and bytes.
#[expect(clippy::cast_precision_loss, reason = "a mean is approximate")]
fn mean((records, bytes): (u64, u64)) -> Option<f64> {
    (records > 0).then(|| bytes as f64 / records as f64)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what many records take is approximate, and neither negative nor beyond what a disk holds"
)]
fn times(bytes: f64, records: u64) -> u64 {
    (bytes * records as f64).round() as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    fn services(told: &[(&str, u32, u64, u64)]) -> Services {
        let mut services = Services::default();
        for (name, line, records, bytes) in told {
            services.of(&Arc::from(*name), |service, places| {
                service.records += records;
                service.bytes += bytes;
                service.wrote((Arc::from("a"), None, Some(*line)), *records, *bytes, places);
            });
        }
        services
    }

    #[track_caller]
    fn check(service: &Service, bytes: u64, places: &[(u32, u64)]) {
        let mut found: Vec<_> = service
            .callsites
            .iter()
            .map(|((.., line), (_, bytes))| (line.unwrap(), *bytes))
            .collect();
        found.sort_unstable();
        assert_eq!((service.bytes, &*found), (bytes, places));
    }

    #[test]
    fn what_was_not_in_the_sample_takes_as_much_as_what_is_most_like_it() {
        let mut all = services(&[("shop", 1, 1_000, 0), ("shop", 2, 500, 0), ("new", 1, 10, 0)]);
        all.weigh(&services(&[("shop", 1, 10, 400), ("other", 1, 10, 600)]));
        check(&all.services["shop"], 60_000, &[(1, 40_000), (2, 20_000)]);
        check(&all.services["new"], 500, &[(1, 500)]);
        assert_eq!(all.services.len(), 2);
        all.weigh(&Services::default());
        check(&all.services["new"], 0, &[(1, 0)]);
    }
}
