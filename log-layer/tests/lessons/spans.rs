//! Spans in every constellation: the right ones stand around each record, with their last values.

use log_layer::SpanEvents;
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Span, debug_span, info, info_span, warn, warn_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::collector::Collector;
use crate::lesson::{Ended, builder, here, lesson};
use crate::redis::Place;
use crate::wait::PATIENCE;

/// Each record's message and the names of the spans around it.
fn around(ended: &Ended) -> Vec<(String, Vec<String>)> {
    let name = |span: &Value| span["name"].as_str().unwrap().to_owned();
    let records = ended.records();
    let told = records.iter().map(|record| {
        let spans = record["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        let message = record["message"].as_str().unwrap().to_owned();
        (message, spans.iter().map(name).collect())
    });
    told.collect()
}

#[track_caller]
fn check(ended: &Ended, expected: &[(&str, &[&str])]) {
    ended.all(expected.len() as u64);
    let expected = expected.iter().map(|(message, spans)| {
        let spans: Vec<String> = spans.iter().map(|&name| name.to_owned()).collect();
        ((*message).to_owned(), spans)
    });
    let mut told = around(ended);
    // Numbers say nothing of the order between threads.
    told.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut expected: Vec<_> = expected.collect();
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(told, expected);
}

/// tokio-rs/tracing#2396, #1147
#[test]
fn an_events_own_parent_counts_and_not_the_span_that_its_thread_is_in() {
    let lesson = lesson(here!(), || {
        let _logs = log_layer::init("lessons");
        let (one, other) = (info_span!("one"), info_span!("other"));
        let child = info_span!(parent: &other, "child");
        one.in_scope(|| {
            info!("inside");
            info!(parent: &child, "by parent");
            info!(parent: None, "none");
            info!("inside again");
        });
        info!("outside");
    });
    check(
        &lesson.run(),
        &[
            ("inside", &["one"]),
            ("by parent", &["other", "child"]),
            ("none", &[]),
            ("inside again", &["one"]),
            ("outside", &[]),
        ],
    );
}

/// What a thread is in is remembered between events, so every way in and out must be noticed.
#[test]
fn whatever_way_a_thread_enters_and_leaves_spans_each_record_has_those_it_was_in() {
    let lesson = lesson(here!(), || {
        let _logs = log_layer::init("lessons");
        let (a, b) = (info_span!("a"), info_span!("b"));
        let in_a = a.enter();
        info!("1");
        let in_b = b.enter();
        info!("2");
        // The outer one is left first.
        drop(in_a);
        info!("3");
        let again = b.enter();
        info!("4");
        drop(again);
        info!("5");
        drop(in_b);
        info!("6");
        // A span that takes the closed one's place in the registry.
        drop(b);
        for number in 0..3 {
            info_span!("c", number).in_scope(|| info!("7"));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| a.in_scope(|| info!("8")));
        });
        info!("9");
    });
    let ended = lesson.run();
    check(
        &ended,
        &[
            ("1", &["a"]),
            ("2", &["b"]),
            ("3", &["b"]),
            ("4", &["b"]),
            ("5", &["b"]),
            ("6", &[]),
            ("7", &["c"]),
            ("7", &["c"]),
            ("7", &["c"]),
            ("8", &["a"]),
            ("9", &[]),
        ],
    );
    let records = ended.records();
    let numbers = records[6..9]
        .iter()
        .map(|record| &record["spans"][0]["fields"]["number"]);
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2]);
}

/// tokio-rs/tracing#2123, #1372
#[test]
fn what_is_recorded_late_stands_once_with_its_last_value_from_whatever_thread() {
    let lesson = lesson(here!(), || {
        let _logs = log_layer::init("lessons");
        let span = info_span!("span", first = 1, late = Empty, message = "a field");
        let _inside = span.enter();
        info!("1");
        span.record("late", 2);
        span.record("late", "three");
        info!("2");
        std::thread::scope(|scope| {
            scope.spawn(|| span.record("first", 4));
        });
        info!("3");
    });
    let ended = lesson.run();
    ended.all(3);
    let records = ended.records();
    let fields: Vec<_> = records
        .iter()
        .map(|record| &record["spans"][0]["fields"])
        .collect();
    assert_eq!(fields[0], &json!({"first": 1, "message": "a field"}));
    assert_eq!(
        fields[1],
        &json!({"first": 1, "message": "a field", "late": "three"})
    );
    assert_eq!(
        fields[2],
        &json!({"first": 4, "message": "a field", "late": "three"})
    );
}

