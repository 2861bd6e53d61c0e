//! A regular expression of a query: compiled once, bounded in size, equal to another of the same pattern.

use ::regex::RegexBuilder;

/// Bytes of a pattern. Long ones are lists of words, for which `OR` is faster.
const PATTERN_BYTES: usize = 1024;
/// Memory for the compiled pattern: room for classes of many scripts, too little for `(\w{99}){99}`.
const COMPILED_BYTES: usize = 1 << 20;
/// Memory for what the lazy automaton learns while it runs. Beyond it, it begins anew, and slows down.
const AUTOMATON_BYTES: usize = 8 << 20;

/// A regular expression that ignores case unless it says `(?-i)`.
#[derive(Debug, Clone)]
pub struct Regex(::regex::Regex);

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
            .map(Regex)
            .map_err(|error| match error {
                ::regex::Error::CompiledTooBig(_) => {
                    "this regular expression needs too much memory".to_owned()
                }
                other => format!("not a regular expression: {}", last_line(&other.to_string())),
            })
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        self.0.as_str()
    }

    /// Whether some part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The crate draws the pattern with a caret first; the page has a caret of its own.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
