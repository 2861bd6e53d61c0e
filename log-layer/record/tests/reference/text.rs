//! Text as it arrives: JSON strings with lone surrogates (Python writes them) are mended, long text is cut at a
//! character boundary.

use log_record::{Flag, Flags};

/// Decodes a JSON string literal (with its quotes). Lone surrogates become U+FFFD and are flagged.
pub(super) fn unquote(literal: &str, flags: &mut Flags) -> String {
    match serde_json::from_str(literal) {
        Ok(text) => text,
        Err(_) => {
            flags.set(Flag::Surrogate);
            serde_json::from_str(&mend_surrogates(literal)).unwrap_or_else(|_| literal.to_owned())
        }
    }
}

/// Replaces the escapes of unpaired surrogates in JSON text by U+FFFD.
pub(super) fn mend_surrogates(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = match (code_unit(rest), rest.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => &rest[..12],
            (Some(0xD800..=0xDFFF), _) => {
                out.push('\u{FFFD}');
                rest = &rest[6..];
                continue;
            }
            // Any other escape: the backslash and the character after it belong together.
            _ => &rest[..1 + rest[1..].chars().next().map_or(0, char::len_utf8)],
        };
        out.push_str(escape);
        rest = &rest[escape.len()..];
    }
    out.push_str(rest);
    out
}

/// The code unit of the `\uXXXX` that `json` begins with.
fn code_unit(json: &str) -> Option<u16> {
    let digits = json.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// Cuts `text` to at most `limit` bytes at a character boundary; says whether it did.
pub(super) fn cut(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    text.truncate(text.floor_char_boundary(limit));
    true
}
