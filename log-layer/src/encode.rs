//! JSON values written straight into a byte buffer: numbers, text, errors with their causes.
//!
//! Promises: whatever the value's own code does, what stands in the buffer afterwards is one valid JSON value, and text
//! stops at the limit on a character boundary. Knows nothing of events, fields or records.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

/// An error that names more causes than this is most likely a cycle.
pub(crate) const CAUSES: usize = 16;

/// Quotes, colon, comma and a number.
#[cfg(all(feature = "valuable", any(test, tracing_unstable)))]
const SMALL_ENTRY: usize = 24;

/// Appends the one value that `write` writes. Text may fill `out` up to `stop` bytes; brackets and quotes may exceed it
/// by a few. A panic in `write` is replaced by a text that says so.
///
/// Returns whether something was cut.
pub(crate) fn value(out: &mut Vec<u8>, stop: usize, write: impl FnOnce(&mut Json<'_>)) -> bool {
    let start = out.len();
    let mut json = Json {
        out,
        stop,
        truncated: false,
    };
    let survived = catch_unwind(AssertUnwindSafe(|| write(&mut json))).is_ok();
    if survived {
        return json.truncated;
    }
    json.out.truncate(start);
    json.stop = usize::MAX;
    json.text("<panic in Debug>");
    false
}

/// Appends `text` whole, as a JSON string.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    value(out, usize::MAX, |json| json.text(text));
}

/// Writes one value; made by [`value`].
pub(crate) struct Json<'a> {
    out: &'a mut Vec<u8>,
    stop: usize,
    truncated: bool,
}

