//! Settings from environment variables. What cannot be read is a problem to report, never a failure.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

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

    /// `name=value,name=value`, as OpenTelemetry has it; values are taken as they are.
    pub(crate) fn attrs(&mut self) -> BTreeMap<String, String> {
        let read = |text: &str| {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.trim().to_owned(), value.trim().to_owned()))
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
