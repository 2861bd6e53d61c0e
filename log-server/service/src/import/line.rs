//! One line of a log to one record in the short form that `append` takes.
//!
//! JSON lines: our own export as it is, and the shapes of common loggers with time, level, message and names found by
//! their usual keys; every other key becomes a field. Other lines: the time at or near the beginning and the first word that is
//! a level are found, and the whole line stays the message. Nothing is invented: what is not found is left out.

use log_record::Level;
use serde_json::{Map, Value, json};

const TIME: [&str; 8] = [
    "ts",
    "time",
    "timestamp",
    "@timestamp",
    "date",
    "datetime",
    "eventTime",
    "t",
];
const LEVEL: [&str; 6] = ["level", "severity", "lvl", "loglevel", "log.level", "levelname"];
const MESSAGE: [&str; 6] = ["message", "msg", "log", "text", "event", "short_message"];
const TARGET: [&str; 4] = ["target", "logger", "module", "logger_name"];
/// Keys of our own records, which are taken over as they are.
const OWN: [&str; 7] = ["file", "line", "fields", "spans", "trace_id", "span_id", "thread"];
/// What our own records say of their sender, besides the service.
const SENDER: [&str; 4] = ["instance", "host", "version", "attrs"];
/// Characters at the beginning of a line in which a level is looked for.
const HEAD: usize = 120;

/// A record, and what it says of its sender: `service` and more, or nothing.
pub(super) struct Parsed {
    pub(super) record: Value,
    pub(super) sender: Map<String, Value>,
    /// Whether the line can be continued by lines that begin with white space, as stack traces are.
    pub(super) is_text: bool,
}

pub(super) fn parse(line: &str) -> Parsed {
    if line.starts_with('{')
        && let Ok(Value::Object(object)) = serde_json::from_str(line)
    {
        return from_object(object);
    }
    let mut record = json!({ "message": line });
    if let Some(time) = time(line).or_else(|| time_within(line)) {
        record["ts"] = time.into();
    }
    if let Some(level) = level(line) {
        record["level"] = level.as_str().into();
    }
    Parsed {
        record,
        sender: Map::new(),
        is_text: true,
    }
}

fn from_object(mut object: Map<String, Value>) -> Parsed {
    let mut record = Map::new();
    for (name, keys) in [("ts", &TIME[..]), ("message", &MESSAGE), ("target", &TARGET)] {
        if let Some(value) = keys.iter().find_map(|key| object.remove(*key)) {
            let text = value
                .as_str()
                .and_then(|text| if name == "ts" { time(text) } else { None });
            record.insert(name.into(), text.map_or(value, Value::from));
        }
    }
    if let Some(value) = LEVEL.iter().find_map(|key| object.remove(*key)) {
        record.insert("level".into(), value);
    }
    let is_ours = ["id", "service"]
        .iter()
        .all(|key| object.get(*key).is_some_and(Value::is_string))
        && record.contains_key("ts")
        && record.contains_key("message");
    let mut sender = Map::new();
    let names_service = |key: &&str| {
        object
            .get(*key)
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty())
    };
    if let Some(key) = ["service", "service.name", "app"].into_iter().find(names_service) {
        sender.extend(object.remove(key).map(|service| ("service".to_owned(), service)));
    }
    if is_ours {
        for key in SENDER {
            sender.extend(object.remove(key).map(|value| (key.to_owned(), value)));
        }
        // These tell records of one run apart, and an import is another run.
        ["id", "boot", "seq", "flags"]
            .iter()
            .for_each(|key| drop(object.remove(*key)));
    }
    let is_own = object.get("fields").is_none_or(Value::is_object);
    for key in OWN {
        let fits = match (key, object.get(key)) {
            (_, None) => false,
            ("fields", Some(_)) => is_own,
            ("spans", Some(value)) => value.is_array(),
            ("line", Some(value)) => value.is_u64(),
            (_, Some(value)) => value.is_string(),
        };
        if fits && let Some(value) = object.remove(key) {
            record.insert(key.into(), value);
        }
    }
    if !object.is_empty() {
        let fields = record.entry("fields").or_insert_with(|| json!({}));
        if let Value::Object(fields) = fields {
            for (name, value) in object {
                fields.entry(name).or_insert(value);
            }
        }
    }
    Parsed {
        record: Value::Object(record),
        sender,
        is_text: false,
    }
}

