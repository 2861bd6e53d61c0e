//! Why arguments do not fit a signature, in Python's words.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::required::required;
use super::signature::Parameters;
use super::{Named, parse};

/// Why the arguments do not fit, without the method's name.
#[derive(Debug)]
pub(super) enum Misfit {
    /// This parameter got no argument; perhaps it is not the only one.
    Missing(&'static str),
    TooMany {
        parameters: usize,
        given: usize,
    },
    Other(String),
}

/// In the words of Python, which counts parameters with a default apart.
pub(super) fn complaint<P: DeserializeOwned>(misfit: &Misfit, args: &str, kwargs: &str) -> String {
    let required = || match Parameters::of::<P>() {
        Parameters::Named(names) => Some((names, required::<P>(names)?)),
        Parameters::Positional(_) | Parameters::AnyPositional | Parameters::AnyNamed | Parameters::Any => {
            None
        }
    };
    match misfit {
        Misfit::Missing(first) => {
            let missing = required().and_then(|(names, required)| {
                let positional: Vec<&RawValue> = parse(args).ok()?;
                let named: Named<'_> = parse(kwargs).ok()?;
                let given = |name: &str| {
                    let place = names.iter().position(|other| *other == name);
                    place < Some(positional.len()) || named.0.contains_key(name)
                };
                let missing: Vec<&str> = required.into_iter().filter(|name| !given(name)).collect();
                missing.contains(first).then_some(missing)
            });
            missing_arguments(&missing.unwrap_or_else(|| vec![*first]))
        }
        Misfit::TooMany { parameters, given } => {
            let least = required().map_or(*parameters, |(_, required)| required.len());
            wrong_number(least, *parameters, *given)
        }
        Misfit::Other(text) => text.clone(),
    }
}

fn missing_arguments(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let (plural, list) = match &quoted[..] {
        [] | [_] => ("", quoted.concat()),
        [first, last] => ("s", format!("{first} and {last}")),
        [some @ .., last] => ("s", format!("{}, and {last}", some.join(", "))),
    };
    format!(
        "missing {} required positional argument{plural}: {list}",
        names.len()
    )
}

fn wrong_number(least: usize, most: usize, given: usize) -> String {
    let takes = match most {
        _ if least < most => format!("from {least} to {most} positional arguments"),
        1 => "1 positional argument".to_owned(),
        _ => format!("{most} positional arguments"),
    };
    let were = if given == 1 { "was" } else { "were" };
    format!("takes {takes} but {given} {were} given")
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => f.write_str(&missing_arguments(&[name])),
            Self::TooMany { parameters, given } => {
                f.write_str(&wrong_number(*parameters, *parameters, *given))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(text.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

pub(super) fn unexpected(name: &str) -> Misfit {
    Misfit::Other(format!("got an unexpected keyword argument '{name}'"))
}

pub(super) fn misfit(argument: impl fmt::Display, error: &serde_json::Error) -> Misfit {
    Misfit::Other(format!("argument {argument}: {error}"))
}
