//! Values arrive as they were logged.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tracing::{debug, error, info, trace, warn};
use tracing_log::log;

use crate::stack::{fields, shipped, shipped_with};

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Failure>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn failure() -> Failure {
    let cause = Failure("no route", None);
    Failure(
        "cannot connect",
        Some(Box::new(Failure("timed out", Some(Box::new(cause))))),
    )
}

struct Bomb;

impl fmt::Debug for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("expected by this test")
    }
}

#[test]
fn numbers_booleans_and_text_keep_their_type_and_every_digit() {
    let records = shipped(|| {
        info!(
            smallest = i64::MIN,
            largest = u64::MAX,
            negative = -7_i8,
            exact = 9_007_199_254_740_993_u64,
            huge = i128::MIN,
            hugest = u128::MAX,
            float = 0.1,
            single = 3.5_f32,
            tiny = 5e-324,
            not = f64::NAN,
            up = f64::INFINITY,
            down = f64::NEG_INFINITY,
            yes = true,
            empty = "",
            none = None::<u64>,
            some = Some(1),
        );
    });
    assert_eq!(
        fields(&records),
        &json!({
            "smallest": i64::MIN,
            "largest": u64::MAX,
            "negative": -7,
            "exact": 9_007_199_254_740_993_u64,
            "huge": "-170141183460469231731687303715884105728",
            "hugest": "340282366920938463463374607431768211455",
            "float": 0.1,
            "single": 3.5,
            "tiny": 5e-324,
            "not": "NaN",
            "up": "Infinity",
            "down": "-Infinity",
            "yes": true,
            "empty": "",
            "some": 1,
        })
    );
    assert!(records[0].get("message").is_none());
}

#[test]
fn what_prints_is_text_and_errors_have_their_causes() {
    let records = shipped(|| {
        let failed = failure();
        error!(
            debug = ?Some("a \"quoted\" thing"),
            display = %failed,
            error = &failed as &(dyn Error + 'static),
            bytes = &[0xde_u8, 0xad][..],
            bomb = ?Bomb,
            after = 1,
            "登录 failed: {}\n\u{1b}[31m\u{0}",
            "\"why\""
        );
    });
    assert_eq!(
        fields(&records),
        &json!({
            "debug": "Some(\"a \\\"quoted\\\" thing\")",
            "display": "cannot connect",
            "error": {"message": "cannot connect", "chain": ["timed out", "no route"]},
            "bytes": "[de ad]",
            "bomb": "<panic in Debug>",
            "after": 1,
        })
    );
    assert_eq!(records[0]["message"], "登录 failed: \"why\"\n\u{1b}[31m\u{0}");
}

#[test]
fn a_panicking_message_leaves_the_next_record_clean() {
    let records = shipped(|| {
        info!(before = 1, "{:?}", Bomb);
        info!("clean");
    });
    assert_eq!(records[0]["message"], "<panic in Debug>");
    assert_eq!(records[0]["fields"], json!({"before": 1}));
    assert_eq!(records[1]["message"], "clean");
    assert!(records[1].get("fields").is_none());
}

#[test]
fn a_message_is_text_whatever_its_type() {
    let records = shipped(|| {
        info!(message = 42);
        info!(message = &failure() as &(dyn Error + 'static));
        info!(message = true, other = 1);
    });
    let messages: Vec<_> = records.iter().map(|record| record["message"].clone()).collect();
    assert_eq!(messages, [json!("42"), json!("cannot connect"), json!("true")]);
    assert_eq!(records[2]["fields"], json!({"other": 1}));
}

#[test]
fn names_are_kept_but_raw_ones_lose_their_prefix_and_the_last_of_two_wins() {
    let records = shipped(|| {
        info!(
            r#type = "raw",
            "with \"quotes\"" = 1,
            level = "mine",
            user.id = 2,
            twice = 1,
            twice = 2
        );
    });
    assert_eq!(
        fields(&records),
        &json!({"type": "raw", "with \"quotes\"": 1, "level": "mine", "user.id": 2, "twice": 2})
    );
    assert_eq!(records[0]["flags"], json!(["duplicate_field"]));
}

#[test]
fn secrets_are_redacted_by_name_wherever_they_stand() {
    let records = shipped(|| {
        let span = tracing::info_span!(
            "login",
            password = "hunter2",
            token = tracing::field::Empty,
            user = "ann"
        );
        span.record("token", "hunter2");
        span.in_scope(|| {
            info!(
                api_key = "hunter2",
                http.request.header.authorization = ?"hunter2",
                user_password = %"hunter2",
                "X-Session" = 42,
                session_id = 7,
                token_count = 8,
                "signed in"
            );
        });
    });
    assert_eq!(
        fields(&records),
        &json!({
            "api_key": "[redacted]",
            "http.request.header.authorization": "[redacted]",
            "user_password": "[redacted]",
            "X-Session": "[redacted]",
            "session_id": 7,
            "token_count": 8,
        })
    );
    assert_eq!(
        records[0]["spans"][0]["fields"],
        json!({"password": "[redacted]", "user": "ann", "token": "[redacted]"})
    );
    assert!(!format!("{records:?}").contains("hunter2"));
}

#[test]
fn a_record_tells_where_it_comes_from_and_call_sites_are_sent_once() {
    let mut line = 0;
    let records = shipped(|| {
        for number in 0..3 {
            line = line!() + 1;
            warn!(target: "elsewhere", number, "again");
        }
        debug!("another");
        trace!("third");
    });
    for record in &records[..3] {
        assert_eq!(
            record["callsite"],
            json!({
                "target": "elsewhere", "file": file!(), "line": line, "level": "warn", "kind": "event",
            })
        );
    }
    assert_eq!(records[3]["callsite"]["target"], module_path!());
    assert_eq!(records[3]["callsite"]["level"], "debug");
    assert_eq!(records[4]["callsite"]["level"], "trace");
    assert_eq!(records[0]["thread"], std::thread::current().name().unwrap());
}

#[test]
fn records_of_the_log_crate_keep_their_own_call_site() {
    let records = shipped(|| {
        for line in [7, 7, 8] {
            let record = log::Record::builder()
                .level(log::Level::Warn)
                .target("old::crate")
                .file(Some("src/old \"x\".rs"))
                .line(Some(line))
                .module_path(Some("old::crate"))
                .args(format_args!("from log"))
                .build();
            tracing_log::format_trace(&record).unwrap();
        }
    });
    assert_eq!(
        records[0]["callsite"],
        json!({"target": "old::crate", "file": "src/old \"x\".rs", "line": 7, "level": "warn", "kind": "event"})
    );
    assert_eq!(records[1]["callsite"], records[0]["callsite"]);
    assert_eq!(records[2]["callsite"]["line"], 8);
    assert_eq!(records[0]["message"], "from log");
    assert!(records[0].get("fields").is_none());
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("on and on ")?;
            }
        }
    }
    let long = "登".repeat(100_000);
    let records = shipped_with(
        |builder| builder.max_record_bytes(8 << 10),
        || {
            let span = tracing::info_span!("span", long);
            let _entered = span.enter();
            info!(endless = ?Endless, number = 1, text = "small", "{long}");
            tracing::info!(parent: None, "short");
        },
    );
    let record = &records[0];
    assert!(record.to_string().len() < 9 << 10, "{}", record.to_string().len());
    assert_eq!(record["flags"], json!(["truncated"]));
    assert!(record["message"].as_str().unwrap().len() > 4 << 10);
    assert!(long.starts_with(record["message"].as_str().unwrap()));
    assert_eq!(record["fields"]["number"], 1);
    assert_eq!(record["fields"]["text"], "small");
    assert!(record["spans"][0]["fields"]["long"].as_str().unwrap().len() > 100);
    assert!(records[1].get("flags").is_none());
}