/// The level whose name is a word near the beginning; the first one counts.
fn level(line: &str) -> Option<Level> {
    let head = &line[..line.floor_char_boundary(HEAD)];
    head.split(|c: char| !c.is_ascii_alphabetic())
        // In running text only capitals mean it, or brackets: `[error]`.
        .filter(|word| word.len() >= 4)
        .find_map(|word| {
            let at = word.as_ptr() as usize - head.as_ptr() as usize;
            let bracketed = at > 0 && head[..at].ends_with(['[', '<', '|', '=']);
            let is_meant = bracketed || word.bytes().all(|byte| byte.is_ascii_uppercase());
            word.parse().ok().filter(|_| is_meant)
        })
}

/// The time that the line begins with, as RFC 3339; a time without a zone is taken for UTC.
fn time(line: &str) -> Option<String> {
    let line = line.trim_start_matches(['[', '<', '"', ' ']);
    let head = &line[..line.floor_char_boundary(48)];
    if let Some(time) = rfc3339(head) {
        return Some(time);
    }
    const FORMATS: [&str; 5] = [
        "%a %b %d %H:%M:%S%.f %Y",
        "%Y/%m/%d %H:%M:%S%.f",
        "%d/%b/%Y:%H:%M:%S %z",
        "%d/%b/%Y:%H:%M:%S",
        "%y%m%d %H%M%S",
    ];
    for format in FORMATS {
        if let Some(time) = begins_with(format, head) {
            return Some(time);
        }
    }
    syslog(head)
}

/// The time after a syslog priority, `<34>1 `, in the brackets of a web server's log, or behind its key: `ts=`.
fn time_within(line: &str) -> Option<String> {
    const MARKS: [&str; 5] = [" [", "ts=", "time=", "timestamp=", "t="];
    let head = &line[..line.floor_char_boundary(HEAD)];
    let priority = head.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    if let Some((_, rest)) = priority {
        return time(rest.strip_prefix("1 ").unwrap_or(rest));
    }
    MARKS.iter().find_map(|mark| time(head.split_once(mark)?.1))
}

/// `2026-09-21T14:13:20.5Z`, with a space for the T, a comma for the point, or without a zone.
fn rfc3339(head: &str) -> Option<String> {
    let (date, clock) = (head.get(..10)?, head.get(11..19)?);
    let looks_right = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-' && clock.as_bytes()[2] == b':';
    if !looks_right || !matches!(head.as_bytes()[10], b'T' | b' ' | b't') {
        return None;
    }
    let mut rest = &head[19..];
    let mut time = format!("{date}T{clock}");
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            time.push('.');
            time.push_str(&fraction[..digits.min(9)]);
        }
        rest = &fraction[digits..];
    }
    let zone = rest.strip_prefix(['+', '-']).and_then(|zone| {
        let (hours, minutes) = (zone.get(..2)?, zone.get(2..)?.trim_start_matches(':').get(..2)?);
        let digits = hours
            .bytes()
            .chain(minutes.bytes())
            .all(|byte| byte.is_ascii_digit());
        digits.then(|| format!("{}{hours}:{minutes}", &rest[..1]))
    });
    time.push_str(zone.as_deref().unwrap_or("Z"));
    time.parse::<log_record::Timestamp>()
        .ok()
        .map(|time| time.to_string())
}

/// The longest beginning of `head` that has the format.
fn begins_with(format: &str, head: &str) -> Option<String> {
    let ends = head
        .char_indices()
        .map(|(at, _)| at)
        .chain([head.len()])
        .filter(|at| *at >= 13);
    ends.rev().find_map(|end| {
        let parsed = jiff::fmt::strtime::parse(format, &head[..end]).ok()?;
        let time = parsed
            .to_timestamp()
            .or_else(|_| {
                parsed
                    .to_datetime()?
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .map(|zoned| zoned.timestamp())
            })
            .ok()?;
        Some(time.to_string())
    })
}