impl Json<'_> {
    /// An integer or a boolean: what JSON has a word for.
    pub(crate) fn plain(&mut self, value: impl Serialize) {
        serde_json::to_writer(&mut *self.out, &value).expect("a Vec takes every byte");
    }

    /// Shortest form that reads back as the same number; JSON has no word for the others, so they become text.
    pub(crate) fn float(&mut self, value: f64) {
        if value.is_finite() {
            self.plain(value);
        } else if value.is_nan() {
            self.text("NaN");
        } else {
            self.text(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
    }

    /// Text.
    pub(crate) fn text(&mut self, text: &str) {
        self.string(|json| json.write_str(text));
    }

    /// What a `Debug` or `Display` implementation prints, streamed: a hundred megabytes stop at the limit.
    pub(crate) fn quoted(&mut self, text: fmt::Arguments<'_>) {
        self.string(|json| json.write_fmt(text));
    }

    /// JSON text that was written here before; as text if there is no room for it.
    #[cfg(feature = "valuable")]
    pub(crate) fn written(&mut self, json: &str) {
        if self.out.len() + json.len() <= self.stop {
            self.out.extend_from_slice(json.as_bytes());
        } else {
            self.text(json);
        }
    }

    fn string(&mut self, print: impl FnOnce(&mut Self) -> fmt::Result) {
        self.out.push(b'"');
        let printed = print(self);
        if printed.is_err() && !self.truncated {
            // Cut at the limit like any other text.
            let _ = self.write_str("<error in Debug>");
        }
        self.out.push(b'"');
    }

    /// An error and its causes, outermost first.
    pub(crate) fn error(&mut self, error: impl fmt::Display, causes: impl Iterator<Item: fmt::Display>) {
        self.out.extend_from_slice(b"{\"message\":");
        self.quoted(format_args!("{error}"));
        self.out.extend_from_slice(b",\"chain\":[");
        for (index, cause) in causes.take(CAUSES).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.quoted(format_args!("{cause}"));
        }
        self.out.extend_from_slice(b"]}");
    }

    /// Appends a run of characters that need no escape, or as many as fit.
    fn run(&mut self, run: &str) -> fmt::Result {
        let room = self.stop.saturating_sub(self.out.len());
        let fits = run.floor_char_boundary(room);
        self.out.extend_from_slice(&run.as_bytes()[..fits]);
        if fits < run.len() {
            self.truncated = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// For structures inside structures.
#[cfg(all(feature = "valuable", any(test, tracing_unstable)))]
impl Json<'_> {
    /// Brackets, colons and commas.
    pub(crate) fn punctuation(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Where the next entry starts; none if there is no room for one whose name is so long, and a small value.
    pub(crate) fn room_for(&mut self, name_bytes: usize) -> Option<usize> {
        let fits = self.out.len() + name_bytes + SMALL_ENTRY <= self.stop;
        self.truncated |= !fits;
        fits.then_some(self.out.len())
    }

    /// Takes back what was written since.
    pub(crate) fn back_to(&mut self, start: usize) {
        self.out.truncate(start);
    }

    /// In place of a value.
    pub(crate) fn left_out(&mut self) {
        self.out.extend_from_slice("\"…\"".as_bytes());
        self.truncated = true;
    }
}

/// The characters of a JSON string.
impl fmt::Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // No character is shorter than a byte, so more than this need not be looked at.
        let room = self.stop.saturating_sub(self.out.len());
        let seen = &text[..text.floor_char_boundary(room)];
        let mut plain = 0;
        for (at, byte) in seen.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.run(&seen[plain..at])?;
            plain = at + 1;
            let mut code = *b"\\u0000";
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                _ => {
                    code[4] += byte >> 4;
                    code[5] = b"0123456789abcdef"[usize::from(byte & 15)];
                    &code
                }
            };
            if self.out.len() + escape.len() > self.stop {
                self.truncated = true;
                return Err(fmt::Error);
            }
            self.out.extend_from_slice(escape);
        }
        self.run(&seen[plain..])?;
        if seen.len() < text.len() {
            self.truncated = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(write: impl FnOnce(&mut Json<'_>), expected: &str) {
        let mut out = Vec::new();
        value(&mut out, usize::MAX, write);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn numbers_keep_every_digit_and_non_finite_ones_become_text() {
        check(|json| json.plain(i64::MIN), "-9223372036854775808");
        check(|json| json.plain(u64::MAX), "18446744073709551615");
        check(|json| json.float(0.1), "0.1");
        check(|json| json.float(1e300), "1e+300");
        check(|json| json.float(f64::NAN), "\"NaN\"");
        check(|json| json.float(f64::INFINITY), "\"Infinity\"");
        check(|json| json.float(f64::NEG_INFINITY), "\"-Infinity\"");
        check(
            |json| json.quoted(format_args!("{}", i128::MIN)),
            "\"-170141183460469231731687303715884105728\"",
        );
    }

    #[test]
    fn control_characters_are_escaped_and_everything_else_is_kept() {
        check(
            |json| json.text("a\"\\\n\r\t\u{0}\u{1b}[31m\u{1f}\u{7f}登录"),
            "\"a\\\"\\\\\\n\\r\\t\\u0000\\u001b[31m\\u001f\u{7f}登录\"",
        );
    }

    #[test]
    fn a_panic_or_an_error_while_printing_leaves_a_text_that_says_so() {
        struct Broken;
        impl fmt::Debug for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half a ")?;
                Err(fmt::Error)
            }
        }
        check(
            |json| json.quoted(format_args!("{Broken:?}")),
            "\"half a <error in Debug>\"",
        );
        check(
            |json| {
                json.out.extend_from_slice(b"\"half");
                panic!("expected by this test");
            },
            "\"<panic in Debug>\"",
        );
    }

    #[test]
    fn an_error_carries_its_causes_and_a_cycle_ends() {
        let mut out = Vec::new();
        value(&mut out, usize::MAX, |json| {
            json.error("again", std::iter::repeat("and again"))
        });
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(parsed["message"], "again");
        assert_eq!(parsed["chain"].as_array().unwrap().len(), CAUSES);
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            let cut = value(&mut out, usize::MAX, |json| json.text(&text));
            prop_assert!(!cut);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn cut_text_is_valid_and_a_prefix(text in any::<String>(), stop in 0_usize..40) {
            let mut out = Vec::new();
            let cut = value(&mut out, stop, |json| json.quoted(format_args!("{}{text}", "")));
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert!(text.starts_with(&read));
            prop_assert_eq!(cut, read.len() < text.len());
            prop_assert!(out.len() <= stop.max(1) + 1);
        }

        #[test]
        fn any_finite_float_reads_back_bit_for_bit(value_in in any::<f64>()) {
            prop_assume!(value_in.is_finite());
            let mut out = Vec::new();
            value(&mut out, usize::MAX, |json| json.float(value_in));
            let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
            prop_assert_eq!(read.to_bits(), value_in.to_bits());
        }
    }
}
