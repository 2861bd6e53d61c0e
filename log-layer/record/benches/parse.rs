//! How fast batches are read: records and bytes per second, next to `serde_json` only checking that it is JSON and
//! next to the plain reader of the tests. Letting go of the batch is part of it, as it is for the server.
//!
//! `cargo bench -p log-record`; an instruction count that does not depend on the machine's load:
//! `valgrind --tool=callgrind --toggle-collect='*::Batch::parse' <the bench's binary> --test ours/full`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by panicking"
)]

#[path = "../tests/reference/mod.rs"]
mod reference;

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use log_record::{Batch, BorrowedBatch, Outline, Timestamp};
use serde::de::IgnoredAny;

const ARRIVED: Timestamp = Timestamp::from_nanos(1_790_000_000_000_000_000);
const RECORDS: usize = 1_000;

const MESSAGES: [(&str, &str); 8] = [
    ("info", "request completed in {} ms, {} bytes written"),
    ("info", "order ord_{} created by user {} total {} cents"),
    ("warn", "slow query took {} ms on connection {}"),
    ("error", "connection to 10.0.{}.17:{} failed: connection refused"),
    (
        "debug",
        "cache miss for user {}, loading from replica {} (\\\"eu-west-1\\\")",
    ),
    ("info", "用户 {} 登录成功，来源地址 10.2.{}.9"),
    (
        "debug",
        "network changed: v4(en0+:10.3.15.{}) v6(en0:2607:f140:6000:8:c6b3:1ff:{}) DNS! Proxy SMB",
    ),
    (
        "info",
        "accepted publickey for user {} from 10.1.0.3 port {} ssh2: RSA key registered",
    ),
];

const FIELDS: [&str; 8] = [
    "\"user_id\":{}",
    "\"latency_ms\":{}.125",
    "\"path\":\"/api/v1/orders/{}/history\"",
    "\"status\":200",
    "\"session\":\"9f3c00{}aa7\"",
    "\"cache_hit\":true",
    "\"region\":\"cn-north-1\"",
    "\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{}.0\"",
];

/// How a batch is written.
#[derive(Clone, Copy)]
enum Form {
    /// As the layer writes it, with a dictionary of call-sites.
    Full,
    /// As other languages write it, in the order of Python's example.
    Short,
    /// The same, by Python: blanks after commas and colons, and no character beyond ASCII.
    Python,
}

/// Replaces each `{}` by a number.
fn filled(template: &str, random: &mut fastrand::Rng) -> String {
    template
        .split("{}")
        .enumerate()
        .fold(String::new(), |mut text, (index, part)| {
            if index > 0 {
                let digits = random.u32(1..6);
                write!(text, "{}", random.u32(10u32.pow(digits - 1)..10u32.pow(digits))).unwrap();
            }
            text + part
        })
}

/// A batch, the same at every run, of records of some 375 bytes.
fn batch(form: Form) -> String {
    let mut random = fastrand::Rng::with_seed(42);
    let callsites: Vec<String> = (0..40)
        .map(|number| {
            let (level, _) = MESSAGES[number % MESSAGES.len()];
            format!(r#"{{"target":"shop::http::handler{number}","file":"src/http/handler.rs","line":{number},"level":"{level}","kind":"event"}}"#)
        })
        .collect();
    let records: Vec<String> = (0..RECORDS)
        .map(|number| {
            let place = random.usize(..callsites.len());
            let (level, message) = MESSAGES[place % MESSAGES.len()];
            let from = random.usize(..3);
            let fields: Vec<String> = (from..from + 3 + random.usize(..3))
                .map(|field| filled(FIELDS[field], &mut random))
                .collect();
            let message = filled(message, &mut random);
            let origin = match form {
                Form::Full => format!("\"callsite\":{place}"),
                Form::Short | Form::Python => {
                    format!("\"level\":\"{level}\",\"target\":\"shop::http::handler{}\"", place / 4)
                }
            };
            format!(
                r#"{{"seq":{},"ts":{},{origin},"message":"{message}","fields":{{{}}},"spans":[{{"name":"http_request","fields":{{"method":"GET"}}}}],"trace_id":"{:032x}","span_id":"{:016x}","thread":"tokio-rt-worker"}}"#,
                9_000 + number,
                1_789_999_990_000_000_000u64 + number as u64 * 1_234_567,
                fields.join(","),
                random.u128(..),
                random.u64(..),
            )
        })
        .collect();
    let dictionary = match form {
        Form::Full => format!("\"callsites\":[{}],", callsites.join(",")),
        Form::Short | Form::Python => String::new(),
    };
    let source = r#"{"service":"shop","instance":"host-7:4312","boot":"9f3c","host":"host-7"}"#;
    let text = format!(
        "{{\"v\":1,\"source\":{source},\"no\":17,{dictionary}\"records\":[{}]}}",
        records.join(",")
    );
    match form {
        Form::Full | Form::Short => text,
        Form::Python => as_python(&text),
    }
}

fn as_python(text: &str) -> String {
    let mut ascii = String::new();
    for character in text.replace("\":", "\": ").replace(",\"", ", \"").chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{unit:04x}").unwrap();
        }
    }
    ascii
}

fn parse(c: &mut Criterion) {
    for (name, form) in [
        ("full", Form::Full),
        ("short", Form::Short),
        ("python", Form::Python),
    ] {
        let text = batch(form);
        let read = Batch::parse(&text, ARRIVED).unwrap();
        assert_eq!((read.records.len(), read.rejected.len()), (RECORDS, 0));
        let mut group = c.benchmark_group("parse");
        group.throughput(Throughput::ElementsAndBytes {
            elements: RECORDS as u64,
            bytes: text.len() as u64,
        });
        group.bench_with_input(BenchmarkId::new("ours", name), &text, |b, text| {
            b.iter(|| Batch::parse(black_box(text), ARRIVED).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("borrowed", name), &text, |b, text| {
            b.iter(|| BorrowedBatch::read(black_box(text), ARRIVED).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("outline", name), &text, |b, text| {
            b.iter(|| Outline::read(black_box(text), ARRIVED).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("plain", name), &text, |b, text| {
            b.iter(|| reference::parse(black_box(text), ARRIVED).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("serde_json checking", name), &text, |b, text| {
            b.iter(|| serde_json::from_str::<IgnoredAny>(black_box(text)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
