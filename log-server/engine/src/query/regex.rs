//! A regular expression of a query: compiled once, bounded in size, equal to another of the same pattern.

use ::regex::RegexBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::fold::fold;

/// Bytes of a pattern. Long ones are lists of words, for which `OR` is faster.
const PATTERN_BYTES: usize = 1024;
/// Memory for the compiled pattern: room for classes of many scripts, too little for `(\w{99}){99}`.
const COMPILED_BYTES: usize = 1 << 20;
/// Memory for what the lazy automaton learns while it runs. Beyond it, it begins anew, and slows down.
const AUTOMATON_BYTES: usize = 8 << 20;

/// A regular expression that ignores case unless it says `(?-i)`.
#[derive(Debug, Clone)]
pub struct Regex {
    compiled: ::regex::Regex,
    literal: Option<Box<str>>,
}

impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, worded for the person who wrote it.
    pub(super) fn new(pattern: &str) -> Result<Regex, String> {
        if pattern.len() > PATTERN_BYTES {
            return Err(format!("a regular expression has at most {PATTERN_BYTES} bytes"));
        }
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(AUTOMATON_BYTES)
            .build()
            .map(|compiled| Regex {
                compiled,
                literal: literal(pattern),
            })
            .map_err(|error| match error {
                ::regex::Error::CompiledTooBig(_) => {
                    "this regular expression needs too much memory".to_owned()
                }
                other => format!("not a regular expression: {}", last_line(&other.to_string())),
            })
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        self.compiled.as_str()
    }

    /// The longest text without case that every match contains, if there is one.
    pub(super) fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// Whether some part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

/// The longest text that stands in every match, without case.
fn literal(pattern: &str) -> Option<Box<str>> {
    // Read as case-sensitive, so that letters are literals and not classes of two; case is folded away afterwards.
    let parsed = regex_syntax::parse(pattern).ok()?;
    let mut runs = vec![String::new()];
    collect(&parsed, &mut runs);
    let longest = runs.into_iter().max_by_key(String::len)?;
    let folded = fold(&longest, &mut String::new()).to_owned();
    (!folded.is_empty()).then(|| folded.into())
}

/// Appends the literals that a match has one after the other; a new run begins where something else comes between.
fn collect(pattern: &Hir, runs: &mut Vec<String>) {
    match pattern.kind() {
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => runs.last_mut().expect("it never is empty").push_str(text),
            Err(_) => runs.push(String::new()),
        },
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect(part, runs)),
        HirKind::Capture(group) => collect(&group.sub, runs),
        // They take no room.
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Repetition(repeated) => {
            runs.push(String::new());
            if repeated.min > 0 {
                collect(&repeated.sub, runs);
                runs.push(String::new());
            }
        }
        HirKind::Class(_) | HirKind::Alternation(_) => runs.push(String::new()),
    }
}

/// The crate draws the pattern with a caret first; the page has a caret of its own.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: Option<&str>) {
        assert_eq!(Regex::new(pattern).unwrap().literal(), expected, "{pattern}");
    }

    #[test]
    fn the_longest_text_of_every_match_is_known() {
        check(r"port \d+77\b", Some("port "));
        check(r"^\/api\/v[12]", Some("/api/v"));
        check("Timeout|reset", None);
        check("(connection) (reset)", Some("connection reset"));
        check("ab*cde", Some("cde"));
        check("(?:ab)+", Some("ab"));
        check("(?i)error", None);
        check("登录 FAILED", Some("登录 failed"));
        check(r"\w+", None);
    }
}
