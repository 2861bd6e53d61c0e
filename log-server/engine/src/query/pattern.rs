//! Text to look for: a needle is found in a text, a pattern is a text with gaps.

use std::fmt;

use memchr::memmem::Finder;

use super::fold::fold;
use super::number::Number;

/// A text that is searched in others, whatever the case.
#[derive(Clone)]
pub struct Needle {
    written: String,
    folded: String,
    /// Searches `folded`; made once, because making it costs more than searching a short text.
    finder: Box<Finder<'static>>,
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Needle) -> bool {
        self.written == other.written
    }
}

impl Needle {
    /// The needle `written`.
    pub fn new(written: &str) -> Needle {
        let folded = fold(written, &mut String::new()).to_owned();
        let finder = Box::new(Finder::new(&folded).into_owned());
        Needle {
            written: written.to_owned(),
            folded,
            finder,
        }
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// As it is searched: what [`fold`] made of it.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Whether `text` contains the needle. `scratch` is overwritten.
    pub fn is_in(&self, text: &str, scratch: &mut String) -> bool {
        self.finder.find(fold(text, scratch).as_bytes()).is_some()
    }

    /// Whether a number as JSON writes it can contain the needle.
    pub fn may_be_in_number(&self) -> bool {
        self.folded
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e'))
    }
}

/// A text with gaps, `*`, that stand for any text.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// What stands between the gaps. Never empty; only the first and the last may be the empty text.
    pieces: Vec<Needle>,
    /// The pattern as a number, if it is one.
    number: Option<Number>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.pieces == other.pieces
    }
}

impl Pattern {
    /// The pattern with a gap between each two of `pieces`; `["", "a"]` ends with `a`. Adjacent gaps become one.
    pub fn new<T: AsRef<str>>(pieces: &[T]) -> Pattern {
        let mut needles = Vec::with_capacity(pieces.len());
        for (index, piece) in pieces.iter().map(AsRef::as_ref).enumerate() {
            if !piece.is_empty() || index == 0 || index == pieces.len() - 1 {
                needles.push(Needle::new(piece));
            }
        }
        if needles.is_empty() {
            needles.push(Needle::new(""));
        }
        let number = if let [only] = &needles[..] {
            Number::parse(only.written())
        } else {
            None
        };
        Pattern {
            pieces: needles,
            number,
        }
    }

    /// What stands between the gaps; one piece if there is none.
    pub fn pieces(&self) -> &[Needle] {
        &self.pieces
    }

    /// The number that the pattern is, if it is one.
    pub fn number(&self) -> Option<Number> {
        self.number
    }

    /// Whether any text at all fits.
    pub fn is_any(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(|piece| piece.folded.is_empty())
    }

    /// Whether `text` as a whole fits. `scratch` is overwritten.
    pub fn is(&self, text: &str, scratch: &mut String) -> bool {
        let [first, between @ .., last] = &self.pieces[..] else {
            return is_folded(text, &self.pieces[0].folded, scratch);
        };
        let text = fold(text, scratch);
        let inner = text
            .strip_prefix(&*first.folded)
            .and_then(|rest| rest.strip_suffix(&*last.folded));
        inner.is_some_and(|inner| in_order(between, inner))
    }

    /// Whether some part of `text` fits. `scratch` is overwritten.
    pub fn is_in(&self, text: &str, scratch: &mut String) -> bool {
        in_order(&self.pieces, fold(text, scratch))
    }
}

/// Whether `text` without its case is `folded`. Most texts are told apart by their length or their first byte.
fn is_folded(text: &str, folded: &str, scratch: &mut String) -> bool {
    if text.is_ascii() {
        text.eq_ignore_ascii_case(folded)
    } else {
        fold(text, scratch) == folded
    }
}

/// Whether the pieces occur in `text` one after the other; the earliest place is always as good as any.
fn in_order(pieces: &[Needle], text: &str) -> bool {
    let mut rest = text.as_bytes();
    for piece in pieces {
        let Some(at) = piece.finder.find(rest) else {
            return false;
        };
        rest = &rest[at + piece.folded.len()..];
    }
    true
}
