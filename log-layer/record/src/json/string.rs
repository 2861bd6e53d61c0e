//! Strings: found eight bytes at a time, and copied only by who keeps them.
//!
//! A lone UTF-16 surrogate (Python writes them) is no error here: it becomes U+FFFD and is flagged.

use std::borrow::Cow;

use super::{Scanner, Stop};
use crate::flags::{Flag, Flags};

/// A string as it stands between its quotes; every escape in it is well-formed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literal<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Scanner<'a> {
    /// The string that comes next.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Literal<'a>, Stop> {
        self.take(b'"')?;
        let rest = &self.text[self.at..];
        let end = plain_length(rest.as_bytes());
        if rest.as_bytes().get(end) != Some(&b'"') {
            return self.escaped_string(rest, end);
        }
        self.at += end + 1;
        Ok(Literal {
            raw: &rest[..end],
            escaped: false,
        })
    }

    /// The rest of a string that does not end at `end`. Apart, to keep the way of most strings short.
    #[inline(never)]
    fn escaped_string(&mut self, rest: &'a str, mut end: usize) -> Result<Literal<'a>, Stop> {
        let bytes = rest.as_bytes();
        while bytes.get(end) == Some(&b'\\') {
            end += escape_length(&bytes[end..]).ok_or(Stop::Syntax)?;
            end += plain_length(&bytes[end..]);
        }
        if bytes.get(end) != Some(&b'"') {
            return Err(Stop::Syntax);
        }
        self.at += end + 1;
        Ok(Literal {
            raw: &rest[..end],
            escaped: true,
        })
    }
}

/// The length of what a string can hold as it is: up to a quote, a backslash, a control character or the end.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (chunks, rest) = bytes.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // Subtracting one from each byte borrows into its high bit where the byte was zero. A borrow may also mark the
        // byte above it, never one below: the lowest mark is right. (Mycroft's test, three times at once; bytes that
        // had their high bit set before are part of a character.)
        let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
        let control = word.wrapping_sub(ONES * 0x20);
        let marks = (quote | backslash | control) & !word & HIGH;
        if marks != 0 {
            return index * 8 + (marks.trailing_zeros() / 8) as usize;
        }
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    chunks.len() * 8 + rest.iter().position(stops).unwrap_or(rest.len())
}

/// The length of the escape that `bytes` begin with; `None` if it is none.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => code_unit(bytes).map(|_| 6),
        _ => None,
    }
}

/// The code unit of the `\uXXXX` that `bytes` begin with.
#[inline]
fn code_unit(bytes: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes.first_chunk::<6>()? else {
        return None;
    };
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

impl<'a> Literal<'a> {
    /// The bytes between the quotes, as they stand.
    pub(crate) fn raw(&self) -> &'a str {
        self.raw
    }

    /// The characters; copied only if there are escapes.
    #[inline]
    pub(crate) fn text(self, flags: &mut Flags) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw, flags))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The characters, where a lone surrogate is not mended: of names that a program chose. `None` if there is one.
    #[inline]
    pub(crate) fn exact(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(Cow::Borrowed(self.raw));
        }
        let mut flags = Flags::default();
        let text = self.text(&mut flags);
        flags.is_empty().then_some(text)
    }
}

fn unescape(raw: &str, flags: &mut Flags) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        // Non-Latin text from Python is escape after escape: no search between two of them.
        if !rest.starts_with('\\') {
            let plain = rest.find('\\').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            rest = &rest[plain..];
        }
        let Some(escape) = rest.as_bytes().get(1) else {
            break;
        };
        let (character, length) = match escape {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unicode(rest.as_bytes(), flags),
            itself => (char::from(*itself), 2),
        };
        text.push(character);
        rest = &rest[length..];
    }
    // Escapes are up to six times as long as what they stand for, and the record may be kept for long.
    text.shrink_to_fit();
    text
}

/// The character that the escape or the two escapes of a surrogate pair stand for, and their length.
fn unicode(bytes: &[u8], flags: &mut Flags) -> (char, usize) {
    let unit = code_unit(bytes).expect("an escape is checked where the string is found");
    let pair = match (unit, bytes.get(6..).and_then(code_unit)) {
        (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
            char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        _ => None,
    };
    match (pair, char::from_u32(unit)) {
        (Some(character), _) => (character, 12),
        (None, Some(character)) => (character, 6),
        (None, None) => {
            flags.set(Flag::Surrogate);
            (char::REPLACEMENT_CHARACTER, 6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str, mended: bool) {
        let mut flags = Flags::default();
        let literal = Scanner::new(json).string().unwrap();
        assert_eq!(literal.text(&mut flags), expected, "{json}");
        assert_eq!(flags.has(Flag::Surrogate), mended, "{json}");
        assert_eq!(literal.exact().is_none(), mended, "{json}");
        if !mended {
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), expected);
        }
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        check(r#""plain""#, "plain", false);
        check(r#""""#, "", false);
        check(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t", false);
        check(
            r#""\u0041\u00e9\u767B\u0000 and \u007f""#,
            "Aé登\0 and \u{7f}",
            false,
        );
        check(r#""before\\nafter\\""#, "before\\nafter\\", false);
        check(r#""\uffff\ufffd""#, "\u{ffff}\u{fffd}", false);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        check(r#""\ud83d\ude00""#, "😀", false);
        check(r#""\uD800\uDC00\udbff\udfff""#, "\u{10000}\u{10ffff}", false);
        check(r#""a\ud800b""#, "a\u{FFFD}b", true);
        check(r#""\ud800\ud83d\ude00""#, "\u{FFFD}😀", true);
        check(r#""\\ud800 \udc00\n""#, "\\ud800 \u{FFFD}\n", true);
        check(r#""\ud800\n\udc00\ud800""#, "\u{FFFD}\n\u{FFFD}\u{FFFD}", true);
        check(r#""\ud800\\udc00""#, "\u{FFFD}\\udc00", true);
    }

    #[test]
    fn a_string_ends_where_it_ends_wherever_that_is() {
        for filler in ["a", "\u{7f}", "é", "登", "😀", " ", "!", "]", "#"] {
            for length in 0..40 {
                for stop in ["\"", "\\", "\u{0}", "\u{1f}"] {
                    let before = filler.repeat(length);
                    let text = format!("{before}{stop}{before}\"\\\u{1}");
                    assert_eq!(plain_length(text.as_bytes()), before.len(), "{text:?}");
                }
                let text = filler.repeat(length);
                assert_eq!(plain_length(text.as_bytes()), text.len(), "{text:?}");
            }
        }
    }
}
