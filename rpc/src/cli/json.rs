//! JSON texts as they are shown. The text stays what it was, to the last digit of its numbers; only the space between
//! its parts changes, and in strings what a terminal would act on is escaped, as JSON allows.

use std::fmt::Write;

use super::screen::acts;

/// Deeper nesting is no longer indented, lest a text of brackets fill the memory with spaces.
const DEEPEST_INDENT: usize = 40;

pub(crate) fn in_one_line(text: &str) -> String {
    rewritten(text, ":", |_, _| {})
}

pub(crate) fn laid_out(text: &str) -> String {
    rewritten(text, ": ", |out, depth| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST_INDENT)));
    })
}

/// With this behind names and no other spaces, and with a break wherever a member begins or its container ends.
fn rewritten(text: &str, colon: &str, new_line: impl Fn(&mut String, usize)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => string(&mut letters, &mut out),
            '[' | '{' => {
                out.push(letter);
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(end) = letters.next_if(|next| matches!(next, ']' | '}')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(colon),
            letter if letter.is_whitespace() || acts(letter) => {}
            letter => out.push(letter),
        }
    }
    out
}

/// Copies a string, the opening quote of which has been read.
fn string(letters: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    let mut escaped = false;
    for letter in letters {
        if acts(letter) {
            write!(out, "\\u{:04x}", u32::from(letter)).expect("a String takes everything");
        } else {
            out.push(letter);
        }
        if letter == '"' && !escaped {
            return;
        }
        escaped = letter == '\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, one_line: &str, lines: &str) {
        assert_eq!(in_one_line(text), one_line);
        assert_eq!(laid_out(text), lines);
        let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!((value(one_line), value(lines)), (value(text), value(text)));
    }

    #[test]
    fn only_the_space_between_the_parts_changes() {
        check(
            "1180591620717411303424 ",
            "1180591620717411303424",
            "1180591620717411303424",
        );
        check("[ ]", "[]", "[]");
        check(
            "{ \"a\" :[1,{}] }",
            "{\"a\":[1,{}]}",
            "{\n  \"a\": [\n    1,\n    {}\n  ]\n}",
        );
        check(
            r#"["\"[,", "\\"]"#,
            r#"["\"[,","\\"]"#,
            "[\n  \"\\\"[,\",\n  \"\\\\\"\n]",
        );
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        check(
            "\"\u{202e}\u{9b}\u{7f}登\"",
            r#""\u202e\u009b\u007f登""#,
            r#""\u202e\u009b\u007f登""#,
        );
    }

    #[test]
    fn a_text_of_brackets_stays_small() {
        let text = "[".repeat(10_000);
        assert!(laid_out(&text).len() < 1_000_000);
    }
}