#[test]
fn any_value_is_read_back_as_it_was() {
    let value = (
        any::<String>(),
        any::<String>(),
        any::<i64>(),
        any::<u64>(),
        any::<bool>(),
    );
    let logged = RefCell::new(Vec::new());
    let records = shipped(|| {
        let mut runner = TestRunner::new(Config::with_cases(500));
        let log = |(message, text, signed, unsigned, yes): (String, String, i64, u64, bool)| {
            info!(text, display = %text, signed, unsigned, yes, "{message}");
            let fields = json!({
                "text": text, "display": text, "signed": signed, "unsigned": unsigned, "yes": yes,
            });
            logged.borrow_mut().push((message, fields));
            Ok(())
        };
        runner.run(&value, log).unwrap();
    });
    let logged = logged.into_inner();
    assert_eq!(records.len(), logged.len());
    for (record, (message, fields)) in records.iter().zip(logged) {
        assert_eq!(record["message"], message);
        assert_eq!(record["fields"], fields);
    }
}

#[test]
fn a_record_may_bring_its_own_time_which_then_is_no_field() {
    let records = shipped(|| {
        info!(log.time = 1_767_322_985_678_000_000_i64, line = 1, "from a file");
        info!(log.time = None::<i64>, line = 2, "without one");
        info!(log.time = "yesterday", line = 3, "not a time");
    });
    assert_eq!(records[0]["ts"], json!(1_767_322_985_678_000_000_i64));
    assert_eq!(records[0]["fields"], json!({"line": 1}));
    assert_eq!(records[1]["fields"], json!({"line": 2}));
    assert_eq!(records[2]["fields"], json!({"log.time": "yesterday", "line": 3}));
}
