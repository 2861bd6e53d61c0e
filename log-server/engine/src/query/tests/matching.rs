//! What is found, by example: one record, one line per query.

use log_record::{Batch, Timestamp};

use crate::query::{Scratch, parse};

const BATCH: &str = r#"{"v":1,
 "source":{"service":"Iptv","instance":"host-7:4312","boot":"9f3c","host":"host-7","version":"1.4.2",
   "attrs":{"env":"prod","zone":{"name":"eu"}}},
 "callsites":[{"target":"iptv::catalog","file":"crates/iptv/src/catalog.rs","line":41,"level":"warn"}],
 "records":[{"seq":9001,"callsite":0,"message":"Connection reset by peer: 登录失败, STRAẞE ΟΔΟΣ İstanbul 100%",
   "fields":{"user_id":42,"latency_ms":3.5,"ok":true,"nothing":null,"order":"42","big":9007199254740993,
     "huge":18446744073709551615,"vast":18446744073709551616,"path":"/live/一?a=*","service":"own","level":"loud",
     "odd name":"x y","a.b":"dotted","a":{"b":1,"c":{"d":"deep"}},"items":[1,"two",{"sku":"S-3"}],"empty":"","none":[],
     "User":"Ann","elapsed":"950","ratio":1e-7,"error":{"message":"boom","chain":["first cause"]},"C":"c"},
   "spans":[{"name":"request","fields":{"path":"/live","status":200}},{"name":"sql query","fields":{"rows":3}}],
   "trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","thread":"tokio-rt-worker"}]}"#;

#[track_caller]
fn check(query: &str, found: bool) {
    let batch = Batch::parse(BATCH, Timestamp::from_nanos(0)).unwrap();
    let query = parse(query).unwrap_or_else(|error| panic!("{query:?}: {error}"));
    let matches = query
        .filter
        .matches(&batch.records[0], &batch.source, &mut Scratch::default());
    assert_eq!(matches, found, "{query}");
}

#[test]
fn words_are_substrings_of_every_text_of_the_record() {
    let texts = [
        "reset",
        "\"RESET by\"",
        "登录",
        "录失",
        "Straße",
        "οδος",
        "100%",
        "iptv",
        "\"host-7:43\"",
        "1.4.2",
        "iptv::cat",
        "catalog.rs",
        "rt-work",
        "4BF92F35",
        "00f067aa",
        "42",
        "3.5",
        "true",
        "null",
        "9007199254740993",
        "18446744073709551616",
        "loud",
        "deep",
        "two",
        "S-3",
        "cause",
        "request",
        "\"sql q\"",
        "/live",
        "200",
        "1e-7",
        "\"x y\"",
    ];
    for text in texts {
        check(text, true);
    }
    for text in [
        "strasse",
        "istanbul",
        "user_id",
        "warn",
        "9f3c",
        "prod",
        "41",
        "catalog.rs:41",
        "peer登",
        "truefalse",
        "[1",
        "sku",
    ] {
        check(text, false);
    }
}

#[test]
fn operators_combine() {
    check("reset 登录 level:warn", true);
    check("reset refused", false);
    check("refused OR reset", true);
    check("refused OR timeout", false);
    check("reset -refused", true);
    check("reset -peer", false);
    check("NOT (refused OR timeout)", true);
    check("refused reset OR peer", true);
    check("refused (reset OR peer)", false);
    check("*", true);
    check("-*", false);
}

#[test]
fn levels_are_ordered() {
    check("level:warn", true);
    check("level:WARNING", true);
    check("level>=warn", true);
    check("level>warn", false);
    check("level<=warn", true);
    check("level<warn", false);
    check("level:debug..warn", true);
    check("level:(info OR warn)", true);
    check("-level:warn", false);
    check("fields.level:loud", true);
}

#[test]
fn the_message_is_searched_and_other_fields_are_compared() {
    check("message:RESET", true);
    check("message:\"reset by peer\"", true);
    check("message:conn*peer", true);
    check("message:peer*conn", false);
    check("message:catalog", false);
    check("message:reset*reset", false);
    check("user:*n*n*", true);
    check("user:*a*n*n*n*", false);
    check("message:*", true);
    check("service:iptv", true);
    check("service:ipt", false);
    check("service:ip*", true);
    check("service:own", false);
    check("fields.service:own", true);
    check("target:iptv::*", true);
    check("target:*::catalog", true);
    check("target:i*:c*g", true);
    check("target:iptv::cat", false);
    check("user:ann", true);
    check("USER:ANN", true);
    check("c:C", true);
    check("\"odd name\":\"X Y\"", true);
    check("path:*live*", true);
    check("path:*/live*", true);
    check("path:*\\*", true);
    check("path:*\"a=*\"", true);
    check("path:*x\\**", false);
    check("path:/live/一?a=\\*", true);
    check("empty:\"\"", true);
    check("path:\"\"", false);
}

