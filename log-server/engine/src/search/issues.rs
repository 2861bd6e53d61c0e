//! Errors that belong together: those of one place in a program, or, where senders do not tell the place, those whose
//! messages have the same [`Fingerprint`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use log_record::{CallSite, Level, LogRecord, Source, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Account, why};
use super::fingerprint::{Fingerprint, first_line};
use super::novelty::Novelty;
use super::params::{IssueOrder, IssuesParams};
use super::{SearchError, Searcher};
use crate::query::{Field, Filter, Pattern, Test};
use crate::store::{Direction, Parts, Scan, Search, Store, StoreError, TimeRange};

/// Issues that are told apart; a program with more has another problem.
const ISSUES: usize = 2_000;
/// Services of an issue, and versions of a service, that are told apart.
const SERVICES: usize = 50;
const VERSIONS: usize = 100;
/// Points of a sparkline.
const POINTS: usize = 24;
/// Characters of a title.
const TITLE: usize = 200;

/// The issues among the records that match, in the order asked for.
#[derive(serde::Serialize)]
pub struct IssuesAnswer {
    issues: Vec<Issue>,
    /// How many there are; at least, if `capped`.
    total: usize,
    capped: bool,
    #[serde(flatten)]
    account: Account,
}

/// Records that belong together.
#[derive(serde::Serialize)]
struct Issue {
    /// The same as long as the place or the wording stays.
    id: String,
    /// What the newest of them says.
    title: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callsite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    target: Arc<str>,
    count: u64,
    first_seen: String,
    last_seen: String,
    services: Vec<ShownService>,
    /// Services that had an earlier version, but not this issue in it.
    new_since: Vec<NewSince>,
    /// How many over time, in equal steps from the first to the last moment of the answer.
    sparkline: Vec<u64>,
    /// The newest of them.
    sample: Option<String>,
    /// The query that finds them.
    query: String,
}

#[derive(serde::Serialize)]
struct ShownService {
    service: Arc<str>,
    versions: Vec<ShownVersion>,
}

#[derive(serde::Serialize)]
struct NewSince {
    service: Arc<str>,
    version: Arc<str>,
}

#[derive(serde::Serialize)]
struct ShownVersion {
    /// Empty where the service does not say.
    version: Arc<str>,
    first_seen: String,
    last_seen: String,
    count: u64,
}

/// What makes records one issue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Place {
        target: Arc<str>,
        file: Arc<str>,
        line: Option<u32>,
    },
    Wording {
        target: Arc<str>,
        fingerprint: Fingerprint,
    },
}

struct Group {
    title: String,
    level: Level,
    seen: Seen,
    services: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Seen>>,
    moments: Moments,
}

/// How often, and from when to when.
#[derive(Clone, Copy)]
struct Seen {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Searcher {
    /// The issues among the records that match: errors, unless the query itself asks for levels.
    ///
    /// # Errors
    /// As for a search.
    pub async fn issues(&self, params: &IssuesParams) -> Result<IssuesAnswer, SearchError> {
        let (mut asked, range) = (params.which.asked()?, params.which.range()?);
        let (limit, order) = (params.limit()?, params.order()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            if !names_level(&asked.query.filter) {
                let errors = Filter::Level {
                    from: Level::Error,
                    to: Level::Error,
                };
                asked.query.filter = Filter::and([errors, asked.query.filter]);
            }
            let filter = &asked.query.filter;
            let (mut groups, mut capped) = (HashMap::<Key, Group>::new(), false);
            let done = store.scan(
                &Scan {
                    filter,
                    range,
                    parts: Parts::Of(vec![Field::Message]),
                    budget,
                },
                |record, source| {
                    let key = Key::of(record);
                    if let Some(group) = groups.get_mut(&key) {
                        group.add(record, source);
                    } else if groups.len() < ISSUES {
                        groups.insert(key, Group::of(record, source));
                    } else {
                        capped = true;
                    }
                },
            )?;
            let total = groups.len();
            let mut groups: Vec<_> = groups.into_iter().collect();
            groups.sort_unstable_by_key(|(key, group)| (Reverse(group.seen.rank(order)), key.id()));
            groups.truncate(limit);
            let span = span(range, &groups);
            let mut novelty = Novelty::new(&store, budget);
            let shown = groups
                .iter()
                .map(|(key, group)| shown(&store, filter, key, group, span, &mut novelty));
            Ok(IssuesAnswer {
                issues: shown.collect::<Result<_, _>>()?,
                total,
                capped,
                account: Account::new(asked, done.scanned, done.partial.map(why), started.elapsed()),
            })
        });
        self.told_if_slow("issues", answer.await, |answer| &answer.account)
    }
}

