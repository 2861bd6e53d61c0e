//! The store against a list in memory: whatever was appended is found, in order, once, also after reopening.

mod files;
mod room;
mod formats;
mod kept;
mod retention;
mod damage;
mod crashes;

use std::time::{Duration, Instant};

use log_record::{Level, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::query;

const ARRIVED: Timestamp = Timestamp::from_nanos(1_790_000_000_000_000_000);

fn incoming(text: &str) -> Incoming {
    let arrived = Timestamp::now();
    Incoming::read(text, arrived).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn batch(boot: &str, no: u64, records: &str) -> Incoming {
    incoming(&format!(
        r#"{{"source":{{"service":"s","boot":"{boot}"}},"no":{no},"records":[{records}]}}"#
    ))
}

async fn stored(store: &Store, incoming: Incoming) -> Appended {
    store.append(incoming).await.unwrap()
}

fn budget() -> Budget {
    Budget::until(Instant::now() + Duration::from_secs(60))
}

fn page(store: &Store, q: &str, range: TimeRange, after: Option<Cursor>, limit: usize) -> Page {
    let filter = query::parse(q).unwrap().filter;
    store
        .search(&Search {
            filter: &filter,
            range,
            after,
            direction: Direction::Older,
            limit,
            budget: &budget(),
        })
        .unwrap()
}

fn messages(store: &Store, q: &str) -> Vec<String> {
    page(store, q, TimeRange::ALL, None, 1_000)
        .records
        .into_iter()
        .map(|found| found.record.message.into_owned())
        .collect()
}

#[tokio::test]
async fn a_batch_is_found_once_however_often_it_comes() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    let one = r#"{"message":"one"},{"message":"two"}"#;
    assert_eq!(stored(&store, batch("b", 1, one)).await, Appended::Stored);
    assert_eq!(stored(&store, batch("b", 1, one)).await, Appended::Duplicate);
    assert_eq!(stored(&store, batch("other", 1, one)).await, Appended::Stored);
    assert_eq!(messages(&store, "one").len(), 2);
    store.close();
    let store = Store::open(data.path()).unwrap();
    assert_eq!(stored(&store, batch("b", 1, one)).await, Appended::Duplicate);
    assert_eq!(messages(&store, ""), ["two", "one", "two", "one"]);
}

#[tokio::test]
async fn a_number_given_to_other_content_is_refused_and_nothing_is_touched() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    stored(&store, batch("b", 1, r#"{"message":"first"}"#)).await;
    let reused = store.append(batch("b", 1, r#"{"message":"second"}"#)).await;
    assert!(
        matches!(reused, Err(StoreError::Reused { no: 1, .. })),
        "{reused:?}"
    );
    assert_eq!(messages(&store, ""), ["first"]);
}

#[tokio::test]
async fn repeats_that_wait_together_are_stored_once() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    let repeats = (0..40).map(|_| store.append(batch("b", 7, r#"{"message":"m"}"#)));
    let outcomes = futures_util::future::join_all(repeats).await;
    let stored = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(Appended::Stored)))
        .count();
    assert_eq!((stored, messages(&store, "").len()), (1, 1));
}

#[tokio::test]
async fn a_batch_without_records_is_remembered_and_finds_nothing() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    assert_eq!(stored(&store, batch("b", 1, "")).await, Appended::Stored);
    store.close();
    let store = Store::open(data.path()).unwrap();
    assert_eq!(stored(&store, batch("b", 1, "")).await, Appended::Duplicate);
    assert!(messages(&store, "").is_empty());
}

/// A record of the oracle: its time, its place in the order of arrival, its message, its level.
type Known = (Timestamp, usize, String, &'static str);

/// Appends random batches with equal and out-of-order times; returns what was appended, newest first.
async fn fill(store: &Store, random: &mut fastrand::Rng, batches: usize) -> Vec<Known> {
    let mut known = Vec::new();
    for no in 1..=batches {
        let records: Vec<String> = (0..random.usize(0..30))
            .map(|_| {
                let time = Timestamp::from_nanos(ARRIVED.as_nanos() + random.i64(0..50) * 1_000_000_000);
                let level = ["debug", "info", "error"][random.usize(0..3)];
                let word = ["apple", "Apfel", "苹果"][random.usize(0..3)];
                let message = format!("{word} {}", known.len());
                known.push((time, known.len(), message.clone(), level));
                format!(
                    r#"{{"ts":{},"level":"{level}","message":"{message}"}}"#,
                    time.as_nanos()
                )
            })
            .collect();
        stored(store, batch("b", no as u64, &records.join(","))).await;
    }
    known.sort_by_key(|(time, place, ..)| std::cmp::Reverse((*time, *place)));
    known
}

#[tokio::test]
async fn pages_are_exact_over_equal_times_and_late_arrivals_also_after_reopening() {
    for seed in 0..20 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let data = TempDir::new().unwrap();
        let mut store = Store::open(data.path()).unwrap();
        let known = fill(&store, random, 12).await;
        if seed % 2 == 1 {
            store.close();
            store = Store::open(data.path()).unwrap();
        }
        for (q, matches) in [
            ("", (|_| true) as fn(&Known) -> bool),
            ("apple", |(_, _, message, _)| message.contains("apple")),
            ("level:error -苹果", |(_, _, message, level)| {
                *level == "error" && !message.contains("苹果")
            }),
        ] {
            let at = |second: i64| Timestamp::from_nanos(ARRIVED.as_nanos() + second * 1_000_000_000);
            let range = if random.bool() {
                TimeRange::ALL
            } else {
                TimeRange {
                    from: at(10),
                    to: at(40),
                }
            };
            let expected: Vec<&str> = known
                .iter()
                .filter(|one| matches(one) && range.holds(one.0))
                .map(|one| &*one.2)
                .collect();
            let limit = random.usize(1..20);
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = page(&store, q, range, after, limit);
                assert!(page.records.len() <= limit);
                found.extend(page.records.into_iter().map(|found| found.record.message));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "seed {seed}, {q:?}, {range:?}, limit {limit}");
            check_histogram(&store, q, range, &known, matches);
        }
    }
}

fn check_histogram(store: &Store, q: &str, range: TimeRange, known: &[Known], matches: fn(&Known) -> bool) {
    let filter = query::parse(q).unwrap().filter;
    let counted = store
        .histogram(&Histogram {
            filter: &filter,
            range,
            buckets: 7,
            budget: &budget(),
        })
        .unwrap();
    let expected: Vec<&Known> = known
        .iter()
        .filter(|one| matches(one) && range.holds(one.0))
        .collect();
    assert_eq!(counted.total, expected.len() as u64, "{q:?}");
    for bucket in &counted.buckets {
        for level in log_record::Level::ALL {
            let within = |time: Timestamp| bucket.start <= time && time < bucket.start.after(counted.step);
            let count = expected
                .iter()
                .filter(|one| one.3 == level.as_str() && within(one.0))
                .count();
            assert_eq!(
                bucket.counts[level as usize], count as u64,
                "{q:?} {level} at {}",
                bucket.start
            );
        }
    }
}

#[tokio::test]
async fn who_follows_sees_every_record_once_in_order_of_arrival() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    let mut newest = store.newest();
    let (mut after, mut seen) = (*newest.borrow(), Vec::new());
    for no in 1..=9 {
        stored(
            &store,
            batch(
                "b",
                no,
                &format!(r#"{{"message":"{no}a"}},{{"message":"{no}b"}}"#),
            ),
        )
        .await;
        if no % 3 != 0 {
            continue;
        }
        newest.changed().await.unwrap();
        let (batches, skipped) = store.since(after, 100).unwrap();
        assert!(!skipped);
        seen.extend(
            batches
                .iter()
                .flat_map(|batch| batch.records.iter().map(|record| record.message.clone())),
        );
        after = *newest.borrow();
    }
    let expected: Vec<String> = (1..=9)
        .flat_map(|no| [format!("{no}a"), format!("{no}b")])
        .collect();
    assert_eq!(seen, expected);
    let (batches, skipped) = store.since(RecordId::default(), 2).unwrap();
    assert_eq!((batches.len(), skipped), (2, true));
}

#[tokio::test]
async fn a_search_that_runs_out_of_time_goes_on_where_it_stopped() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    let known = fill(&store, &mut fastrand::Rng::with_seed(7), 12).await;
    let spent = Budget::until(Instant::now());
    let filter = query::parse("").unwrap().filter;
    let (mut found, mut after, mut partial) = (Vec::new(), None, 0);
    for _ in 0..1_000 {
        let search = Search {
            filter: &filter,
            range: TimeRange::ALL,
            after,
            direction: Direction::Older,
            limit: 5,
            budget: &spent,
        };
        let page = store.search(&search).unwrap();
        partial += usize::from(page.partial.is_some());
        found.extend(page.records.into_iter().map(|found| found.record.message));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(partial > 0);
    assert_eq!(found, known.into_iter().map(|one| one.2).collect::<Vec<_>>());
}

#[tokio::test]
async fn going_forward_finds_the_same_records_the_other_way_round() {
    for seed in 0..10 {
        let data = TempDir::new().unwrap();
        let store = Store::open(data.path()).unwrap();
        let mut known = fill(&store, &mut fastrand::Rng::with_seed(seed), 12).await;
        known.reverse();
        let filter = query::parse("").unwrap().filter;
        // Also without any time at all: every page then stops where it must.
        for deadline in [Duration::from_secs(60), Duration::ZERO] {
            let budget = Budget::until(Instant::now() + deadline);
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let (direction, limit) = (Direction::Newer, 7);
                let search = Search {
                    filter: &filter,
                    range: TimeRange::ALL,
                    after,
                    direction,
                    limit,
                    budget: &budget,
                };
                let page = store.search(&search).unwrap();
                found.extend(page.records.into_iter().map(|found| found.record.message));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(
                found,
                known.iter().map(|one| &*one.2).collect::<Vec<_>>(),
                "seed {seed}"
            );
        }
    }
}

#[tokio::test]
async fn a_record_is_found_by_its_id_and_no_other_is() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    fill(&store, &mut fastrand::Rng::with_seed(3), 8).await;
    for found in page(&store, "", TimeRange::ALL, None, 1_000).records {
        let again = store.record(found.id).unwrap().expect("it is there");
        assert_eq!((again.id, again.record), (found.id, found.record));
    }
    for missing in [
        RecordId::default(),
        RecordId::new(3, 5_000),
        RecordId::new(1_000, 0),
        RecordId::MAX,
    ] {
        assert!(store.record(missing).unwrap().is_none(), "{missing}");
    }
}

#[test]
fn a_directory_in_use_is_refused_and_free_again_afterwards() {
    let data = TempDir::new().unwrap();
    let store = Store::open(data.path()).unwrap();
    assert!(matches!(Store::open(data.path()), Err(StoreError::InUse(_))));
    store.close();
    Store::open(data.path()).unwrap();
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let refused = |content: &dyn Fn(&std::path::Path), expected: &str| {
        let data = TempDir::new().unwrap();
        std::fs::create_dir(data.path().join("logs")).unwrap();
        let path = data.path().join("logs/2026.db");
        content(&path);
        let before = std::fs::read(&path).unwrap();
        let error = Store::open(data.path())
            .err()
            .expect("it is not ours")
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    refused(
        &|path| std::fs::write(path, "not a database, only some text that is long enough").unwrap(),
        "not a database",
    );
    refused(
        &|path| {
            rusqlite::Connection::open(path)
                .unwrap()
                .execute_batch("CREATE TABLE t (x)")
                .unwrap()
        },
        "not written by log-server",
    );
    refused(
        &|path| {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection
                .execute_batch("CREATE TABLE t (x); PRAGMA application_id=1282369363; PRAGMA user_version=99")
                .unwrap();
        },
        "newer log-server",
    );
}
