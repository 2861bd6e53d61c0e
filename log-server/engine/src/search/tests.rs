//! Issues and statistics by example, through a store.

use log_record::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{IssuesParams, Searcher, StatsParams};
use crate::store::{Incoming, Store};

async fn append(store: &Store, batch: Value) {
    let (text, arrived) = (batch.to_string(), Timestamp::now());
    let incoming = Incoming::read(&text, arrived).unwrap();
    store.append(incoming).await.unwrap();
}

fn at(second: i64) -> i64 {
    1_790_000_000_000_000_000 + second * 1_000_000_000
}

async fn store(data: &TempDir) -> Store {
    let store = Store::open(data.path()).unwrap();
    let place = json!({"target": "shop::cart", "file": "src/cart.rs", "line": 41, "level": "error"});
    for (version, seconds) in [("1.0", 0..5), ("1.1", 20..24)] {
        let records: Vec<_> = seconds
            .map(|second| json!({"ts": at(second), "callsite": 0, "message": format!("order {second} failed\nstack")}))
            .collect();
        let source = json!({"service": "shop", "version": version});
        append(
            &store,
            json!({"source": source, "callsites": [place], "records": records}),
        )
        .await;
    }
    let records = json!([
        {"ts": at(1), "level": "error", "message": "no route to 10.0.0.1:6379"},
        {"ts": at(2), "level": "error", "message": "no route to 10.0.0.2:6379"},
        {"ts": at(3), "level": "warn", "message": "no route to 10.0.0.3:6379"},
        {"ts": at(4), "level": "info", "message": "hello"},
        {"ts": at(5), "level": "warn", "message": "3 records lost: full", "flags": ["lost"],
         "fields": {"count": 3, "reason": "full"}},
        {"ts": at(6), "level": "warn", "message": "gap", "flags": ["lost"], "fields": {"count": 7, "reason": "gap"}},
        {"ts": at(7), "level": "info", "message": "late", "flags": ["lost"], "fields": {"count": 2, "reason": "gap_closed"}},
    ]);
    append(
        &store,
        json!({"source": {"service": "python"}, "records": records}),
    )
    .await;
    store
}

async fn issues(searcher: &Searcher, params: Value) -> Value {
    let params: IssuesParams = serde_json::from_value(params).unwrap();
    serde_json::to_value(searcher.issues(&params).await.unwrap()).unwrap()
}