/// tokio-rs/tracing#3529; linkerd/linkerd2-proxy PR#730
#[test]
fn spans_that_are_filtered_out_are_left_out_and_their_neighbours_stay() {
    let lesson = lesson(here!(), || {
        let (layer, _logs) = builder().level(LevelFilter::WARN).build();
        let others = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        tracing_subscriber::registry().with(layer).with(others).init();
        debug_span!("root, left out").in_scope(|| {
            warn!("1");
            info_span!("middle").in_scope(|| {
                warn!("2");
                debug_span!("left out").in_scope(|| {
                    warn!("3");
                    info_span!("inner").in_scope(|| warn!("4"));
                    info!("not shipped");
                });
            });
            warn!("5");
        });
    });
    check(
        &lesson.run(),
        &[
            ("1", &[]),
            ("2", &["middle"]),
            ("3", &["middle"]),
            ("4", &["middle", "inner"]),
            ("5", &[]),
        ],
    );
}

/// tokio-rs/tracing#3409; tokio-rs/tracing-opentelemetry PR#86
#[test]
fn a_level_that_changes_while_spans_are_open_leaves_them_as_they_were() {
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().level(LevelFilter::WARN).build();
        tracing_subscriber::registry().with(layer).init();
        let span = info_span!("span", late = Empty);
        span.in_scope(|| {
            info!("not yet");
            logs.set_level(LevelFilter::INFO);
            span.record("late", 1);
            info!("now");
            logs.set_level(LevelFilter::ERROR);
            warn_span!("inner").in_scope(|| tracing::error!("severe"));
        });
        std::thread::spawn(move || drop(span)).join().unwrap();
    });
    let ended = lesson.run();
    check(&ended, &[("now", &["span"]), ("severe", &["span", "inner"])]);
    assert_eq!(ended.records()[0]["spans"][0]["fields"], json!({"late": 1}));
}

/// tokio-rs/tracing#1565
#[test]
fn ten_thousand_spans_inside_each_other_are_no_trouble() {
    let lesson = lesson(here!(), || {
        let _logs = log_layer::init("lessons");
        let nested = || {
            let mut deepest = Span::none();
            for _ in 0..10_000 {
                deepest = info_span!(parent: &deepest, "deep");
            }
            deepest.in_scope(|| info!("deep down"));
            drop(deepest);
            info!("up again");
        };
        // The registry itself closes each span inside the closing of the one in it.
        let thread = std::thread::Builder::new().stack_size(256 << 20);
        thread.spawn(nested).unwrap().join().unwrap();
    });
    let ended = lesson.run();
    ended.all(2);
    let told = around(&ended);
    assert_eq!((told[0].1.len(), told[1].1.len()), (32, 0));
}

/// tokio-rs/tracing#2396: another layer's span data, or another queue's, is not taken for one's own.
#[test]
fn two_layers_of_one_program_keep_to_themselves() {
    let lesson = lesson(here!(), || {
        let other = Place::new().start();
        let collector = Collector::start(&other.url());
        let (first, first_logs) = builder().build();
        let (second, second_logs) = builder()
            .redis(other.url())
            .level(LevelFilter::WARN)
            .span_level(LevelFilter::WARN)
            .span_events(SpanEvents::New)
            .build();
        tracing_subscriber::registry().with(first).with(second).init();
        info_span!("mild").in_scope(|| {
            warn_span!("severe").in_scope(|| {
                info!("for the first");
                warn!("for both");
            });
            warn!("for both again");
        });
        assert_eq!(second_logs.shutdown(PATIENCE).stored, 3);
        drop(first_logs);
        let names = |record: &Value| -> Vec<String> {
            let spans = record["spans"].as_array().cloned().unwrap_or_default();
            spans
                .iter()
                .map(|span| span["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let records = collector.records();
        let told: Vec<_> = records
            .iter()
            .map(|record| (record["message"].as_str().unwrap(), names(record)))
            .collect();
        let severe = vec!["severe".to_owned()];
        assert_eq!(
            told,
            [
                ("new", severe.clone()),
                ("for both", severe),
                ("for both again", vec![])
            ]
        );
        drop((collector, other));
    });
    check(
        &lesson.run(),
        &[
            ("for the first", &["mild", "severe"]),
            ("for both", &["mild", "severe"]),
            ("for both again", &["mild"]),
        ],
    );
}

/// What the documentation recommends for conditions on spans and fields.
#[test]
fn an_env_filter_around_the_layer_decides_for_it_alone() {
    let lesson = lesson(here!(), || {
        let (layer, _logs) = builder().level(LevelFilter::TRACE).build::<Registry>();
        let filter = EnvFilter::new("warn,[request{user=42}]=debug,silent=off");
        let others = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let not_warned = filter_fn(|metadata| metadata.name() != "never");
        let layer = layer.with_filter(filter).with_filter(not_warned);
        tracing_subscriber::registry().with(layer).with(others).init();
        for user in [41, 42] {
            info_span!("request", user).in_scope(|| {
                tracing::debug!("detail");
                warn!("warned");
            });
        }
        warn!(target: "silent", "unheard");
        warn!("outside");
    });
    check(
        &lesson.run(),
        &[
            // Such a filter lets every span pass that may be the one it is about.
            ("warned", &["request"]),
            ("detail", &["request"]),
            ("warned", &["request"]),
            ("outside", &[]),
        ],
    );
}