/// `Jan  2 03:04:05`: the year is this one, or the last one if that would be the future.
fn syslog(head: &str) -> Option<String> {
    let head = head.get(..15)?;
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let of = |year: i16| begins_with("%Y %b %e %H:%M:%S", &format!("{year} {head}"));
    let this = of(now.year())?;
    let tomorrow = now.timestamp().as_second() + 86_400;
    let is_future = this
        .parse::<jiff::Timestamp>()
        .is_ok_and(|time| time.as_second() > tomorrow);
    if is_future { of(now.year() - 1) } else { Some(this) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Value) {
        assert_eq!(parse(line).record, expected, "{line}");
    }

    #[test]
    fn plain_lines_keep_their_text_and_gain_a_time_and_a_level() {
        for (line, time, level) in [
            (
                "2026-09-21T14:13:20.5Z WARN x",
                "2026-09-21T14:13:20.500000000Z",
                Some("warn"),
            ),
            (
                "2026-09-21 14:13:20,123 ERROR x",
                "2026-09-21T14:13:20.123000000Z",
                Some("error"),
            ),
            (
                "2026-09-21T16:13:20+02:00 x",
                "2026-09-21T14:13:20.000000000Z",
                None,
            ),
            (
                "[2026-09-21 14:13:20] [error] x",
                "2026-09-21T14:13:20.000000000Z",
                Some("error"),
            ),
            (
                "[Sun Dec 04 04:47:44 2005] [notice] x",
                "2005-12-04T04:47:44Z",
                Some("info"),
            ),
            ("2026/09/21 14:13:20 x", "2026-09-21T14:13:20Z", None),
            (
                "<34>1 2003-10-11T22:14:15.003Z host su - x",
                "2003-10-11T22:14:15.003000000Z",
                None,
            ),
            (
                "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 2326",
                "2000-10-10T20:55:36Z",
                None,
            ),
            (
                "level=warn ts=2026-09-21T14:13:20Z msg=\"at=5\"",
                "2026-09-21T14:13:20.000000000Z",
                Some("warn"),
            ),
            (
                "081109 203615 148 INFO dfs.x",
                "2008-11-09T20:36:15Z",
                Some("info"),
            ),
        ] {
            let mut expected = json!({"message": line, "ts": time});
            if let Some(level) = level {
                expected["level"] = level.into();
            }
            check(line, expected);
        }
        check(
            "no time, and no error either",
            json!({"message": "no time, and no error either"}),
        );
        let syslog = parse("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure").record;
        assert!(
            syslog["ts"].as_str().unwrap().contains("-06-14T15:16:01"),
            "{syslog}"
        );
        assert!(parse("登录 2026-09-21").record.get("ts").is_none());
    }

    #[test]
    fn json_of_common_loggers_is_understood() {
        check(
            r#"{"timestamp":"2026-09-21T14:13:20Z","level":"WARN","msg":"m","logger":"a.b","user":7}"#,
            json!({"ts": "2026-09-21T14:13:20.000000000Z", "level": "WARN", "message": "m", "target": "a.b", "fields": {"user": 7}}),
        );
        check(
            r#"{"level":30,"time":1790000000000,"msg":"pino"}"#,
            json!({"level": 30, "ts": 1_790_000_000_000_i64, "message": "pino"}),
        );
        check(
            r#"{"line":"x","fields":3}"#,
            json!({"fields": {"line": "x", "fields": 3}}),
        );
        check("{broken", json!({"message": "{broken"}));
        let named = parse(r#"{"service":"shop","msg":"m","host":"h"}"#);
        assert_eq!(Value::Object(named.sender), json!({"service": "shop"}));
        assert_eq!(named.record["fields"], json!({"host": "h"}));
    }

    #[test]
    fn our_own_export_comes_back_whole() {
        let line = r#"{"id":"8192","time":"2026-09-21T14:13:20.000000000Z","level":"error","service":"shop","host":"h","boot":"b","seq":7,"target":"a","file":"f.rs","line":4,"message":"m","fields":{"x":1},"spans":[{"name":"s"}],"trace_id":"ab"}"#;
        let parsed = parse(line);
        assert_eq!(
            Value::Object(parsed.sender),
            json!({"service": "shop", "host": "h"})
        );
        assert_eq!(
            parsed.record,
            json!({"ts": "2026-09-21T14:13:20.000000000Z", "level": "error", "target": "a", "file": "f.rs", "line": 4,
                   "message": "m", "fields": {"x": 1}, "spans": [{"name": "s"}], "trace_id": "ab"})
        );
    }
}
