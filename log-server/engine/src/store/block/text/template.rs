//! How a text is cut into a template and what is put into it: log messages are few sentences with many values.
//!
//! Every maximal run of ASCII letters and digits that has a digit is a slot; all else is the template, in which a
//! marker stands for the slot. So `took 12 ms for req-7f3a90` is `took ⟨int⟩ ms for req-⟨hex⟩` with 12 and 7f3a90. That
//! slots are maximal runs is what makes searching without putting texts together again possible: the text next to a
//! slot is never a letter or digit, so a word of the needle is either wholly inside a slot or wholly outside.
//!
//! Texts that would break this (those with marker bytes, or with one of the two letters outside of ASCII whose case
//! folds to ASCII) are one slot as a whole.

/// Marks an integer without leading zeros, of at most 18 digits.
pub(super) const INT: u8 = 0x11;
/// Marks digits, of base 10 or of base 16 in lower case, of a length that belongs to the template.
pub(super) const HEX: u8 = 0x12;
/// Marks any other run.
pub(super) const WORD: u8 = 0x13;
/// Marks a text that is kept as it is.
pub(super) const WHOLE: u8 = 0x14;
/// Ends a template.
pub(super) const END: u8 = 0;

/// Beyond that an integer may not fit.
pub(in super::super) const INT_DIGITS: usize = 18;
/// Shorter ones are more likely words, such as `2a` or `5d`.
const HEX_LEAST: usize = 6;
const HEX_MOST: usize = 64;

/// What fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot<'t> {
    Int(i64),
    /// The digits as they are written.
    Hex(&'t [u8]),
    Word(&'t str),
}

/// Cuts `text`: the template is appended to `template`, the slots are shown in order.
pub(super) fn cut<'t>(text: &'t str, template: &mut Vec<u8>, mut see: impl FnMut(Slot<'t>)) {
    if !can_be_cut(text) {
        template.push(WHOLE);
        see(Slot::Word(text));
        return;
    }
    let bytes = text.as_bytes();
    let (mut at, mut literal) = (0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let start = at;
        let mut classes = 0;
        while at < bytes.len() && CLASS[usize::from(bytes[at])] != OTHER {
            classes |= CLASS[usize::from(bytes[at])];
            at += 1;
        }
        if classes & DIGIT == 0 {
            continue;
        }
        template.extend_from_slice(&bytes[literal..start]);
        literal = at;
        let (marker, slot) = slot(&text[start..at], classes);
        template.push(marker);
        see(slot);
    }
    template.extend_from_slice(&bytes[literal..]);
}

/// The slot that a run with a digit is.
fn slot(run: &str, classes: u8) -> (u8, Slot<'_>) {
    let bytes = run.as_bytes();
    if classes == DIGIT && bytes.len() <= INT_DIGITS && (bytes[0] != b'0' || bytes.len() == 1) {
        let number = bytes
            .iter()
            .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        return (INT, Slot::Int(number));
    }
    let digits = classes == DIGIT || (classes & LETTER == 0 && bytes.len() >= HEX_LEAST);
    if digits && bytes.len() <= HEX_MOST {
        return (HEX, Slot::Hex(bytes));
    }
    (WORD, Slot::Word(run))
}

const OTHER: u8 = 0;
const DIGIT: u8 = 1;
const HEX_LETTER: u8 = 2;
const LETTER: u8 = 4;

/// The class of each byte.
const CLASS: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LETTER,
            b'A'..=b'Z' | b'g'..=b'z' => LETTER,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
};

fn can_be_cut(text: &str) -> bool {
    let marker = |byte: &u8| matches!(*byte, END | INT..=WHOLE);
    if text.as_bytes().iter().any(marker) {
        return false;
    }
    text.is_ascii() || !text.contains(['\u{212A}', '\u{17F}'])
}

/// Whether `byte` is part of a run.
pub(super) fn is_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fold;

    #[track_caller]
    fn check(text: &str, template: &str, slots: &[Slot<'_>]) {
        let (mut found, mut seen) = (Vec::new(), Vec::new());
        cut(text, &mut found, |slot| seen.push(slot));
        let shown = String::from_utf8(found).unwrap();
        let shown = shown
            .replace('\x11', "<i>")
            .replace('\x12', "<h>")
            .replace('\x13', "<w>");
        assert_eq!((&*shown.replace('\x14', "<all>"), &seen[..]), (template, slots));
    }

    #[test]
    fn values_are_cut_out_and_words_stay() {
        check("", "", &[]);
        check("no value", "no value", &[]);
        check("took 12 ms", "took <i> ms", &[Slot::Int(12)]);
        check("0 and 00", "<i> and <h>", &[Slot::Int(0), Slot::Hex(b"00")]);
        check("req-7f3a90: x", "req-<h>: x", &[Slot::Hex(b"7f3a90")]);
        check(
            "5ms 7F3A90",
            "<w> <w>",
            &[Slot::Word("5ms"), Slot::Word("7F3A90")],
        );
        check("登录42次", "登录<i>次", &[Slot::Int(42)]);
        check("deadbeef", "deadbeef", &[]);
        let long = "9".repeat(65);
        check(&long, "<w>", &[Slot::Word(&long)]);
        check("a\x11b 1", "<all>", &[Slot::Word("a\x11b 1")]);
        check("5\u{212A} 1", "<all>", &[Slot::Word("5\u{212A} 1")]);
    }

    #[test]
    fn no_other_letter_folds_into_ascii() {
        let folds =
            |c: &char| !c.is_ascii() && fold(c.encode_utf8(&mut [0; 4]), &mut String::new()).is_ascii();
        let folding: Vec<char> = (char::MIN..=char::MAX).filter(folds).collect();
        assert_eq!(folding, ['\u{17F}', '\u{212A}']);
    }
}
