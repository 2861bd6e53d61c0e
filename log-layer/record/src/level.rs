//! Severity, in `tracing`'s five steps; other systems' names and numbers map onto them.

use std::fmt;
use std::str::FromStr;

/// Severity of a record, ordered: `Trace < Debug < Info < Warn < Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Very fine detail.
    Trace,
    /// Detail for whoever debugs.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// Something odd that was survived.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// All levels, mildest first; the index is the discriminant.
    pub const ALL: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// The lower-case name used on the wire, in queries and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    /// Python's `logging` numbers (10 debug … 50 critical); below 10 is trace.
    pub const fn from_python(number: u64) -> Level {
        match number {
            0..10 => Level::Trace,
            10..20 => Level::Debug,
            20..30 => Level::Info,
            30..40 => Level::Warn,
            _ => Level::Error,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no level we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of trace, debug, info, warn, error")
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Case-insensitive; knows the names of syslog, Python and log4j.
    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        const NAMES: [(&str, Level); 20] = [
            ("trace", Level::Trace),
            ("finest", Level::Trace),
            ("verbose", Level::Trace),
            ("debug", Level::Debug),
            ("fine", Level::Debug),
            ("info", Level::Info),
            ("information", Level::Info),
            ("notice", Level::Info),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("severe", Level::Error),
            ("critical", Level::Error),
            ("crit", Level::Error),
            ("fatal", Level::Error),
            ("alert", Level::Error),
            ("emerg", Level::Error),
            ("emergency", Level::Error),
            ("panic", Level::Error),
        ];
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, level)| *level)
            .ok_or(UnknownLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Level>) {
        assert_eq!(text.parse::<Level>().ok(), expected, "{text:?}");
    }

    #[test]
    fn names_of_other_systems_map_to_the_five_levels() {
        check("INFO", Some(Level::Info));
        check("Warning", Some(Level::Warn));
        check("CRITICAL", Some(Level::Error));
        check("notice", Some(Level::Info));
        check("", None);
        check("loud", None);
        for level in Level::ALL {
            check(level.as_str(), Some(level));
        }
    }

    #[test]
    fn levels_are_ordered_by_severity_and_indexed_by_it() {
        assert!(Level::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            Level::ALL
                .iter()
                .enumerate()
                .all(|(index, level)| *level as usize == index)
        );
    }
}