#[test]
fn values_equal_as_number_boolean_or_text() {
    check("user_id:42", true);
    check("user_id:42.0", true);
    check("user_id:4.2e1", true);
    check("user_id:042", false);
    check("user_id:4", false);
    check("user_id:4*", true);
    check("order:42", true);
    check("order:42.0", false);
    check("ok:TRUE", true);
    check("ok:false", false);
    check("nothing:null", true);
    check("latency_ms:3.50", true);
    check("ratio:0.0000001", true);
    check("big:9007199254740993", true);
    check("big:9007199254740992", false);
    check("huge:18446744073709551615", true);
    check("huge:18446744073709551614", false);
    check("vast:18446744073709551616", true);
}

#[test]
fn numbers_compare() {
    check("latency_ms>3", true);
    check("latency_ms>3.5", false);
    check("latency_ms>=3.5", true);
    check("latency_ms<4", true);
    check("latency_ms<=3", false);
    check("latency_ms:3..4", true);
    check("user_id:42..42", true);
    check("user_id:43..50", false);
    check("user_id:50..1", false);
    check("user_id:10..", true);
    check("user_id:..41", false);
    check("elapsed>949", true);
    check("elapsed>950", false);
    check("big>9007199254740992", true);
    check("big>9007199254740993", false);
    check("huge>=18446744073709551615", true);
    check("vast>18446744073709551615", true);
    check("path>0", false);
    check("missing<1", false);
    check("-missing<1", true);
    check("items>0", true);
    check("a.b>0", true);
    check("line:41", true);
    check("line>41", false);
    check("seq>=9001", true);
}

#[test]
fn presence_and_values_of_values() {
    check("user_id:*", true);
    check("nothing:*", true);
    check("none:*", true);
    check("empty:*", true);
    check("a:*", true);
    check("missing:*", false);
    check("-missing:*", true);
    check("a.b:1", true);
    check("a.b:dotted", true);
    check("a.c.d:deep", true);
    check("a.c:*", true);
    check("a.c:deep", false);
    check("a.d:deep", false);
    check("items:two", true);
    check("items:1", true);
    check("items.sku:s-3", true);
    check("items:(1 two)", true);
    check("error.chain:first*", true);
    check("error.message:boom", true);
}

#[test]
fn regular_expressions_ignore_case_unless_told() {
    check("/RESET BY/", true);
    check("/^reset/", false);
    check("/(?-i)RESET/", false);
    check("/\\d+%$/", true);
    check("path:/^\\/live\\/./", true);
    check("user_id:/^4.$/", true);
    check("ok:/^t/", true);
    check("items:/^s-/", false);
    check("items.sku:/^s-/", true);
    check("a:/./", false);
}

#[test]
fn context_has_names() {
    check("spans:request", true);
    check("spans:\"SQL query\"", true);
    check("spans:sql", false);
    check("spans:*", true);
    check("span.path:/live", true);
    check("span.status:200", true);
    check("span.status>=200", true);
    check("span.rows:*", true);
    check("span.missing:*", false);
    check("span.path:/^.live$/", true);
    check("trace:4bf92f3577b34da6a3ce929d0e0e4736", true);
    check("trace_id:4BF92*", true);
    check("trace:4bf92", false);
    check("span_id:00f067aa0ba902b7", true);
    check("boot:9f3c", true);
    check("instance:host-7:4312", true);
    check("host:host-7", true);
    check("version:1.4.*", true);
    check("thread:tokio-*", true);
    check("file:*catalog.rs", true);
    check("attrs.env:prod", true);
    check("attrs.zone.name:EU", true);
    check("attrs.user_id:*", false);
    check("flags:big_number", true);
    check("flags:truncated", false);
    check("flags:*", true);
}

#[test]
fn what_was_not_given_is_absent_and_not_empty() {
    let short = r#"{"source":{"service":"x","instance":null},"records":[{"spans":[{"name":""}]}]}"#;
    let batch = Batch::parse(short, Timestamp::from_nanos(0)).unwrap();
    let names = [
        "message", "instance", "host", "version", "boot", "target", "file", "line", "callsite", "thread",
        "trace", "span_id", "seq", "flags", "spans", "span.a", "attrs.a", "a",
    ];
    for name in names {
        for value in ["*", "\"\"", "/^/"] {
            let query = parse(&format!("{name}:{value}")).unwrap();
            let matches = query
                .filter
                .matches(&batch.records[0], &batch.source, &mut Scratch::default());
            assert!(!matches, "{query}");
        }
    }
}

#[test]
fn a_callsite_may_be_written_without_line_and_directories() {
    check("callsite:crates/iptv/src/catalog.rs:41", true);
    check("callsite:src/catalog.rs:41", true);
    check("callsite:catalog.rs:41", true);
    check("callsite:catalog.rs", true);
    check("callsite:src/catalog.rs", true);
    check("callsite:src/catalog.rs:4", false);
    check("callsite:log.rs:41", false);
    check("callsite:iptv/*:41", true);
    check("callsite:crates/*", true);
    check("callsite:/rs:4\\d$/", true);
    check("callsite:*", true);
}
