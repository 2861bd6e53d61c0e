//! What the layer does with the server's answers.

use std::collections::HashSet;

use rpc::{Fault, code};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::dispatcher::with_default;
use tracing::{info, warn};

use crate::collector::{Collector, batches};
use crate::redis::Place;
use crate::stack::{builder, install, shipped_with};
use crate::wait::{PATIENCE, until};

fn stored() -> Result<Value, Fault> {
    Ok(json!({"stored": 1, "duplicate": false, "rejected": []}))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Drops declared in these batches, as `level reason count`.
fn declared(batches: &[Value]) -> Vec<String> {
    let lines = batches
        .iter()
        .flat_map(|batch| batch["dropped"].as_array().unwrap());
    lines
        .map(|line| {
            assert!(line["from"].as_i64().unwrap() <= line["to"].as_i64().unwrap());
            format!(
                "{} {} {}",
                line["level"].as_str().unwrap(),
                line["reason"].as_str().unwrap(),
                line["count"]
            )
        })
        .collect()
}

#[test]
fn batches_say_who_sends_them_and_are_numbered_without_a_gap() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(
        builder(&redis.url())
            .instance("host-7:1")
            .version("1.4.2")
            .attr("env", "prod")
            .batch_records(10),
    );
    with_default(&dispatch, || {
        for number in 0..95 {
            info!(number, "counted");
        }
    });
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered, report.dropped), (95, 0, 0));
    let batches = batches(&collector.texts());
    let source = &batches[0]["source"];
    assert_eq!(source["service"], "iptv");
    assert_eq!(source["instance"], "host-7:1");
    assert_eq!(source["version"], "1.4.2");
    assert_eq!(source["attrs"], json!({"env": "prod"}));
    assert_eq!(source["boot"].as_str().unwrap().len(), 32);
    assert!(
        batches
            .iter()
            .all(|batch| batch["source"] == *source && batch["v"] == 1)
    );
    let mut numbers: Vec<_> = batches
        .iter()
        .map(|batch| batch["no"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=batches.len() as u64).collect::<Vec<_>>());
    for (index, record) in collector.records().iter().enumerate() {
        assert_eq!(record["seq"], index as u64 + 1);
        assert_eq!(record["fields"]["number"], index as u64);
    }
}

#[test]
fn a_failure_that_may_pass_is_answered_with_the_same_bytes() {
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |_, before| match before {
        0 => Err(Fault::handler("the disk is full")),
        1 => Err(Fault::overloaded("later")),
        _ => stored(),
    });
    let (dispatch, guard) = install(builder(&redis.url()));
    with_default(&dispatch, || info!("patient"));
    until("it is stored", || (guard.stats().stored == 1).then_some(()));
    let texts = collector.texts();
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|text| *text == texts[0]));
    let stats = guard.stats();
    assert_eq!((stats.resent, stats.dropped_total()), (2, 0));
    assert!(stats.last_error.unwrap().contains("later"));
}

#[test]
fn a_batch_that_is_refused_for_good_is_counted_and_declared_and_does_not_stop_the_others() {
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |text, _| {
        if text.contains("poison") {
            return Err(Fault::invalid_params("no such version"));
        }
        stored()
    });
    let (dispatch, guard) = install(builder(&redis.url()));
    let one_batch = |log: &dyn Fn()| {
        with_default(&dispatch, log);
        guard.flush(PATIENCE);
    };
    one_batch(&|| info!("good"));
    one_batch(&|| warn!("poison"));
    one_batch(&|| info!("good again"));
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered, report.dropped), (2, 0, 1));
    let accepted: Vec<_> = batches(&collector.texts())
        .into_iter()
        .filter(|batch| !batch.to_string().contains("poison"))
        .collect();
    assert_eq!(declared(&accepted), ["warn rejected_by_server 1"]);
}

#[test]
fn records_that_the_server_rejects_are_counted_and_declared() {
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |text, _| {
        let records = parsed(text)["records"].as_array().unwrap().clone();
        let bad = (0..records.len()).filter(|index| records[*index]["message"] == "bad");
        let rejected: Vec<_> = bad.map(|index| json!({"index": index, "why": "bad"})).collect();
        Ok(json!({"stored": 0, "duplicate": false, "rejected": rejected}))
    });
    let (dispatch, guard) = install(builder(&redis.url()));
    with_default(&dispatch, || {
        for _ in 0..10 {
            info!("good");
            warn!("bad");
        }
    });
    let report = guard.flush(PATIENCE);
    assert_eq!(
        (report.stored, report.still_buffered, report.dropped),
        (10, 0, 10)
    );
    let told = until("the drops are declared", || {
        guard.flush(PATIENCE);
        let declared = declared(&batches(&collector.texts()));
        (!declared.is_empty()).then_some(declared)
    });
    let count: u64 = told
        .iter()
        .map(|line| {
            line.strip_prefix("warn rejected_by_server ")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert_eq!(count, 10);
}

#[test]
fn a_batch_that_is_too_large_is_split_until_it_fits() {
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |text, _| {
        if parsed(text)["records"].as_array().unwrap().len() > 3 {
            let data = RawValue::from_string(r#"{"limit_records":3}"#.to_owned()).unwrap();
            return Err(Fault {
                data: Some(data),
                ..Fault::app(code::INVALID_PARAMS, "too many records")
            });
        }
        stored()
    });
    let (dispatch, guard) = install(builder(&redis.url()));
    with_default(&dispatch, || {
        (0..50).for_each(|number| info!(number, "one of many"))
    });
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered, report.dropped), (50, 0, 0));
    let batches = batches(&collector.texts());
    let kept = batches
        .iter()
        .filter(|batch| batch["records"].as_array().unwrap().len() <= 3);
    let numbers: Vec<_> = kept
        .flat_map(|batch| batch["records"].as_array().unwrap())
        .map(|record| record["fields"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 50, "each once");
    assert_eq!(numbers.into_iter().collect::<HashSet<_>>(), (0..50).collect());
}

#[test]
fn a_single_record_that_is_too_large_is_given_up_alone() {
    let redis = Place::new().start();
    let collector = Collector::answering(&redis.url(), |text, _| {
        if text.contains("huge") {
            let data = RawValue::from_string(r#"{"limit_bytes":10}"#.to_owned()).unwrap();
            return Err(Fault {
                data: Some(data),
                ..Fault::app(code::INVALID_PARAMS, "too large")
            });
        }
        stored()
    });
    let (dispatch, guard) = install(builder(&redis.url()).linger(PATIENCE));
    with_default(&dispatch, || {
        (0..20).for_each(|_| info!("small"));
        info!("huge");
        (0..20).for_each(|_| info!("small"));
    });
    let report = guard.flush(PATIENCE);
    assert_eq!((report.stored, report.still_buffered, report.dropped), (40, 0, 1));
    drop(collector);
}

#[test]
fn eight_threads_lose_nothing_and_keep_their_own_order() {
    let records = shipped_with(
        |builder| builder.buffer_bytes(64 << 20),
        || {
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            std::thread::scope(|scope| {
                for thread in 0..8_u64 {
                    let dispatch = dispatch.clone();
                    scope.spawn(move || {
                        with_default(&dispatch, || {
                            (0..10_000_u64).for_each(|number| info!(thread, number, "counted"));
                        });
                    });
                }
            });
        },
    );
    assert_eq!(records.len(), 80_000);
    let mut next = [0; 8];
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record["seq"], index as u64 + 1);
        let thread = record["fields"]["thread"].as_u64().unwrap() as usize;
        assert_eq!(record["fields"]["number"], next[thread]);
        next[thread] += 1;
    }
}
