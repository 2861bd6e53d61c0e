//! What was typed, read as arguments of a call and as times.

use std::time::Duration;

use rpc::RawArgs;
use serde_json::value::{RawValue, to_raw_value};

use super::failure::Failure;

/// `NAME=VALUE` is a keyword argument, everything else a positional one. What is JSON is taken as it is, so that
/// numbers keep their digits; what is not is a string, unless it begins as JSON does.
///
/// # Errors
///
/// When a keyword is there twice, and for JSON with a mistake in it.
pub(crate) fn arguments(words: &[String]) -> Result<RawArgs, Failure> {
    let (mut args, mut kwargs) = (Vec::new(), Vec::<(&str, Box<RawValue>)>::new());
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if is_name(name) => {
                if kwargs.iter().any(|(known, _)| *known == name) {
                    return Err(Failure::Usage(format!("the argument {name} is there twice")));
                }
                kwargs.push((name, value_of(value)?));
            }
            _ => args.push(value_of(word)?),
        }
    }
    let args: Vec<&str> = args.iter().map(|value| value.get()).collect();
    let kwargs: Vec<String> = kwargs
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    Ok(RawArgs {
        args: format!("[{}]", args.join(",")),
        kwargs: format!("{{{}}}", kwargs.join(",")),
    })
}

fn value_of(word: &str) -> Result<Box<RawValue>, Failure> {
    match serde_json::from_str(word) {
        Ok(value) => Ok(value),
        Err(error) if word.starts_with(['{', '[', '"']) => Err(Failure::Usage(format!(
            "the argument {word} is no JSON: {error}; a text that begins like this needs quotation marks: {}",
            string(word)
        ))),
        Err(_) => Ok(string(word)),
    }
}

fn string(word: &str) -> Box<RawValue> {
    to_raw_value(word).expect("a string can be written as JSON")
}

/// As Python knows names, but only those that need no escape.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A time like `30s`, `5m` or `800ms`; a number alone is seconds.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    if let Ok(seconds) = word.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    // What the parser complains of takes its manual to understand.
    let time: jiff::SignedDuration = word
        .parse()
        .map_err(|_| "a time is a number with a unit, as in 30s, 5m or 800ms")?;
    time.try_into()
        .map_err(|_| "a time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, args: &str, kwargs: &str) {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let read = arguments(&words).unwrap();
        assert_eq!((read.args.as_str(), read.kwargs.as_str()), (args, kwargs));
    }

    #[test]
    fn words_become_arguments() {
        check("14 3", "[14,3]", "{}");
        check("x=14 y=[1,2]", "[]", r#"{"x":14,"y":[1,2]}"#);
        check("Ada true null -1.50", r#"["Ada",true,null,-1.50]"#, "{}");
        check(
            r#"1180591620717411303424 a="14""#,
            "[1180591620717411303424]",
            r#"{"a":"14"}"#,
        );
        check(
            "http://h/?q=1 =x 1=2 a=b=c",
            r#"["http://h/?q=1","=x","1=2"]"#,
            r#"{"a":"b=c"}"#,
        );
    }

    #[test]
    fn a_keyword_is_there_once() {
        assert!(matches!(
            arguments(&["x=1".into(), "x=2".into()]),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn json_with_a_mistake_is_not_taken_for_a_text() {
        for word in ["{bad", r#"x=["a""#, r#""half"#, "[1,]"] {
            let told = arguments(&[word.into()]).unwrap_err().to_string();
            assert!(
                told.contains("is no JSON") && told.contains('\\') == word.contains('"'),
                "{told}"
            );
        }
    }

    #[test]
    fn times_are_read() {
        for (word, time) in [("30s", 30_000), ("5m", 300_000), ("800ms", 800), ("1.5", 1500)] {
            assert_eq!(duration(word), Ok(Duration::from_millis(time)), "{word}");
        }
        for word in ["", "-1", "-5s", "x", "NaN"] {
            assert!(duration(word).is_err(), "{word}");
        }
    }
}
