//! What messages that differ only in their data have in common.
//!
//! Every word with a digit (numbers, ids, hashes, addresses, times, versions) and everything in quotes counts as data
//! and becomes `*`; data with nothing but punctuation between becomes one `*`. Only the first line is looked at, and of
//! it the first 200 characters: what follows is a stack or a dump.

use crate::query::Pattern;

/// Characters of a message that tell issues apart.
const LENGTH: usize = 200;

/// The texts between the data; one text if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(Vec<String>);

impl Fingerprint {
    pub(super) fn of(message: &str) -> Fingerprint {
        let mut pieces = vec![String::new()];
        let mut rest = first_line(message);
        let cut = rest.char_indices().nth(LENGTH).map_or(rest.len(), |(at, _)| at);
        let is_cut = cut < message.trim_end().len();
        rest = &rest[..cut];
        while let Some(first) = rest.chars().next() {
            let last = pieces.last_mut().expect("there is always a piece");
            let length = if let Some(length) = quoted(rest, last) {
                push_data(&mut pieces);
                length
            } else if is_word(first) {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = &rest[..length];
                if word.bytes().any(|byte| byte.is_ascii_digit()) {
                    push_data(&mut pieces);
                } else {
                    last.push_str(word);
                }
                length
            } else {
                last.push(first);
                first.len_utf8()
            };
            rest = &rest[length..];
        }
        if is_cut && pieces.last().is_some_and(|last| !last.is_empty()) {
            pieces.push(String::new());
        }
        Fingerprint(pieces)
    }

    /// The pattern that messages with this fingerprint fit.
    pub(super) fn pattern(&self) -> Pattern {
        Pattern::new(&self.0)
    }

    /// For people: data as stars.
    pub(super) fn text(&self) -> String {
        self.0.join("*")
    }
}

/// The first line that says something, cut.
pub(super) fn first_line(message: &str) -> &str {
    message.trim_start().lines().next().unwrap_or_default().trim_end()
}

fn push_data(pieces: &mut Vec<String>) {
    let only_punctuation = |text: &String| !text.contains(char::is_alphanumeric);
    if pieces.len() > 1
        && let Some(between) = pieces.last_mut()
        && only_punctuation(between)
    {
        between.clear();
        return;
    }
    pieces.push(String::new());
}

/// The length of the quoted text that `rest` begins with; `before` is what stands before it.
fn quoted(rest: &str, before: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    // An apostrophe follows a letter.
    if before.ends_with(char::is_alphanumeric) {
        return None;
    }
    let closing = rest[1..].find(quote)? + 2;
    let after = rest[closing..].chars().next();
    (closing > 2 && !after.is_some_and(char::is_alphanumeric)).then_some(closing)
}

/// Characters that identifiers, numbers, addresses and times are made of.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_.:/+-@#%".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let fingerprint = Fingerprint::of(message);
        assert_eq!(fingerprint.text(), expected, "{message:?}");
        assert!(
            fingerprint.pattern().is_in(message, &mut String::new()),
            "{message:?} does not fit its own pattern"
        );
    }

    #[test]
    fn data_becomes_stars_and_words_stay() {
        check("connection reset by peer", "connection reset by peer");
        check("order 17 failed after 3.5ms", "order * failed after *");
        check("order 18 failed after 120ms", "order * failed after *");
        check(
            "user 6f1c2d3e-0000-4a5b-8c9d-001122334455 not found",
            "user * not found",
        );
        check("no route to 10.0.0.1:6379", "no route to *");
        check("bad token 0xdeadBEEF00", "bad token *");
        check("ids 1, 2, 3 are gone", "ids * are gone");
        check("ids 1, 2 are gone", "ids * are gone");
        check("cannot open \"/var/lib/x y\": denied", "cannot open *: denied");
        check("can't open 'a b'", "can't open *");
        check("用户42登录失败", "用户*登录失败");
        check("2026-09-21T14:13:20Z it broke", "* it broke");
        check("two\nlines 17", "two*");
        check("", "");
        check("42", "*");
        check("it said \"oh", "it said \"oh");
        check(&"word ".repeat(100), &format!("{}*", "word ".repeat(40)));
        check("a * b \"c\\d\" e", "a * b * e");
    }
}
