//! Cuts the text of a pipeline into words, and knows where one begins.

use std::ops::Range;

use crate::query::lexer::{bare_name, quoted};

use super::aggregate::Function;

/// What a step can begin with.
pub(super) const VERBS: [&str; 7] = ["count", "top", "stats", "timechart", "sort", "limit", "fields"];
/// Words that stand between names.
const JOINTS: [&str; 3] = ["by", "asc", "desc"];

/// Whether `text`, which begins a term, begins a pipeline: a bar, and one of the verbs as a word of its own.
pub(in crate::query) fn begins(text: &str) -> bool {
    let Some(step) = text.strip_prefix('|').map(str::trim_start) else {
        return false;
    };
    let end = step
        .find(|c: char| c.is_whitespace() || c == '|')
        .unwrap_or(step.len());
    // `count()` is what other languages say.
    is_one(&VERBS, step[..end].trim_end_matches("()"))
}

/// Whether a name that is one of the pipeline's own words needs quotes.
pub(super) fn is_reserved(name: &str) -> bool {
    is_one(&JOINTS, name) || is_count(name) || Function::named(name).is_some()
}

/// Whether the word stands between names and is none.
pub(super) fn is_joint(word: &str) -> bool {
    is_one(&JOINTS, word)
}

pub(super) fn is_count(word: &str) -> bool {
    word.eq_ignore_ascii_case("count")
}

fn is_one(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// A piece of the pipeline and where it stands in the query.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Bar,
    Comma,
    Open,
    Close,
    Bare(String),
    Quoted(String),
    /// A quote that is never closed.
    Unclosed,
    End,
}

impl Word {
    /// Whether a field's name stands here.
    pub(super) fn is_name(&self) -> bool {
        match &self.kind {
            Kind::Quoted(_) => true,
            Kind::Bare(word) => !is_joint(word) && bare_name(word) == word.len(),
            Kind::Bar | Kind::Comma | Kind::Open | Kind::Close | Kind::Unclosed | Kind::End => false,
        }
    }

    /// Whether it is `word`, whatever the case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Bare(bare) if bare.eq_ignore_ascii_case(word))
    }
}

/// The word at or after `at`; the next one follows its end.
pub(super) fn word(text: &str, at: usize) -> Word {
    let at = text.len() - text[at..].trim_start().len();
    let rest = &text[at..];
    let (kind, length) = match rest.chars().next() {
        None => (Kind::End, 0),
        Some('|') => (Kind::Bar, 1),
        Some(',') => (Kind::Comma, 1),
        Some('(') => (Kind::Open, 1),
        Some(')') => (Kind::Close, 1),
        Some('"') => match quoted(rest) {
            Some((name, length)) => (Kind::Quoted(name), length),
            None => (Kind::Unclosed, rest.len()),
        },
        Some(_) => {
            let end = rest.find(|c: char| c.is_whitespace() || "|,()\"".contains(c));
            let bare = &rest[..end.unwrap_or(rest.len())];
            (Kind::Bare(bare.to_owned()), bare.len())
        }
    };
    Word {
        kind,
        at: at..at + length,
    }
}