#[tokio::test]
async fn errors_are_grouped_by_place_and_else_by_wording() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    let answer = issues(&searcher, json!({})).await;
    let found = answer["issues"].as_array().unwrap();
    assert_eq!((found.len(), &answer["total"]), (2, &json!(2)));
    let placed = &found[0];
    assert_eq!(placed["title"], "order 23 failed");
    assert_eq!(
        (&placed["callsite"], &placed["count"]),
        (&json!("src/cart.rs:41"), &json!(9))
    );
    assert_eq!(placed["first_seen"], Timestamp::from_nanos(at(0)).to_string());
    assert_eq!(placed["last_seen"], Timestamp::from_nanos(at(23)).to_string());
    let versions: Vec<_> = placed["services"][0]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (
                version["version"].as_str().unwrap(),
                version["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(versions, [("1.0", 5), ("1.1", 4)]);
    let line: Vec<u64> = serde_json::from_value(placed["sparkline"].clone()).unwrap();
    assert_eq!(
        (line.len(), line.iter().sum::<u64>(), line[0] > 0, line[10]),
        (24, 9, true, 0)
    );
    let sample = searcher
        .context(placed["sample"].as_str().unwrap(), &Default::default())
        .await
        .unwrap();
    assert!(
        sample
            .records()
            .any(|found| found.record.message.starts_with("order 23"))
    );
    let worded = &found[1];
    assert_eq!(
        (&worded["fingerprint"], &worded["count"]),
        (&json!("no route to *"), &json!(2))
    );
    assert_eq!(worded["query"], "level:error message:\"no route to \"*");

    // Of more than are asked for, those stay that the order puts first.
    for (sort, title) in [("first", "no route"), ("last", "order 23"), ("count", "order 23")] {
        let answer = issues(&searcher, json!({"sort": sort, "limit": 1})).await;
        let first = answer["issues"][0]["title"].as_str().unwrap();
        assert!(first.starts_with(title), "{sort}: {answer}");
        assert_eq!(answer["issues"].as_array().unwrap().len(), 1, "{sort}");
    }

    // The query asks for levels itself, and an issue's query finds what the issue counts.
    let answer = issues(&searcher, json!({"q": "level>=warn route"})).await;
    assert_eq!(answer["issues"][0]["count"], 3);
    let query = answer["issues"][0]["query"].clone();
    let again = issues(&searcher, json!({"q": query})).await;
    assert_eq!(
        (&again["issues"][0]["count"], &again["total"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(again["issues"][0]["id"], answer["issues"][0]["id"]);
}

#[tokio::test]
async fn an_issue_is_new_since_a_version_if_the_whole_store_has_none_before_it() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    let place =
        |line: u32| json!({"target": "shop::cart", "file": "src/cart.rs", "line": line, "level": "error"});
    let records = json!([{"ts": at(22), "callsite": 0, "message": "new"}, {"ts": at(23), "callsite": 0, "message": "new"}]);
    let batch = |service: &str| json!({"source": {"service": service, "version": "1.1"}, "callsites": [place(99)], "records": records});
    append(&searcher.store, batch("shop")).await;
    // A service that never had another version.
    append(&searcher.store, batch("first")).await;
    // Even where the answer holds nothing of the earlier version, the store does.
    let answer = issues(
        &searcher,
        json!({"from": Timestamp::from_nanos(at(20)).to_string()}),
    )
    .await;
    let found = answer["issues"].as_array().unwrap();
    let of = |callsite: &str| found.iter().find(|issue| issue["callsite"] == callsite).unwrap();
    assert_eq!(
        of("src/cart.rs:99")["new_since"],
        json!([{"service": "shop", "version": "1.1"}])
    );
    assert_eq!(of("src/cart.rs:41")["new_since"], json!([]));
}

#[tokio::test]
async fn statistics_say_who_sends_how_much_and_what_is_lost() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    let params = json!({"from": at(0), "to": at(60)});
    let params: StatsParams = serde_json::from_value(params).unwrap();
    let answer = searcher.stats(&params).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let shop = &answer["services"][0];
    assert_eq!(
        (&shop["service"], &shop["records"], &shop["errors"]),
        (&json!("shop"), &json!(9), &json!(9))
    );
    assert_eq!(shop["rate_per_minute"], 9.0);
    assert_eq!(shop["callsites"][0]["callsite"], "src/cart.rs:41");
    assert_eq!(shop["bytes"], shop["callsites"][0]["bytes"]);
    let python = &answer["services"][1];
    assert_eq!(
        (&python["records"], &python["errors"], &python["lost"]),
        (&json!(4), &json!(2), &json!(8))
    );
    assert_eq!(answer["lost"], 8);
    assert_eq!(
        (&answer["store"]["records"], &answer["store"]["partitions"]),
        (&json!(16), &json!(1))
    );
    assert!(answer["store"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        answer["store"]["newest"],
        Timestamp::from_nanos(at(23)).to_string()
    );
}

#[tokio::test]
async fn statistics_of_more_records_than_are_read_as_a_whole_count_each() {
    let data = TempDir::new().unwrap();
    let searcher = Searcher::new(store(&data).await);
    for batch in 0..22 {
        let record = |number: i64| {
            json!({"ts": at(30) + (batch * 5_000 + number) * 1_000_000, "level": if number == 0 { "error" } else { "info" },
            "message": "as long as any other", "target": "many"})
        };
        let records: Vec<_> = (0..5_000).map(record).collect();
        append(
            &searcher.store,
            json!({"source": {"service": "many"}, "records": records}),
        )
        .await;
    }
    let params: StatsParams = serde_json::from_value(json!({"from": at(0), "to": at(400)})).unwrap();
    let answer = serde_json::to_value(searcher.stats(&params).await.unwrap()).unwrap();
    let many = &answer["services"][0];
    assert_eq!(
        (&many["service"], &many["records"], &many["errors"]),
        (&json!("many"), &json!(110_000), &json!(22))
    );
    let each = "as long as any other".len() as u64;
    assert_eq!(many["bytes"], 110_000 * each, "{answer}");
    // Those that were lost are counted as before.
    assert_eq!(answer["lost"], 8);
    assert_eq!(answer["partial"], Value::Null);
}
