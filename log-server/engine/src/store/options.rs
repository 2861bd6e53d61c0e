//! What can be chosen of a store: how it is cut into files, and how long records are kept.

use std::str::FromStr;
use std::time::Duration;

use log_record::Level;

/// Choices; the defaults suit most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A partition older than this is closed and the next begun: what is deleted is deleted in such pieces.
    pub partition_age: Duration,
    /// So is one that is larger than this; with a byte budget, than an eighth of it.
    pub partition_bytes: u64,
    /// Records that waited so long are sealed although they are few.
    pub seal_age: Duration,
    /// What is deleted.
    pub keep: Keep,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            partition_age: Duration::from_secs(86_400),
            partition_bytes: 4 << 30,
            // Small enough that a restart reads little, large enough that quiet services make few blocks.
            seal_age: Duration::from_secs(600),
            keep: Keep::default(),
        }
    }
}

/// How long records are kept, counted from their arrival. By default for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// By [`Level`] as index; `None`: for ever.
    pub levels: [Option<Duration>; Level::ALL.len()],
    /// Bytes that all files together may take; beyond it the oldest partition is deleted.
    pub bytes: Option<u64>,
}

impl Keep {
    /// The levels whose time is up at that age, as bits.
    pub(super) fn expired(&self, age: Duration) -> u32 {
        let mut expired = 0;
        for level in Level::ALL {
            if self.levels[level as usize].is_some_and(|kept| age > kept) {
                expired |= bit(level);
            }
        }
        expired
    }
}

/// Every level, as bits.
pub(super) const EVERY_LEVEL: u32 = (1 << Level::ALL.len()) - 1;

pub(super) fn bit(level: Level) -> u32 {
    1 << level as u32
}

/// One rule of how long records are kept: `30d` for all, `debug=2d` for a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct KeepRule {
    /// For which level; `None`: for those that have no rule of their own.
    pub level: Option<Level>,
    /// How long.
    pub time: Duration,
}

/// What is wrong with a rule; worded for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time to keep records: say 30d for all of them, or debug=2d for a level; s, m, h, d, w and y are understood"
)]
pub struct BadKeepRule(String);

impl FromStr for KeepRule {
    type Err = BadKeepRule;

    fn from_str(text: &str) -> Result<KeepRule, BadKeepRule> {
        let bad = || BadKeepRule(text.to_owned());
        let (level, time) = match text.split_once('=') {
            Some((level, time)) => (Some(level.trim().parse().map_err(|_| bad())?), time),
            None => (None, text),
        };
        let KeepTime(time) = time.parse().map_err(|_| bad())?;
        Ok(KeepRule { level, time })
    }
}

impl TryFrom<String> for KeepRule {
    type Error = BadKeepRule;

    fn try_from(text: String) -> Result<KeepRule, BadKeepRule> {
        text.parse()
    }
}

/// A time as people write it: `30d`, `12h`. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct KeepTime(pub Duration);

/// What is wrong with a time; worded for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time: say 30d or 12h; s, m, h, d, w and y are understood")]
pub struct BadKeepTime(String);

impl FromStr for KeepTime {
    type Err = BadKeepTime;

    fn from_str(text: &str) -> Result<KeepTime, BadKeepTime> {
        let bad = || BadKeepTime(text.to_owned());
        let time = text.trim();
        let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let seconds = match &time[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            "y" => 365 * 86_400,
            _ => return Err(bad()),
        };
        let count: u64 = digits.trim().parse().map_err(|_| bad())?;
        let seconds = count.checked_mul(seconds).filter(|seconds| *seconds > 0);
        Ok(KeepTime(Duration::from_secs(seconds.ok_or_else(bad)?)))
    }
}

impl TryFrom<String> for KeepTime {
    type Error = BadKeepTime;

    fn try_from(text: String) -> Result<KeepTime, BadKeepTime> {
        text.parse()
    }
}

impl FromIterator<KeepRule> for Keep {
    fn from_iter<I: IntoIterator<Item = KeepRule>>(rules: I) -> Keep {
        let mut keep = Keep::default();
        let mut others = None;
        for rule in rules {
            match rule.level {
                Some(level) => keep.levels[level as usize] = Some(rule.time),
                None => others = Some(rule.time),
            }
        }
        for level in &mut keep.levels {
            *level = level.or(others);
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(Option<Level>, u64)>) {
        let rule = text.parse::<KeepRule>().ok();
        assert_eq!(
            rule.map(|rule| (rule.level, rule.time.as_secs())),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn rules_name_a_time_and_perhaps_a_level() {
        check("30d", Some((None, 30 * 86_400)));
        check("debug=2d", Some((Some(Level::Debug), 2 * 86_400)));
        check(" warn = 1y ", Some((Some(Level::Warn), 365 * 86_400)));
        check("90m", Some((None, 5_400)));
        for wrong in [
            "",
            "d",
            "30",
            "0d",
            "-1d",
            "30 days",
            "loud=2d",
            "debug=",
            "99999999999999999999y",
            "9999999999999999y",
            "2d=debug",
            "2ö",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_level_with_its_own_rule_does_not_follow_the_others() {
        let rules = ["30d", "error=365d", "debug=2d"];
        let keep: Keep = rules
            .iter()
            .map(|rule| rule.parse::<KeepRule>().unwrap())
            .collect();
        let days = |days: u64| Duration::from_secs(days * 86_400 + 1);
        assert_eq!(keep.expired(days(1)), 0);
        assert_eq!(keep.expired(days(2)), bit(Level::Debug));
        assert_eq!(keep.expired(days(30)), EVERY_LEVEL & !bit(Level::Error));
        assert_eq!(keep.expired(days(365)), EVERY_LEVEL);
        assert_eq!(Keep::default().expired(days(365_000)), 0);
    }
}
