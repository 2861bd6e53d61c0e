//! Settings from environment variables. What cannot be read is a problem to report, never a failure.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use tracing_core::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Environment variables, and what was wrong with them.
pub(crate) struct Environment<Read> {
    read: Read,
    problems: Vec<String>,
}

impl<Read: Fn(&str) -> Option<String>> Environment<Read> {
    pub(crate) fn new(read: Read) -> Self {
        Environment {
            read,
            problems: Vec::new(),
        }
    }

    pub(crate) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    /// A variable that is set to something.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        (self.read)(name).filter(|text| !text.is_empty())
    }

    /// The first of the variables that is set, or the default.
    pub(crate) fn setting<T: FromStr>(&mut self, names: &[&str], default: T) -> T {
        self.read(names, |text| text.parse().ok()).unwrap_or(default)
    }

    pub(crate) fn milliseconds(&mut self, names: &[&str], default: Duration) -> Duration {
        let read = |text: &str| text.parse().ok().map(Duration::from_millis);
        self.read(names, read).unwrap_or(default)
    }

    pub(crate) fn switch(&mut self, names: &[&str], default: bool) -> bool {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        };
        self.read(names, read).unwrap_or(default)
    }

    /// Levels, for all targets or for one: `info,hyper=off`. A word alone is a level: as a target, one that is spelt wrong
    /// would silence everything.
    pub(crate) fn targets(&mut self, names: &[&str]) -> Option<Targets> {
        self.read(names, |text| {
            let words = text.split(',').filter(|part| !part.contains('='));
            let known = words
                .into_iter()
                .all(|word| word.trim().parse::<LevelFilter>().is_ok());
            text.parse().ok().filter(|_| known)
        })
    }

    /// `name=value,name=value` with percent-encoding, as OpenTelemetry has it.
    pub(crate) fn attrs(&mut self) -> BTreeMap<String, String> {
        let read = |text: &str| {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((decoded(name.trim())?, decoded(value.trim())?))
                })
                .collect()
        };
        self.read(&["OTEL_RESOURCE_ATTRIBUTES"], read).unwrap_or_default()
    }

    fn read<T>(&mut self, names: &[&str], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (name, text) = names.iter().find_map(|name| Some((name, self.text(name)?)))?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.problems
                .push(format!("{name} cannot be read, the default holds: {text:?}"));
        }
        parsed
    }
}

/// What a percent-encoded text stands for; none if it is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        let value = |digit: u8| char::from(digit).to_digit(16);
        let code = value(digits[0])? * 16 + value(digits[1])?;
        bytes.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(decoded(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn percent_signs_stand_for_bytes_and_what_is_no_text_is_refused() {
        check("plain", Some("plain"));
        check("a%2Cb%3dc%20", Some("a,b=c "));
        check("%E7%99%BB", Some("登"));
        check("100%", None);
        check("%2", None);
        check("%zz", None);
        check("%+1", None);
        check("%ff", None);
    }
}
