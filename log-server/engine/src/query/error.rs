//! Why a text is no query, worded for the person who typed it.

use std::fmt;
use std::ops::Range;

/// Where a text stops being a query, what is wrong there, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The place, in bytes of the text; both ends lie between characters.
    pub at: Range<usize>,
    /// What is wrong, or what was expected.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ParseError {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>) -> ParseError {
        ParseError {
            at,
            what: what.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> ParseError {
        self.hint = Some(hint.into());
        self
    }

    /// The place in UTF-16 code units, as JavaScript counts. `text` is what was parsed.
    pub fn utf16(&self, text: &str) -> Range<usize> {
        let units = |at: usize| text[..at].encode_utf16().count();
        units(self.at.start)..units(self.at.end)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}