fn shown(
    store: &Store,
    filter: &Filter,
    key: &Key,
    group: &Group,
    span: (Timestamp, Timestamp),
    novelty: &mut Novelty<'_>,
) -> Result<Issue, StoreError> {
    let found = Filter::and([filter.clone(), key.filter()]);
    // The newest one's moment is known, so hardly anything has to be looked at.
    let newest = store.search(&Search {
        filter: &found,
        range: TimeRange {
            from: group.seen.last,
            to: group.seen.last.after(std::time::Duration::from_nanos(1)),
        },
        after: None,
        direction: Direction::Older,
        limit: 1,
        budget: novelty.budget(),
    })?;
    let sample = newest.records.first();
    let (callsite, fingerprint) = match key {
        Key::Place { file, line, .. } => (Some(place(file, *line)), None),
        Key::Wording { fingerprint, .. } => (None, Some(fingerprint.text())),
    };
    let mut new_since = Vec::new();
    for (service, versions) in &group.services {
        let first = versions.iter().min_by_key(|(_, seen)| seen.first);
        let Some((version, seen)) = first.filter(|(version, _)| !version.is_empty()) else {
            continue;
        };
        if novelty.is_new(&key.filter(), service, version, seen.first)? {
            new_since.push(NewSince {
                service: service.clone(),
                version: version.clone(),
            });
        }
    }
    let services = group.services.iter().map(|(service, versions)| ShownService {
        service: service.clone(),
        versions: versions
            .iter()
            .map(|(version, seen)| ShownVersion {
                version: version.clone(),
                first_seen: seen.first.to_string(),
                last_seen: seen.last.to_string(),
                count: seen.count,
            })
            .collect(),
    });
    Ok(Issue {
        id: key.id(),
        // The sample's, for of several newest records any may have been looked at first.
        title: sample.map_or_else(|| group.title.clone(), |sample| title(&sample.record.message)),
        level: group.level.as_str(),
        callsite,
        fingerprint,
        target: key.target().clone(),
        count: group.seen.count,
        first_seen: group.seen.first.to_string(),
        last_seen: group.seen.last.to_string(),
        services: services.collect(),
        new_since,
        sparkline: group.moments.line(span),
        sample: sample.map(|sample| sample.id.to_string()),
        query: found.to_string(),
    })
}

/// Whether the query says itself which levels it is about.
fn names_level(filter: &Filter) -> bool {
    match filter {
        Filter::Level { .. } => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(names_level),
        Filter::Not(inner) => names_level(inner),
        Filter::All | Filter::Text(_) | Filter::Field { .. } => false,
    }
}

/// The time that sparklines cover: what was asked for, and at its open ends what was found.
fn span(range: TimeRange, groups: &[(Key, Group)]) -> (Timestamp, Timestamp) {
    let first = groups
        .iter()
        .map(|(_, group)| group.seen.first)
        .min()
        .unwrap_or_default();
    let last = groups
        .iter()
        .map(|(_, group)| group.seen.last)
        .max()
        .unwrap_or_default();
    let from = if range.from == Timestamp::MIN {
        first
    } else {
        range.from
    };
    let to = if range.to == Timestamp::MAX {
        last
    } else {
        range.to
    };
    (from, to.max(from))
}

impl Key {
    fn of(record: &LogRecord) -> Key {
        let CallSite {
            target, file, line, ..
        } = &*record.callsite;
        match file {
            Some(file) => Key::Place {
                target: target.clone(),
                file: file.clone(),
                line: *line,
            },
            None => Key::Wording {
                target: target.clone(),
                fingerprint: Fingerprint::of(&record.message),
            },
        }
    }

    fn target(&self) -> &Arc<str> {
        match self {
            Key::Place { target, .. } | Key::Wording { target, .. } => target,
        }
    }

