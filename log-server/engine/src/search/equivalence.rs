//! The same records in three places: waiting to be sealed, in blocks of several files and partly waiting, and in a list
//! that is looked at one by one by an oracle that knows nothing of either. Random queries find the same in all, page by
//! page and bucket by bucket; pipelines, fields, values and issues are the same wherever the records lie.
//!
//! Equal times, late arrivals, other scripts, huge numbers and odd names come with the random records.

use std::time::{Duration, Instant};

use log_record::{Batch, Level, LogRecord, Source, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Searcher;
use crate::query::tests::{oracle, random};
use crate::query::{Aggregate, Filter, Function, Query};
use crate::store::{Incoming, Options, RecordId, Store};

/// Sets of records, and queries of each; together some seconds.
const SETS: u8 = 48;
const QUERIES: usize = 40;
const START: i64 = 1_790_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
/// The seconds that records are from.
const SECONDS: i64 = 40;

struct Set {
    /// Every record by its id, newest first.
    list: Vec<(RecordId, LogRecord, Source)>,
    waiting: Searcher,
    mixed: Searcher,
    _data: [TempDir; 2],
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let record = (random::record(), 0..SECONDS).prop_map(|(record, second)| LogRecord {
        time: Timestamp::from_nanos(START + second * SECOND),
        ..record
    });
    let batch =
        (proptest::collection::vec(record, 1..40), random::source()).prop_map(|(records, source)| Batch {
            source: named(source).into(),
            no: None,
            sent: None,
            dropped: Vec::new(),
            records,
            rejected: Vec::new(),
        });
    proptest::collection::vec(batch, 2..9)
}

/// A batch without a service is refused.
fn named(source: Source) -> Source {
    let service = if source.service.is_empty() {
        "s".into()
    } else {
        source.service
    };
    Source { service, ..source }
}

/// Queries whose answers do not depend on the order in which floats are added.
fn query() -> impl Strategy<Value = Query> {
    let exact = |query: &Query| {
        query.pipeline.table.as_ref().is_none_or(|table| {
            let rounded =
                |aggregate: &Aggregate| matches!(aggregate, Aggregate::Of(Function::Sum | Function::Avg, _));
            !table.aggregates.iter().any(rounded)
        })
    };
    (random::filter(), random::pipeline())
        .prop_map(|(filter, pipeline)| Query { filter, pipeline })
        .prop_filter("sums of floats", exact)
}

async fn append(store: &Store, texts: &[String]) {
    for text in texts {
        let arrived = Timestamp::from_nanos(START);
        let incoming = Incoming::read(text, arrived).unwrap();
        store.append(incoming).await.unwrap();
    }
}

/// What is appended last waits to be sealed; the rest is spread over files.
async fn spread(data: &TempDir, texts: &[String]) -> Store {
    let (sealed, waiting) = texts.split_at(texts.len() * 2 / 3);
    let at_once = Options {
        seal_age: Duration::ZERO,
        partition_bytes: 0,
        ..Options::default()
    };
    let store = Store::open_with(data.path(), at_once).unwrap();
    let (older, newer) = sealed.split_at(sealed.len() / 2);
    for texts in [older, newer] {
        append(&store, texts).await;
        let deadline = Instant::now() + Duration::from_secs(120);
        while store.statistics().unsealed > 0 {
            assert!(Instant::now() < deadline, "{:?}", store.statistics());
            tokio::time::sleep(Duration::from_millis(10)).await; // polling
        }
    }
    store.close();
    let store = Store::open(data.path()).unwrap();
    append(&store, waiting).await;
    store
}

async fn set(batches: Vec<Batch>) -> Set {
    let texts: Vec<String> = batches.iter().map(Batch::to_json).collect();
    let mut list = Vec::new();
    for (id, text) in (1..).zip(&texts) {
        let batch = Batch::parse(text, Timestamp::from_nanos(START)).unwrap();
        assert!(batch.rejected.is_empty(), "{text}");
        let source = Source::clone(&batch.source);
        let records = batch.records.into_iter().enumerate();
        list.extend(records.map(|(place, record)| (RecordId::new(id, place), record, source.clone())));
    }
    list.sort_by_key(|(id, record, _)| std::cmp::Reverse((record.time, *id)));
    let data = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let waiting = Store::open(data[0].path()).unwrap();
    append(&waiting, &texts).await;
    Set {
        list,
        waiting: Searcher::new(waiting),
        mixed: Searcher::new(spread(&data[1], &texts).await),
        _data: data,
    }
}

/// An answer without what differs by the way it was found.
async fn ask(searcher: &Searcher, kind: &str, params: &Value) -> Value {
    macro_rules! answer {
        ($ask:ident) => {{
            let params = serde_json::from_value(params.clone()).unwrap();
            serde_json::to_value(searcher.$ask(&params).await.unwrap()).unwrap()
        }};
    }
    let mut answer = match kind {
        "search" => answer!(search),
        "histogram" => answer!(histogram),
        "fields" => answer!(fields),
        "values" => answer!(values),
        "issues" => answer!(issues),
        other => panic!("{other}"),
    };
    assert_eq!(answer["partial"], Value::Null, "{kind} {params}");
    for way in ["scanned", "ms"] {
        answer.as_object_mut().unwrap().remove(way);
    }
    answer
}

impl Set {
    /// The same wherever the records lie.
    async fn same(&self, kind: &str, params: &Value) -> Value {
        let waiting = ask(&self.waiting, kind, params).await;
        let mixed = ask(&self.mixed, kind, params).await;
        assert_eq!(waiting, mixed, "{kind} {params}");
        mixed
    }

    async fn check_pages(&self, params: &Value, expected: &[&(RecordId, LogRecord, Source)]) {
        let ids: Vec<String> = expected.iter().map(|(id, ..)| id.to_string()).collect();
        for searcher in [&self.waiting, &self.mixed] {
            let (mut params, mut found) = (params.clone(), Vec::new());
            loop {
                let page = ask(searcher, "search", &params).await;
                let records = page["records"].as_array().unwrap();
                assert!(
                    records.len() as u64 <= params["limit"].as_u64().unwrap(),
                    "{params}"
                );
                found.extend(
                    records
                        .iter()
                        .map(|record| record["id"].as_str().unwrap().to_owned()),
                );
                if page["next"].is_null() {
                    break;
                }
                params["cursor"] = page["next"].clone();
            }
            assert_eq!(found, ids, "{params}");
        }
    }

    async fn check_histogram(&self, params: &Value, expected: &[&(RecordId, LogRecord, Source)]) {
        let answer = self.same("histogram", params).await;
        assert_eq!(answer["total"], expected.len(), "{params}");
        let step = answer["step_ms"].as_f64().unwrap() * 1e6;
        for bucket in answer["buckets"].as_array().unwrap() {
            let start: jiff::Timestamp = bucket["time"].as_str().unwrap().parse().unwrap();
            let start = i64::try_from(start.as_nanosecond()).unwrap();
            #[expect(
                clippy::cast_precision_loss,
                reason = "records are on whole seconds, some hours at most from the start"
            )]
            let within =
                |record: &LogRecord| (0.0..step).contains(&((record.time.as_nanos() - start) as f64));
            for level in Level::ALL {
                let of_level = expected.iter().filter(|(_, record, _)| record.level() == level);
                let count = of_level.filter(|(_, record, _)| within(record)).count();
                let told = bucket["counts"][level.as_str()].as_u64().unwrap_or(0);
                assert_eq!(told, count as u64, "{level} at {} of {params}", bucket["time"]);
            }
        }
    }
}

