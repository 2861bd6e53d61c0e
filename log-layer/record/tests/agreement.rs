//! The reader agrees with a slow and plain one about everything that anybody sends: the same records, the same repairs
//! and flags, the same records rejected, the same batches refused.

mod reference;

use log_record::{Batch, BatchError, Mark, Outline, Timestamp, limits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const ARRIVED: Timestamp = Timestamp::from_nanos(1_790_000_000_000_000_000);

/// Everything that must be the same, as text: it tells `-0.0` from `0.0`. The words of a rejection may differ.
fn outcome(read: Result<Batch, BatchError>) -> String {
    match read {
        Ok(mut batch) => {
            for rejected in &mut batch.rejected {
                assert!(!rejected.why.is_empty());
                rejected.why.clear();
            }
            format!("{batch:?}")
        }
        // What is not JSON is refused in the same words; what is JSON of a wrong shape is described in our own.
        Err(BatchError::Malformed(_)) => "malformed".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(json: &str) {
    let (ours, plain) = (Batch::parse(json, ARRIVED), reference::parse(json, ARRIVED));
    if let (Err(BatchError::Malformed(ours)), Err(BatchError::Malformed(plain)), Err(syntax)) =
        (&ours, &plain, serde_json::from_str::<serde::de::IgnoredAny>(json))
        && *plain == syntax.to_string()
    {
        assert_eq!(ours, plain, "{json}");
    }
    let outline = Outline::read(json, ARRIVED);
    match (&ours, outline) {
        (Ok(batch), Ok(outline)) => {
            let marks = batch.records.iter().map(|record| Mark {
                time: record.time,
                seq: record.seq,
            });
            let expected = Outline {
                source: batch.source.clone(),
                no: batch.no,
                dropped: batch.dropped.clone(),
                rejected: batch.rejected.clone(),
                records: marks.collect(),
            };
            assert_eq!(outline, expected, "{json}");
        }
        (Err(ours), Err(outline)) => assert_eq!(ours.to_string(), outline.to_string(), "{json}"),
        (ours, outline) => panic!("{json}: {ours:?}, outline {outline:?}"),
    }
    assert_eq!(outcome(ours), outcome(plain), "{json}");
}

/// A string literal with all that can stand in one, and rarely with what cannot.
fn any_string() -> impl Strategy<Value = String> {
    const PIECES: [&str; 22] = [
        "a",
        "connection refused",
        "登录",
        "😀",
        " ",
        "e",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0041",
        "\\u767b",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\udc00",
        "\\u0000",
        "12345678",
        "{",
        "]",
        "\u{7f}",
        "info",
        "\\b\\f\\r\\t",
    ];
    let wrong = select(vec!["\n", "\\x", "\\u12", "\u{1}", "\""]);
    (
        vec(select(PIECES.to_vec()), 0..6),
        proptest::option::weighted(0.002, wrong),
    )
        .prop_map(|(pieces, wrong)| format!("\"{}{}\"", pieces.concat(), wrong.unwrap_or_default()))
}

fn any_number() -> impl Strategy<Value = String> {
    const EDGES: [&str; 22] = [
        "0",
        "-0",
        "-0.0",
        "1",
        "-1",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "-1e400",
        "1e-400",
        "1.5",
        "0.1",
        "1790000000",
        "1790000000123",
        "1790000000.25",
        "4294967295",
        "4294967296",
        "1E5",
    ];
    prop_oneof![
        4 => select(EDGES.to_vec()).prop_map(str::to_owned),
        3 => any::<i64>().prop_map(|number| number.to_string()),
        3 => prop::num::f64::NORMAL.prop_map(|number| number.to_string()),
        3 => "-?(0|[1-9][0-9]{0,21})([.][0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => any_string(),
        4 => any_number(),
        2 => select(vec!["null", "true", "false"]).prop_map(str::to_owned),
        1 => select(vec!["[]", "{}", "[ ]"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            object(any_name(), inner),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["\"a\"", "\"b\"", "\"name\"", "\"fields\"", "\"n\\u0061me\"", "\"\"", "\"ts\"", "\"level\""]).prop_map(str::to_owned),
        1 => any_string(),
    ]
}

fn object(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (vec((name, value), 0..6), select(vec!["", " ", "\n\t", "\r\n  "])).prop_map(|(entries, space)| {
        let entries: Vec<String> = entries
            .iter()
            .map(|(name, value)| format!("{space}{name}{space}:{space}{value}{space}"))
            .collect();
        format!("{{{}}}", entries.join(","))
    })
}

/// Entries of an object whose values mostly are what they should be.
fn entries(known: Vec<(&'static str, BoxedStrategy<String>)>) -> impl Strategy<Value = String> {
    let unknown = (any_name(), any_value()).prop_map(|(name, value)| format!("{name}:{value}"));
    let mut choices: Vec<(u32, BoxedStrategy<String>)> = vec![(1, unknown.boxed())];
    for (name, value) in known {
        let value = prop_oneof![12 => value, 1 => any_value(), 1 => Just("null".to_owned())];
        choices.push((
            2,
            value.prop_map(move |value| format!("\"{name}\":{value}")).boxed(),
        ));
    }
    // A name that comes twice makes the whole useless, and should be rare.
    vec(proptest::strategy::Union::new_weighted(choices), 0..7).prop_map(|mut entries| {
        let mut names = std::collections::HashSet::new();
        entries.retain(|entry| {
            names.insert(entry.split(':').next().map(str::to_owned)) || entry.len() % 16 == 0
        });
        format!("{{{}}}", entries.join(","))
    })
}

fn any_record() -> impl Strategy<Value = String> {
    let level = select(vec![
        "\"info\"",
        "\"WARNING\"",
        "\"loud\"",
        "30",
        "-5",
        "\"30\"",
        "\"\\u0069nfo\"",
    ]);
    let time = select(vec![
        "1790000000000000001",
        "\"2026-09-21T14:13:20Z\"",
        "\"soon\"",
        "1790000000.5",
        "0",
        "-0",
        "1e400",
    ]);
    let fields = || object(any_name(), any_value());
    let span = prop_oneof![
        any_string(),
        entries(vec![("name", any_value().boxed()), ("fields", fields().boxed())]),
    ];
    let number = || select(vec!["0", "1", "2", "3"]).prop_map(str::to_owned).boxed();
    let text = || any_value().boxed();
    let list = vec(any_value(), 0..3).prop_map(|items| format!("[{}]", items.join(",")));
    entries(vec![
        ("seq", number()),
        ("ts", time.prop_map(str::to_owned).boxed()),
        ("callsite", number()),
        ("level", level.prop_map(str::to_owned).boxed()),
        ("target", any_string().boxed()),
        ("file", text()),
        ("line", any_number().boxed()),
        ("message", text()),
        ("fields", fields().boxed()),
        (
            "spans",
            vec(span, 0..4)
                .prop_map(|spans| format!("[{}]", spans.join(",")))
                .boxed(),
        ),
        ("trace_id", any_string().boxed()),
        ("thread", text()),
        (
            "flags",
            prop_oneof![Just("[\"truncated\",\"x\"]".to_owned()), list].boxed(),
        ),
    ])
}

fn any_batch() -> impl Strategy<Value = String> {
    let source = entries(vec![
        ("service", any_value().boxed()),
        ("boot", any_value().boxed()),
        ("host", any_value().boxed()),
        ("attrs", object(any_name(), any_value()).boxed()),
    ]);
    let callsite = "\\{\"level\":\"(info|WARN|x)\"(,\"target\":\"[a-z]\")?(,\"kind\":\"(span|event)\")?(,\"line\":[1-9])?(,\"file\":(null|1[.]0|\"f\"))?\\}";
    let dropped =
        "\\{\"level\":\"info\",\"reason\":\"f(\\\\u0075|u)ll\",\"count\":(1|0),\"from\":-?1,\"to\":[0-9]\\}";
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let parts = (
        prop_oneof![3 => Just("{\"service\":\"s\",\"boot\":\"b\"}".to_owned()), 2 => source],
        vec(callsite, 0..3).prop_map(list),
        vec(any_record(), 0..6).prop_map(list),
        proptest::option::weighted(0.2, vec(dropped, 0..3).prop_map(list)),
        proptest::option::weighted(0.3, select(vec!["1", "1", "1", "null", "2", "\"1\"", "1.0"])),
        proptest::option::weighted(0.1, (any_name(), any_value())),
    );
    parts.prop_flat_map(|(source, callsites, records, dropped, version, other)| {
        let mut entries = vec![
            format!("\"source\":{source}"),
            format!("\"callsites\":{callsites}"),
            format!("\"records\":{records}"),
            "\"no\":7".to_owned(),
        ];
        entries.extend(dropped.map(|list| format!("\"dropped\":{list}")));
        entries.extend(version.map(|version| format!("\"v\":{version}")));
        entries.extend(other.map(|(name, value)| format!("{name}:{value}")));
        Just(entries)
            .prop_shuffle()
            .prop_map(|entries| format!("{{{}}}", entries.join(",")))
    })
}

/// A piece of the text goes, comes twice, or makes place for something else.
fn mutated(mut text: String, changes: &[(Index, u8, &'static str)]) -> String {
    for (index, length, instead) in changes {
        let start = text.floor_char_boundary(index.index(text.len() + 1));
        let end = text.floor_char_boundary((start + usize::from(*length)).min(text.len()));
        text.replace_range(start..end, instead);
    }
    text
}

const INSTEAD: [&str; 24] = [
    "",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-",
    ".",
    "e9",
    "null",
    " ",
    "\n",
    "登",
    "\\ud800",
    "\\u00",
    "\u{1}",
    "true",
    "\"records\":",
    "\"source\":{\"service\":\"t\"},",
    "\"callsite\":0,",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn batches_are_read_as_the_plain_reader_reads_them(batch in any_batch()) {
        check(&batch);
    }

    /// What could not be read is not written; all else survives.
    #[test]
    fn what_was_read_is_written_as_a_text_that_reads_the_same(batch in any_batch()) {
        if let Ok(read) = Batch::parse(&batch, ARRIVED) {
            let again = Batch::parse(&read.to_json(), ARRIVED).unwrap();
            prop_assert_eq!(again, Batch { rejected: Vec::new(), ..read });
        }
    }

    #[test]
    fn spoilt_batches_are_refused_as_the_plain_reader_refuses_them(
        batch in any_batch(),
        changes in vec((any::<Index>(), 0..4u8, select(INSTEAD.to_vec())), 1..4),
    ) {
        check(&mutated(batch, &changes));
    }
}

const WHOLE: &str = r#"{"v": 1, "source": {"service": "iptv", "boot": "9f3c", "attrs": {"env": "prod"}}, "no": 17,
 "sent": 1790000000123456789, "unknown": [{"a":[]}],
 "dropped": [{"level": "debug", "reason": "full", "count": 132, "from": 1790000000000000000, "to": -4}],
 "callsites": [{"target": "iptv::catalog", "file": "src/catalog.rs", "line": 41, "level": "info", "kind": "event"}],
 "records": [{"seq": 9001, "ts": 1790000000120000000, "callsite": 0, "message": "channel \"7\" opened \ud83d\ude00",
 "fields": {"user_id": 42, "latency_ms": 3.5, "ok": true, "big": 18446744073709551616, "deep": [[{"x": null}]]},
 "spans": [{"name": "request", "fields": {"path": "/live"}}, "inner"], "trace_id": "0af7651916cd43dd8448eb211c80319c",
 "thread": "tokio-rt-worker", "flags": ["truncated"]}, {"level": 30, "target": "t", "line": 7, "ts": "2026-09-21T14:13:20Z"}]}"#;

#[test]
fn no_single_byte_makes_a_difference() {
    // Each prefix, each byte left out, each byte replaced: what a broken sender or wire may do.
    for at in (0..WHOLE.len()).filter(|at| WHOLE.is_char_boundary(*at)) {
        check(&WHOLE[..at]);
        for instead in ["", "\"", "\\", "}", "]", ",", "0", "-", "x", "\u{0}", "\\ud800"] {
            check(&format!("{}{instead}{}", &WHOLE[..at], &WHOLE[at + 1..]));
        }
    }
}

#[test]
fn text_spoilt_again_and_again_makes_no_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = WHOLE.to_owned();
    for round in 0..20_000 {
        let start = text.floor_char_boundary(random.usize(..=text.len()));
        let end = text.ceil_char_boundary((start + random.usize(..3)).min(text.len()));
        let piece = match random.usize(..3) {
            0 => random.choice(INSTEAD).expect("there are some").to_owned(),
            1 => random.char('\0'..='\u{ff}').to_string(),
            _ => {
                let from = WHOLE.floor_char_boundary(random.usize(..WHOLE.len()));
                WHOLE[from..WHOLE.ceil_char_boundary((from + random.usize(..20)).min(WHOLE.len()))].to_owned()
            }
        };
        text.replace_range(start..end, &piece);
        check(&text);
        // Most is broken after a few changes, and then there is little left to disagree about.
        if round % 4 == 3 {
            text = WHOLE.to_owned();
        }
    }
}

fn with_record(record: &str) -> String {
    format!(r#"{{"source":{{"service":"s"}},"records":[{{}},{record},{{"message":"after"}}]}}"#)
}

#[test]
fn what_is_too_deep_too_wide_or_too_long_is_cut_alike() {
    for depth in [31, 32, 33, 127, 128, 200, 10_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"b\" : [ ", "] }]")] {
            let value = format!("{}\"\\n\"{}", open.repeat(depth), close.repeat(depth));
            check(&with_record(&format!(
                r#"{{"fields":{{"x":{value}}},"unknown":{value}}}"#
            )));
            check(&with_record(&format!(
                r#"{{"message":{value},"spans":[{{"fields":{{"x":{value}}}}}]}}"#
            )));
        }
    }
    for width in [255, 256, 257, 1_000] {
        let fields: Vec<String> = (0..width)
            .map(|number| format!("\"f{number}\":\"\\ud800\""))
            .collect();
        let fields = fields.join(",");
        check(&with_record(&format!(
            r#"{{"fields":{{{fields},"f0":1}},"ts":"odd","level":"odd"}}"#
        )));
        let spans = vec!["{\"name\":\"登\",\"fields\":{\"a\":1}}"; width / 8].join(",");
        check(&with_record(&format!(r#"{{"spans":[{spans}]}}"#)));
    }
    for length in [127, 128, 129, 255, 256, 257] {
        for character in ["x", "登", "\\n", "\\u767b"] {
            let name = character.repeat(length);
            check(&with_record(&format!(
                r#"{{"fields":{{"{name}":1}},"thread":"{name}","target":"{name}","spans":["{name}"]}}"#
            )));
            check(&format!(
                r#"{{"source":{{"service":"{name}"}},"callsites":[{{"level":"info","target":"{name}"}}],"records":[{{"callsite":0}}]}}"#
            ));
        }
    }
    let limit = limits::RECORD_BYTES;
    for length in [limit / 8, limit / 4 - 50, limit / 4, limit / 2, limit, limit + 1] {
        let (text, numbers) = ("登".repeat(length / 3), vec!["1"; length / 2].join(","));
        check(&with_record(&format!(r#"{{"message":"{text}"}}"#)));
        check(&with_record(&format!(
            r#"{{"fields":{{"a":[{numbers}],"b":"{text}"}},"message":"{text}"}}"#
        )));
        check(&with_record(&format!(
            r#"{{"spans":[{{"name":"n","fields":{{"a":"{text}","b":1}}}}],"message":"x"}}"#
        )));
    }
}

#[test]
fn batches_at_their_limits_are_refused_alike() {
    for count in [4_999, 5_000, 5_001] {
        let records = vec!["{}"; count].join(",");
        check(&format!(
            r#"{{"source":{{"service":"s"}},"records":[{records}]}}"#
        ));
        check(&format!(r#"{{"v":2,"source":{{}},"records":[{records}]}}"#));
        check(&format!(r#"{{"source":7,"records":[{records}]}}"#));
        check(&format!(r#"{{"source":7,"records":[{records},tru]}}"#));
    }
    let large = format!(r#"{{"message":"{}"}}"#, "x".repeat(limits::RECORD_BYTES / 2 - 14));
    for count in [31, 32, 33, 40] {
        let records = vec![&*large; count].join(",");
        check(&format!(
            r#"{{"source":{{"service":"s"}},"records":[{records}]}}"#
        ));
        check(&format!(
            r#"{{"source":{{"service":"s"}},"records":[{records}x]}}"#
        ));
    }
}