    fn id(&self) -> String {
        let text = match self {
            Key::Place { target, file, line } => format!("{target}\0{}", place(file, *line)),
            Key::Wording { target, fingerprint } => format!("{target}\0\0{}", fingerprint.text()),
        };
        format!("{:016x}", xxh3_64(text.as_bytes()))
    }

    fn filter(&self) -> Filter {
        let target = Some(self.target())
            .filter(|target| !target.is_empty())
            .map(|target| is(Field::Target, Pattern::new(&[target])));
        let own = match self {
            Key::Place { file, line, .. } => Some(is(Field::CallSite, Pattern::new(&[place(file, *line)]))),
            Key::Wording { fingerprint, .. } => Some(fingerprint.pattern())
                .filter(|pattern| !pattern.is_any())
                .map(|pattern| is(Field::Message, pattern)),
        };
        Filter::and(own.into_iter().chain(target))
    }
}

/// What a field equals.
pub(super) fn is(field: Field, pattern: Pattern) -> Filter {
    Filter::Field {
        field,
        test: Test::Is(pattern),
    }
}

fn title(message: &str) -> String {
    first_line(message).chars().take(TITLE).collect()
}

fn place(file: &str, line: Option<u32>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

impl Group {
    fn of(record: &LogRecord, source: &Source) -> Group {
        let mut group = Group {
            title: String::new(),
            level: record.level(),
            seen: Seen::never(),
            services: BTreeMap::new(),
            moments: Moments::default(),
        };
        group.add(record, source);
        group
    }

    fn add(&mut self, record: &LogRecord, source: &Source) {
        if self.seen.count == 0 || record.time > self.seen.last {
            self.title = title(&record.message);
        }
        self.level = self.level.max(record.level());
        self.seen.add(record.time);
        self.moments.add(record.time);
        if self.services.len() >= SERVICES && !self.services.contains_key(&source.service) {
            return;
        }
        let versions = self.services.entry(source.service.clone()).or_default();
        let version = source.version.clone().unwrap_or_default();
        if versions.len() < VERSIONS || versions.contains_key(&version) {
            versions
                .entry(version)
                .or_insert_with(Seen::never)
                .add(record.time);
        }
    }
}

impl Seen {
    fn never() -> Seen {
        Seen {
            count: 0,
            first: Timestamp::MAX,
            last: Timestamp::MIN,
        }
    }

    /// The higher, the nearer to the top.
    fn rank(&self, order: IssueOrder) -> (u64, Timestamp) {
        match order {
            IssueOrder::MostFrequent => (self.count, self.last),
            IssueOrder::LastBegun => (0, self.first),
            IssueOrder::LastSeen => (0, self.last),
        }
    }

    fn add(&mut self, time: Timestamp) {
        self.count += 1;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

/// Counts over time, in steps that become wider the longer the time: memory is bounded, and the shape remains.
struct Moments {
    step: i64,
    counts: BTreeMap<i64, u64>,
}

/// Steps kept: many times the points of a sparkline.
const STEPS: usize = 512;

impl Default for Moments {
    fn default() -> Moments {
        Moments {
            step: 1_000_000_000,
            counts: BTreeMap::new(),
        }
    }
}

impl Moments {
    fn add(&mut self, time: Timestamp) {
        *self
            .counts
            .entry(time.as_nanos().div_euclid(self.step))
            .or_default() += 1;
        while self.counts.len() > STEPS {
            self.step = self.step.saturating_mul(2);
            for (place, count) in std::mem::take(&mut self.counts) {
                *self.counts.entry(place.div_euclid(2)).or_default() += count;
            }
        }
    }

    fn line(&self, (from, to): (Timestamp, Timestamp)) -> Vec<u64> {
        let mut line = vec![0; POINTS];
        let width = (i128::from(to.as_nanos()) - i128::from(from.as_nanos()) + 1).max(1);
        for (place, count) in &self.counts {
            // The middle of a step stands for all of it.
            let middle = i128::from(*place) * i128::from(self.step) + i128::from(self.step / 2);
            let point = (middle - i128::from(from.as_nanos())) * POINTS as i128 / width;
            line[usize::try_from(point).unwrap_or(0).min(POINTS - 1)] += count;
        }
        line
    }
}
