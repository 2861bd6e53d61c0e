//! What a line of a log file says about itself: its level and its time, where they can be told.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tracing::Level;

/// What could be told of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its severity.
    pub level: Option<Level>,
    /// Its time; a line without a zone is taken as UTC, one without a year as within the last twelve months.
    pub time: Option<Timestamp>,
}

/// How many words at the start of a line may hold its time and level; later ones belong to the message.
const HEAD_WORDS: usize = 8;

/// Date and time as log files write them, without brackets. `false`: without a year, which then is added in front.
const FORMATS: [(&str, usize, bool); 8] = [
    ("%Y-%m-%dT%H:%M:%S%.f", 1, true),
    ("%Y-%m-%d %H:%M:%S%.f", 2, true),
    // Before the one with four digits, which would take two for the year 17.
    ("%y/%m/%d %H:%M:%S", 2, true),
    ("%Y/%m/%d %H:%M:%S%.f", 2, true),
    ("%y%m%d %H%M%S", 2, true),
    ("%a %b %d %H:%M:%S %Y", 5, true),
    ("%Y %b %d %H:%M:%S", 3, false),
    ("%Y %m.%d %H:%M:%S", 2, false),
];

/// Reads the head of a line. `now` places lines that name no year.
pub fn recognise(line: &str, now: Timestamp) -> Line {
    let words: Vec<&str> = line.split_whitespace().take(HEAD_WORDS).collect();
    let level = words.iter().find_map(|word| level(word));
    let bare: Vec<&str> = words
        .iter()
        .map(|word| word.trim_matches(['[', ']', '(', ')', ':']))
        .collect();
    Line {
        level,
        time: time(&bare, now),
    }
}

/// Only as log files write levels, in capitals or in brackets: an `error` in the middle of a sentence is a word.
fn level(word: &str) -> Option<Level> {
    let bare = word.trim_matches(['[', ']', '(', ')', ':']);
    let bracketed = word.starts_with('[') && word.ends_with(']');
    if !bracketed && !bare.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    match bare.to_ascii_uppercase().as_str() {
        "TRACE" => Some(Level::TRACE),
        "DEBUG" => Some(Level::DEBUG),
        "INFO" | "NOTICE" => Some(Level::INFO),
        "WARN" | "WARNING" => Some(Level::WARN),
        "ERROR" | "FATAL" | "CRITICAL" | "CRIT" | "SEVERE" | "EMERG" | "ALERT" => Some(Level::ERROR),
        _ => None,
    }
}

fn time(words: &[&str], now: Timestamp) -> Option<Timestamp> {
    for start in 0..words.len().min(3) {
        // RFC 3339 brings its zone.
        if let Some(found) = words.get(start).and_then(|word| word.parse().ok()) {
            return Some(found);
        }
        for (format, length, has_year) in FORMATS {
            let Some(words) = words.get(start..start + length) else {
                continue;
            };
            // Java writes milliseconds after a comma.
            let text = words.join(" ").replacen(',', ".", 1);
            let found = if has_year {
                parse(format, &text)
            } else {
                recent(format, &text, now)
            };
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn parse(format: &str, text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(format, text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A time without a year: the latest such time that is not more than a day ahead.
fn recent(format: &str, text: &str, now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::UTC);
    let latest = now.checked_add(24.hours()).ok()?;
    [
        today.year(),
        today.year() - 1,
        today.year() - 2,
        today.year() - 3,
        today.year() - 4,
    ]
    .iter()
    .filter_map(|year| parse(format, &format!("{year} {text}")))
    .find(|time| *time <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, level: Option<Level>, time: Option<&str>) {
        let now = "2026-06-01T12:00:00Z".parse().unwrap();
        let time = time.map(|time| time.parse().unwrap());
        assert_eq!(recognise(line, now), Line { level, time }, "{line}");
    }

    #[test]
    fn heads_of_real_log_lines_are_understood() {
        check(
            "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok",
            Some(Level::INFO),
            Some("2005-12-04T04:47:44Z"),
        );
        check(
            "[Sun Dec 04 04:47:44 2005] [error] mod_jk child",
            Some(Level::ERROR),
            Some("2005-12-04T04:47:44Z"),
        );
        check(
            "081109 203615 148 INFO dfs.DataNode$PacketResponder: x",
            Some(Level::INFO),
            Some("2008-11-09T20:36:15Z"),
        );
        check(
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure",
            None,
            Some("2025-06-14T15:16:01Z"),
        );
        check(
            "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user",
            None,
            Some("2025-12-10T06:55:46Z"),
        );
        check(
            "Feb 29 06:55:46 host sshd[1]: leap",
            None,
            Some("2024-02-29T06:55:46Z"),
        );
        check(
            "nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.osapi x",
            Some(Level::INFO),
            Some("2017-05-16T00:00:00.008Z"),
        );
        check(
            "[10.30 16:49:06] chrome.exe - proxy",
            None,
            Some("2025-10-30T16:49:06Z"),
        );
        check(
            "17/06/09 20:10:40 INFO executor.Backend: Registered",
            Some(Level::INFO),
            Some("2017-06-09T20:10:40Z"),
        );
        check(
            "2015-07-29 17:41:44,747 - WARN  [x] - y",
            Some(Level::WARN),
            Some("2015-07-29T17:41:44.747Z"),
        );
        check(
            "2026-01-02T03:04:05.5+02:00 DEBUG x",
            Some(Level::DEBUG),
            Some("2026-01-02T01:04:05.5Z"),
        );
        check("2026-01-02T03:04:05.5Z x", None, Some("2026-01-02T03:04:05.5Z"));
        check("no head at all, an error here is a word", None, None);
        check("", None, None);
    }
}