fn matching<'s>(set: &'s Set, filter: &Filter, from: i64, to: i64) -> Vec<&'s (RecordId, LogRecord, Source)> {
    let within = |record: &LogRecord| (from..to).contains(&record.time.as_nanos());
    let found = |(_, record, source): &&(RecordId, LogRecord, Source)| {
        within(record) && oracle::finds(filter, record, source)
    };
    set.list.iter().filter(found).collect()
}

async fn check(seed: u8) -> [usize; 2] {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut pick = fastrand::Rng::with_seed(seed.into());
    let batches = batches().new_tree(&mut runner).unwrap().current();
    let set = set(batches).await;
    let (mut found, mut none) = (0, 0);
    for _ in 0..QUERIES {
        let query = query().new_tree(&mut runner).unwrap().current();
        let field = random::field().new_tree(&mut runner).unwrap().current().name();
        let from = START + pick.i64(-1..SECONDS) * SECOND;
        let to = from + pick.i64(1..2 * SECONDS) * SECOND;
        let q = Query::from(query.filter.clone()).to_string();
        let expected = matching(&set, &query.filter, from, to);
        match expected.len() {
            0 => none += 1,
            _ => found += 1,
        }
        let mut params = json!({"q": q, "as": "query", "from": from, "to": to});
        params["limit"] = pick.u64(1..30).into();
        set.check_pages(&params, &expected).await;
        params["buckets"] = pick.u64(1..30).into();
        set.check_histogram(&params, &expected).await;
        for kind in ["fields", "issues"] {
            set.same(kind, &params).await;
        }
        if !field.is_empty() {
            params["field"] = field.into();
            set.same("values", &params).await;
        }
        params["q"] = query.to_string().into();
        params["limit"] = 1_000.into();
        set.same("search", &params).await;
    }
    [found, none]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_find_the_same_wherever_the_records_lie() {
    let mut totals = [0, 0];
    let seeds: Vec<u8> = (0..SETS).collect();
    for together in seeds.chunks(8) {
        let checks = together.iter().map(|seed| tokio::spawn(check(*seed)));
        for outcome in futures_util::future::join_all(checks).await {
            let [found, none] = outcome.unwrap();
            totals = [totals[0] + found, totals[1] + none];
        }
    }
    assert!(totals.iter().all(|count| *count > 200), "one-sided: {totals:?}");
}
