//! Servers that refuse some of it, and answers that are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rpc::{Fault, code};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::info;

use crate::collector::Collector;
use crate::lesson::{count, here, lesson, setting, stored};
use crate::wait::until;

/// hrxi/tracing-loki#41; open-telemetry/opentelemetry-collector#14264, #15936; datalust/serilog-sinks-seq#16
#[test]
fn one_bad_record_or_batch_among_five_thousand_costs_only_itself() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        let good = || (0..5000).for_each(|number| info!(number, "good"));
        good();
        info!("rejected");
        good();
        info!("too large");
        good();
        logs.flush(std::time::Duration::from_secs(20));
        info!("malformed");
        logs.flush(std::time::Duration::from_secs(20));
        good();
        let report = logs.flush(std::time::Duration::from_secs(20));
        assert_eq!(
            (report.stored, report.dropped, report.still_buffered),
            (20_000, 3, 0)
        );
        drop(logs);
    });
    let [malformed, declared] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let counted = [malformed.clone(), declared.clone()];
    let ended = lesson.run_answering(move |text, _| {
        let batch: Value = serde_json::from_str(text).unwrap();
        let records = batch["records"].as_array().unwrap();
        if count(records, "malformed") > 0 {
            counted[0].fetch_add(1, Ordering::Relaxed);
            return Err(Fault::invalid_params("malformed"));
        }
        if count(records, "too large") > 0 {
            let limit = RawValue::from_string(r#"{"limit_bytes":10}"#.to_owned()).unwrap();
            return Err(Fault {
                data: Some(limit),
                ..Fault::app(code::INVALID_PARAMS, "too large")
            });
        }
        // What a refused batch declares comes again.
        for line in batch["dropped"].as_array().unwrap() {
            counted[1].fetch_add(line["count"].as_u64().unwrap() as usize, Ordering::Relaxed);
        }
        let bad = (0..records.len()).filter(|index| records[*index]["message"] == "rejected");
        let rejected: Vec<Value> = bad.map(|index| json!({"index": index, "why": "bad"})).collect();
        Ok(json!({"stored": records.len() - rejected.len(), "duplicate": false, "rejected": rejected}))
    });
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(declared.load(Ordering::Relaxed), 3);
    assert_eq!(malformed.load(Ordering::Relaxed), 1, "it is not sent again");
}

/// fluent/fluent-bit#423; uken/fluent-plugin-elasticsearch#312; elastic/beats#5269
#[test]
fn what_was_stored_and_never_answered_is_sent_by_the_next_run_under_the_same_number() {
    const LOGGED: usize = 3000;
    let body = || {
        let logs = log_layer::init("lessons");
        match &*setting("RUN") {
            "first" => {
                (0..LOGGED).for_each(|number| info!(number, "counted"));
                logs.flush(crate::wait::PATIENCE);
            }
            "second" => until("the first run's are delivered", || {
                (logs.stats().adopted == LOGGED as u64).then_some(())
            }),
            other => panic!("{other}"),
        }
        drop(logs);
    };
    let spool = tempfile::tempdir().unwrap();
    let start = |run: &str| {
        let lesson = lesson(here!(), body);
        lesson
            .with("RUN", run)
            .with("LOG_LAYER_SPOOL", spool.path().to_str().unwrap())
            .with("LOG_LAYER_WRITE_AHEAD", "1")
            .with("LOG_LAYER_LINGER_MS", "10")
    };
    let first = start("first");
    let redis = first.place.start();
    let silent = Collector::answering(&redis.url(), |_, _| Err(Fault::unavailable("the answer is lost")));
    let mut process = first.start();
    until("some of it is stored", || {
        (silent.texts().len() > 2).then_some(())
    });
    // All of it is on disk a few milliseconds after it was logged.
    until("all of it is on disk", || {
        let folder = spool.path().join("lessons");
        let bytes: u64 = walk(&folder);
        (bytes > LOGGED as u64 * 60).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(200)); // slow on purpose: the last of it
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let mut texts = silent.texts();
    drop((silent, redis));

    let mut ended = start("second").run_answering(|_, _| stored());
    texts.append(&mut ended.texts);
    ended.texts = texts;
    ended.all(LOGGED as u64);
}

fn walk(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => walk(&entry.path()),
        Ok(data) => data.len(),
        // Segments come and go.
        Err(_) => 0,
    });
    sizes.sum()
}
