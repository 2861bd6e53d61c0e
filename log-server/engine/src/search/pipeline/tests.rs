//! Tables against an oracle that keeps every value; sorted records against sorting; wording and shape by example.

use std::collections::{BTreeMap, HashSet};

use log_record::{Batch, LogRecord, Source, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::groups::{Groups, Hasher};
use super::rows::Rows;
use crate::query::tests::{oracle, random};
use crate::query::{Aggregate, Column, Function, Number, Table, parse};
use crate::search::{SearchParams, Searcher};
use crate::store::{Incoming, Store};

/// The values of a column, as the oracle of the filters sees them.
fn texts(column: &Column, record: &LogRecord, source: &Source) -> Vec<String> {
    match column {
        Column::Time => vec![record.time.to_string()],
        Column::Level => vec![record.level().to_string()],
        Column::Field(field) => oracle::values(field, record, source)
            .iter()
            .filter(|value| !matches!(value, log_record::Value::List(_) | log_record::Value::Map(_)))
            .map(oracle::text)
            .collect(),
    }
}

fn numbers(column: &Column, record: &LogRecord, source: &Source) -> Vec<f64> {
    match column {
        #[expect(clippy::cast_precision_loss, reason = "the records of the test are of 1970")]
        Column::Time => vec![record.time.as_nanos() as f64],
        Column::Level => vec![f64::from(record.level() as u8)],
        Column::Field(_) => {
            let texts = texts(column, record, source);
            texts
                .iter()
                .filter_map(|text| Number::parse(text).map(Number::float))
                .collect()
        }
    }
}

/// The group's values, all of them, by aggregate.
type Kept = BTreeMap<Vec<Option<String>>, (u64, Vec<Vec<f64>>, Vec<HashSet<String>>)>;

fn oracle_table(table: &Table, records: &[(LogRecord, Source)]) -> Kept {
    let mut groups = Kept::new();
    for (record, source) in records {
        let mut keys: Vec<Vec<Option<String>>> = vec![Vec::new()];
        for column in &table.by {
            let mut values: Vec<Option<String>> = Vec::new();
            for text in texts(column, record, source) {
                if !values.contains(&Some(text.clone())) {
                    values.push(Some(text));
                }
            }
            if values.is_empty() {
                values.push(None);
            }
            keys = keys
                .iter()
                .flat_map(|key| {
                    values
                        .iter()
                        .map(|value| [key.clone(), vec![value.clone()]].concat())
                })
                .collect();
        }
        for key in keys {
            let width = table.aggregates.len();
            let (count, seen, distinct) = groups
                .entry(key)
                .or_insert_with(|| (0, vec![Vec::new(); width], vec![HashSet::new(); width]));
            *count += 1;
            for (place, aggregate) in table.aggregates.iter().enumerate() {
                if let Some(column) = aggregate.column() {
                    seen[place].extend(numbers(column, record, source));
                    distinct[place].extend(texts(column, record, source));
                }
            }
        }
    }
    groups
}

#[expect(clippy::cast_precision_loss, reason = "the test has few records")]
fn expected(aggregate: &Aggregate, count: u64, values: &[f64], distinct: &HashSet<String>) -> Option<f64> {
    let Aggregate::Of(function, _) = aggregate else {
        return Some(count as f64);
    };
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let sum = sorted.iter().sum::<f64>();
    match function {
        Function::Distinct => Some(distinct.len() as f64),
        _ if sorted.is_empty() => None,
        Function::Sum => Some(sum),
        Function::Avg => Some(sum / sorted.len() as f64),
        Function::Min => sorted.first().copied(),
        Function::Max => sorted.last().copied(),
        Function::Percentile(tenths) => {
            let rank = (sorted.len() * usize::from(*tenths)).div_ceil(1000).max(1);
            Some(sorted[rank - 1])
        }
    }
}

/// What a cell says as a number; moments and levels as what they are sorted by.
fn number(cell: &super::Cell) -> Option<f64> {
    match cell.rank() {
        super::cell::Rank::Number(number, _) => Some(number.float()),
        super::cell::Rank::Text(text) => panic!("{text:?} is no number"),
        super::cell::Rank::Nothing => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn tables_agree_with_the_oracle_whole_and_merged(
        table in random::table(),
        records in proptest::collection::vec((random::record(), random::source()), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let table = Table { every: None, ..table };
        let cut = cut.index(records.len() + 1);
        let groups_of = |records: &[(LogRecord, Source)]| {
            let mut groups = Groups::new(&table, Hasher::default());
            records.iter().for_each(|(record, source)| groups.add(record, source));
            groups
        };
        let mut merged = groups_of(&records[..cut]);
        merged.merge(groups_of(&records[cut..]));
        let mut truth = oracle_table(&table, &records);
        if table.by.is_empty() && truth.is_empty() {
            let width = table.aggregates.len();
            truth.insert(Vec::new(), (0, vec![Vec::new(); width], vec![HashSet::new(); width]));
        }
        for grouped in [groups_of(&records).rows(None), merged.rows(None)] {
            prop_assert_eq!(grouped.rows.len(), truth.len());
            prop_assert_eq!((grouped.matched, grouped.left_out), (records.len() as u64, 0));
            for row in grouped.rows {
                let (key, computed) = row.split_at(table.by.len());
                let key: Vec<_> = key
                    .iter()
                    .map(|cell| Some(cell.text()).filter(|_| *cell != super::Cell::Nothing))
                    .collect();
                let (count, values, distinct) = truth.get(&key).expect("the oracle has the group");
                for (place, aggregate) in table.aggregates.iter().enumerate() {
                    let wanted = expected(aggregate, *count, &values[place], &distinct[place]);
                    let found = number(&computed[place]);
                    let close = match (wanted, found) {
                        (Some(wanted), Some(found)) => (wanted - found).abs() <= wanted.abs() * 1e-9 + 1e-300_f64.max(
                            values[place].iter().map(|value| value.abs()).fold(0.0, f64::max) * 1e-12,
                        ),
                        (wanted, found) => wanted == found,
                    };
                    prop_assert!(close, "{} of {:?}: {:?} instead of {:?}", aggregate, key, found, wanted);
                }
            }
        }
    }
}

#[test]
fn the_most_counted_groups_are_the_same_whether_the_others_are_looked_at_or_not() {
    let table = parse("| count by n").unwrap().pipeline.table.unwrap();
    let counted = || {
        let mut groups = Groups::new(&table, Hasher::default());
        // Each count twice, so that the last of those that are wanted is often one of two.
        (0..40_u64).for_each(|n| groups.add_counted(None, Some(&n.to_string()), n / 2));
        groups.add_counted(None, None, 7);
        groups
    };
    let all = Rows::of(&table, counted().rows(None).rows).rows;
    for most in [0, 1, 2, 5, 26, 40, 41, 50] {
        let found = Rows::of(&table, counted().rows(Some(most)).rows).rows;
        assert!(most == 0 || found.len() <= (most + 2).min(all.len()), "{most}");
        let both = [&found, &all].map(|rows| {
            rows.iter()
                .take(most)
                .map(|row| (row[0].text(), row[1].text()))
                .collect::<Vec<_>>()
        });
        assert_eq!(both[0], both[1], "{most}");
    }
}

/// Three services over three minutes; of `ms`, the numbers 1 to 60.
async fn store(data: &TempDir) -> Store {
    let store = Store::open(data.path()).unwrap();
    let mut records = Vec::new();
    for number in 1..=60 {
        let level = ["info", "warn", "error"][number % 3];
        records.push(json!({"ts": 1_790_000_000_000_000_000_i64 + number as i64 * 3_000_000_000, "level": level,
            "message": format!("request {number}"), "seq": number,
            "fields": {"ms": number, "path": format!("/p{}", number % 4), "tags": ["a", format!("t{}", number % 2)],
                       "release": if number % 2 == 0 { "1.10" } else { "1.9" }, "map": {"k": number}}}));
    }
    let text = json!({"source": {"service": "web"}, "records": records}).to_string();
    let arrived = Timestamp::from_nanos(1_790_000_000_000_000_000);
    let incoming = Incoming::read(&text, arrived).unwrap();
    store.append(incoming).await.unwrap();
    store
}

async fn ask(searcher: &Searcher, q: &str) -> Value {
    parse(q).unwrap_or_else(|error| panic!("{q:?}: {error}"));
    let params = SearchParams::new(q.to_owned(), None, None, 1_000);
    serde_json::to_value(searcher.search(&params).await.unwrap()).unwrap()
}

/// `columns` are names and kinds.
async fn check(searcher: &Searcher, q: &str, columns: Value, rows: Value) {
    let answer = ask(searcher, q).await;
    let heads: Vec<_> = answer["columns"]
        .as_array()
        .unwrap_or_else(|| panic!("{q}: {answer}"))
        .iter()
        .map(|head| {
            format!(
                "{} {}",
                head["name"].as_str().unwrap(),
                head["kind"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!((json!(heads), &answer["rows"]), (columns, &rows), "{q}");
    assert_eq!(answer["partial"], Value::Null);
}

#[tokio::test]
async fn tables_by_example() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    check(&searcher, "| count", json!(["count number"]), json!([[60]])).await;
    check(
        &searcher,
        "nowhere | stats count, avg ms",
        json!(["count number", "avg ms number"]),
        json!([[0, null]]),
    )
    .await;
    check(
        &searcher,
        "nowhere | count by path",
        json!(["path text", "count number"]),
        json!([]),
    )
    .await;
    check(
        &searcher,
        "ms>50 | count by level",
        json!(["level level", "count number"]),
        json!([["info", 4], ["warn", 3], ["error", 3]]),
    )
    .await;
    check(
        &searcher,
        "| stats count, sum ms, avg ms, min ms, max ms, p50 ms, p95 ms, distinct path by release",
        json!([
            "release text",
            "count number",
            "sum ms number",
            "avg ms number",
            "min ms number",
            "max ms number",
            "p50 ms number",
            "p95 ms number",
            "distinct path number"
        ]),
        json!([
            ["1.10", 30, 930, 31, 2, 60, 30, 58, 2],
            ["1.9", 30, 900, 30, 1, 59, 29, 57, 2]
        ]),
    )
    .await;
    check(
        &searcher,
        "| top 2 tags",
        json!(["tags text", "count number"]),
        json!([["a", 60], ["t0", 30]]),
    )
    .await;
}

#[tokio::test]
async fn counts_over_time_are_the_same_whoever_counts() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    // A maximum is for those who look at the records; without one, the store counts.
    for filter in ["", "ms>7 tags:t0", "level>=warn", "nowhere"] {
        for every in ["500ms", "3s", "7s", "1m", "2m", "45m", "1d", "30d"] {
            for by in ["", " by level"] {
                let counted = ask(&searcher, &format!("{filter} | timechart {every} count{by}")).await;
                let columns = if by.is_empty() {
                    "time, count"
                } else {
                    "time, level, count"
                };
                let looked_at = format!("{filter} | timechart {every} count, max ms{by} | fields {columns}");
                let looked_at = ask(&searcher, &looked_at).await;
                for what in ["columns", "rows", "matched", "partial"] {
                    assert_eq!(counted[what], looked_at[what], "{what} of {filter} | {every}{by}");
                }
            }
        }
    }
}

#[tokio::test]
async fn columns_have_kinds_and_tables_can_be_cut_down() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    check(
        &searcher,
        "| timechart 2m count, max ms by nothing",
        json!(["time time", "nothing text", "count number", "max ms number"]),
        json!([
            ["2026-09-21T14:12:00.000000000Z", null, 13, 13],
            ["2026-09-21T14:14:00.000000000Z", null, 40, 53],
            ["2026-09-21T14:16:00.000000000Z", null, 7, 60]
        ]),
    )
    .await;
    check(
        &searcher,
        "| count by path | sort path desc | limit 2 | fields count, path",
        json!(["count number", "path text"]),
        json!([[15, "/p3"], [15, "/p2"]]),
    )
    .await;
    check(
        &searcher,
        "| stats min time, max level by release | fields release, max level, min time | limit 1",
        json!(["release text", "max level level", "min time time"]),
        json!([["1.10", "error", "2026-09-21T14:13:26.000000000Z"]]),
    )
    .await;
    check(
        &searcher,
        "ms<3 | fields time, level, ms, tags, map",
        json!(["time time", "level level", "ms number", "tags text", "map text"]),
        json!([
            [
                "2026-09-21T14:13:26.000000000Z",
                "error",
                2,
                "[\"a\",\"t0\"]",
                "{\"k\":2}"
            ],
            [
                "2026-09-21T14:13:23.000000000Z",
                "warn",
                1,
                "[\"a\",\"t1\"]",
                "{\"k\":1}"
            ]
        ]),
    )
    .await;
}

#[tokio::test]
async fn records_are_sorted_over_everything_that_matches() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    let check = async |q: &str, expected: &[i64]| {
        let answer = ask(&searcher, q).await;
        let found: Vec<_> = answer["records"]
            .as_array()
            .unwrap_or_else(|| panic!("{q}: {answer}"))
            .iter()
            .map(|record| record["seq"].as_i64().unwrap())
            .collect();
        assert_eq!(found, expected, "{q}");
    };
    check("| sort ms desc | limit 3", &[60, 59, 58]).await;
    check("| sort ms | limit 3", &[1, 2, 3]).await;
    check("| sort time | limit 2", &[1, 2]).await;
    check("| sort time desc | limit 2", &[60, 59]).await;
    check("| sort level desc, ms | limit 3", &[2, 5, 8]).await;
    check("| sort ms | sort level desc | limit 3", &[2, 5, 8]).await;
    check("| limit 3 | sort ms", &[58, 59, 60]).await;
    check("| limit 5 | sort ms | limit 2", &[56, 57]).await;
    check("ms>57 | sort missing desc, ms", &[58, 59, 60]).await;
    check("| sort map.k | limit 1", &[1]).await;
}

#[test]
fn what_finds_no_room_is_counted_and_what_did_is_exact() {
    let table = parse("| count by n").unwrap().pipeline.table.unwrap();
    let mut groups = Groups::new(&table, Hasher::default());
    let source = Source::default();
    for round in 0..2 {
        for number in 0..60_000 {
            let json = format!(r#"{{"source":{{"service":"s"}},"records":[{{"fields":{{"n":{number}}}}}]}}"#);
            let batch = Batch::parse(&json, Timestamp::from_nanos(round)).unwrap();
            groups.add(&batch.records[0], &source);
        }
    }
    let grouped = groups.rows(None);
    assert_eq!(
        (grouped.rows.len(), grouped.matched, grouped.left_out),
        (50_000, 120_000, 20_000)
    );
    assert!(grouped.rows.iter().all(|row| row[1].text() == "2"));
}
