//! Text that Python writes and JSON forbids: `NaN`, `Infinity` and `-Infinity` outside strings become strings of
//! that name, and half a surrogate pair (`\ud800`) becomes U+FFFD. Only text that was refused is looked at, so
//! well-formed text costs nothing. Never panics, and leaves alone whatever it does not know.

use serde::de::DeserializeOwned;

/// Parses JSON, and once more after a repair if that fails.
///
/// # Errors
///
/// The error of the first attempt, because that is about the text as it was sent.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        repaired(text)
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or(error)
    })
}

/// The text without what Python should not have written, or `None` if there is nothing of the kind.
pub(crate) fn repaired(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut fixed = String::new();
    let (mut copied, mut at, mut inside_string) = (0, 0, false);
    while at < bytes.len() {
        let (length, replacement) = match bytes[at] {
            b'"' => {
                inside_string = !inside_string;
                (1, None)
            }
            b'\\' if inside_string => escape(&text[at..]),
            b'N' | b'I' | b'-' if !inside_string => number(&text[at..]),
            _ => (1, None),
        };
        if let Some(replacement) = replacement {
            fixed.push_str(&text[copied..at]);
            fixed.push_str(replacement);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return None;
    }
    fixed.push_str(&text[copied..]);
    Some(fixed)
}

/// The length of the token at the start of `text`, and what to write instead.
fn number(text: &str) -> (usize, Option<&'static str>) {
    for (token, string) in [
        ("NaN", "\"NaN\""),
        ("Infinity", "\"Infinity\""),
        ("-Infinity", "\"-Infinity\""),
    ] {
        if text.starts_with(token) {
            return (token.len(), Some(string));
        }
    }
    (1, None)
}

fn escape(text: &str) -> (usize, Option<&'static str>) {
    match (code_unit(text), text.get(6..).and_then(code_unit)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, None),
        (Some(0xD800..=0xDFFF), _) => (6, Some("\\ufffd")),
        (Some(_), _) => (6, None),
        // A backslash and whatever it escapes, of which the first byte is enough to get past a quote.
        (None, _) => (2, None),
    }
}

fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(repaired(text).as_deref().unwrap_or(text), expected);
    }

    #[test]
    fn what_only_python_writes_is_repaired() {
        check("NaN", r#""NaN""#);
        check("[NaN, Infinity,-Infinity]", r#"["NaN", "Infinity","-Infinity"]"#);
        check(r#"{"NaN": "Infinity \" NaN"}"#, r#"{"NaN": "Infinity \" NaN"}"#);
        check(r#""\ud800""#, r#""\ufffd""#);
        check(r#""\udc00\ud83d\ude00\ud83d""#, r#""\ufffd\ud83d\ude00\ufffd""#);
        check(r#""\\ud800 \\\ud800""#, r#""\\ud800 \\\ufffd""#);
        check("-1", "-1");
        check(r#""\"#, r#""\"#);
        check("\"\\é\\", "\"\\é\\");
        check(r#""\ud8"#, r#""\ud8"#);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", python in r#"([\[\]{},:"\\ud8c0é -]|NaN|Infinity|-Infinity)*"#) {
            let (_, _) = (repaired(&text), repaired(&python));
        }

        #[test]
        fn valid_json_is_left_alone(strings in prop::collection::vec(any::<String>(), 0..8), float: f64) {
            let mut ascii = String::new();
            for character in serde_json::to_string(&(strings, float)).unwrap().chars() {
                match character {
                    ' '..='~' => ascii.push(character),
                    _ => ascii.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
                }
            }
            prop_assert_eq!(repaired(&ascii), None);
        }
    }
}
