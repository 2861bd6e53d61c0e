//! Values of every kind, as a strict reader finds them.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{error, info};

use crate::lesson::{here, lesson};

/// The innermost of five.
#[derive(Debug)]
struct Failure(u8, Option<Box<Failure>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &dyn Error)
    }
}

const CONTROL: &str =
    "\u{0}\u{7}\u{1b}[31mred\u{1b}[0m\r\n\t\"\\ \u{7f}\u{85}\u{2028}\u{d7ff}\u{e000}\u{fffd}\u{10ffff}";

/// tokio-rs/tracing PR#3605, #3195, #1423; NLog/NLog#2860; getsentry/sentry-rust#1278; RUSTSEC-2025-0055
#[test]
fn every_kind_of_value_is_read_back_with_its_type() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        info!(
            nan = f64::NAN,
            infinite = f64::INFINITY,
            negative = f64::NEG_INFINITY,
            tiny = f64::MIN_POSITIVE,
            i128 = i128::MIN,
            u128 = u128::MAX,
            u64 = u64::MAX,
            i64 = i64::MIN,
            bytes = debug(b"\xff\x00"),
            empty = Empty,
            r#type = "raw",
            message = "its own message",
            level = "a field",
            ts = 5,
            seq = -1,
            control = CONTROL,
        );
        let failure = (0..5)
            .fold(None, |cause, number| Some(Box::new(Failure(number, cause))))
            .unwrap();
        error!(failure = &*failure as &(dyn Error + 'static));
        error!({}, "no fields");
        drop(logs);
    });
    let records = lesson.run().all(3);
    assert_eq!(records[0]["message"], "its own message");
    let expected = json!({
        "nan": "NaN", "infinite": "Infinity", "negative": "-Infinity", "tiny": f64::MIN_POSITIVE,
        "i128": i128::MIN.to_string(), "u128": u128::MAX.to_string(), "u64": u64::MAX, "i64": i64::MIN,
        "bytes": "[255, 0]", "type": "raw", "level": "a field", "ts": 5, "seq": -1, "control": CONTROL,
    });
    assert_eq!(records[0]["fields"], expected);
    let chain = ["failure 3", "failure 2", "failure 1", "failure 0"];
    assert_eq!(
        records[1]["fields"]["failure"],
        json!({"message": "failure 4", "chain": chain})
    );
    assert_eq!(
        (&records[2]["message"], &records[2]["fields"]),
        (&json!("no fields"), &Value::Null)
    );
}

/// tokio-rs/tracing has no limit of 32 any more.
#[test]
fn a_hundred_fields_arrive_in_their_places() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        #[rustfmt::skip]
        info!(
            f0 = 0, f1 = 1, f2 = 2, f3 = 3, f4 = 4, f5 = 5, f6 = 6, f7 = 7, f8 = 8, f9 = 9,
            f10 = 10, f11 = 11, f12 = 12, f13 = 13, f14 = 14, f15 = 15, f16 = 16, f17 = 17, f18 = 18, f19 = 19,
            f20 = 20, f21 = 21, f22 = 22, f23 = 23, f24 = 24, f25 = 25, f26 = 26, f27 = 27, f28 = 28, f29 = 29,
            f30 = 30, f31 = 31, f32 = 32, f33 = 33, f34 = 34, f35 = 35, f36 = 36, f37 = 37, f38 = 38, f39 = 39,
            f40 = 40, f41 = 41, f42 = 42, f43 = 43, f44 = 44, f45 = 45, f46 = 46, f47 = 47, f48 = 48, f49 = 49,
            f50 = 50, f51 = 51, f52 = 52, f53 = 53, f54 = 54, f55 = 55, f56 = 56, f57 = 57, f58 = 58, f59 = 59,
            f60 = 60, f61 = 61, f62 = 62, f63 = 63, f64 = 64, f65 = 65, f66 = 66, f67 = 67, f68 = 68, f69 = 69,
            f70 = 70, f71 = 71, f72 = 72, f73 = 73, f74 = 74, f75 = 75, f76 = 76, f77 = 77, f78 = 78, f79 = 79,
            f80 = 80, f81 = 81, f82 = 82, f83 = 83, f84 = 84, f85 = 85, f86 = 86, f87 = 87, f88 = 88, f89 = 89,
            f90 = 90, f91 = 91, f92 = 92, f93 = 93, f94 = 94, f95 = 95, f96 = 96, f97 = 97, f98 = 98, f99 = 99,
            "many"
        );
        drop(logs);
    });
    let records = lesson.run().all(1);
    let fields = records[0]["fields"].as_object().unwrap();
    assert_eq!(fields.len(), 100);
    for number in 0..100 {
        assert_eq!(fields[&format!("f{number}")], number);
    }
}

/// tracing's own records of the log crate share a call-site; the true one is told.
#[test]
fn a_record_of_the_log_crate_keeps_its_target_and_place() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        let of_the_log_crate = tracing_log::log::Record::builder()
            .args(format_args!("from the log crate"))
            .level(tracing_log::log::Level::Warn)
            .target("elsewhere")
            .module_path(Some("else::where"))
            .file(Some("elsewhere.rs"))
            .line(Some(7))
            .build();
        tracing_log::format_trace(&of_the_log_crate).unwrap();
        drop(logs);
    });
    let ended = lesson.run();
    let records = crate::collector::records(&ended.texts);
    ended.all(1);
    let site = &records[0]["callsite"];
    assert_eq!(
        (&site["target"], &site["file"], &site["line"]),
        (&json!("elsewhere"), &json!("elsewhere.rs"), &json!(7))
    );
    assert_eq!(
        (&site["level"], &records[0]["fields"]),
        (&json!("warn"), &Value::Null)
    );
}
