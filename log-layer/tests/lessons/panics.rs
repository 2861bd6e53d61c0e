//! Panics of the program's: in what it logs, while it unwinds, and with nobody to tell.

use std::fmt;
use std::panic::catch_unwind;
use std::process::exit;

use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::lesson::{Ended, builder, count, here, lesson, setting};
use crate::machine::close_stderr;

/// Panics when it is printed, halfway.
struct Broken;

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of ")?;
        panic!("it cannot be printed")
    }
}

fn count_panics(ended: &Ended, told: &str) -> usize {
    let records = ended.records();
    let messages = records.iter().filter_map(|record| record["message"].as_str());
    messages
        .filter(|message| message.starts_with("panicked at ") && message.ends_with(told))
        .count()
}

/// Thomasdezeeuw/std-logger PR#44; tokio-rs/tracing PR#3571, #1766
#[test]
fn a_value_that_panics_leaves_no_trace_in_the_records_behind_it() {
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().panic_hook(false).build();
        tracing_subscriber::registry().with(layer).init();
        let span = info_span!("span", broken = ?Broken);
        let _inside = span.enter();
        info!(before = 1, broken = ?Broken, after = 2, "with {:?}", Broken);
        (0..1000).for_each(|number| info!(number, "clean"));
        drop(logs);
    });
    let records = lesson.run().all(1001);
    let (first, others) = records.split_first().unwrap();
    let fields = &first["fields"];
    assert_eq!(
        (fields["before"].as_u64(), fields["after"].as_u64()),
        (Some(1), Some(2))
    );
    assert_eq!(fields["broken"], "<panic in Debug>");
    assert_eq!(first["message"], "<panic in Debug>");
    assert_eq!(first["spans"][0]["fields"]["broken"], "<panic in Debug>");
    for (number, record) in others.iter().enumerate() {
        assert_eq!(
            (&record["message"], &record["fields"]),
            (&"clean".into(), &serde_json::json!({"number": number}))
        );
    }
}

/// getsentry/sentry-rust#239; pydantic/logfire-rust#39; fast/fastrace#122; tikv/tikv#8998
#[test]
fn a_panic_that_unwinds_is_stored_with_what_was_logged_before_it_wherever_it_was() {
    let body = || {
        let logs = log_layer::init("lessons");
        (0..100).for_each(|number| info!(number, "before"));
        match &*setting("WHERE") {
            "in main" => panic!("in main"),
            "in a thread" => drop(std::thread::spawn(|| panic!("in a thread")).join()),
            "in a task" => {
                let task = async { tokio::spawn(async { panic!("in a task") }).await };
                drop(tokio::runtime::Runtime::new().unwrap().block_on(task));
            }
            other => unreachable!("{other}"),
        }
        drop(logs);
    };
    for (place, code) in [("in main", 101), ("in a thread", 0), ("in a task", 0)] {
        let ended = lesson(here!(), body).with("WHERE", place).run();
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        assert_eq!(count(&ended.records(), "before"), 100);
        assert_eq!((count_panics(&ended, place), ended.records().len()), (1, 101));
    }
}

/// Logs what cannot be printed while its owner unwinds.
struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        info!(broken = ?Broken, "while unwinding");
    }
}

/// sfackler/rust-log-panics#16; cloudflare/foundations#224, PR#226
#[test]
fn a_panic_inside_a_panic_is_not_made_an_abort_though_nobody_hears_of_it() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        close_stderr();
        let unwound = catch_unwind(|| {
            let _words = LastWords;
            panic!("the first")
        });
        assert!(unwound.is_err());
        info!("still there");
        drop(logs);
        exit(7);
    });
    let ended = lesson.run();
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    let records = ended.records();
    assert_eq!(
        (count(&records, "while unwinding"), count(&records, "still there")),
        (1, 1)
    );
    let each = ["the first", "it cannot be printed"].map(|told| count_panics(&ended, told));
    assert_eq!((each, records.len()), ([1, 1], 4), "the hook runs once for each");
}
