//! Which fields of spans travel with every record inside them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::str::FromStr;

use crate::span::TRACEPARENT;

/// Which fields of spans are kept. What is left out is not even printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanFields {
    /// All, within the limits of a record.
    #[default]
    All,
    /// Those of these names.
    Only(BTreeSet<String>),
    /// None: records carry the spans' names and ids.
    None,
}

impl SpanFields {
    /// Whether a field of that name is kept. One that names the trace is needed whatever is wanted.
    pub(crate) fn keep(&self, name: &str) -> bool {
        match self {
            SpanFields::All => true,
            SpanFields::Only(names) => names.contains(name) || name == TRACEPARENT,
            SpanFields::None => name == TRACEPARENT,
        }
    }
}

/// `all`, `none`, or names with commas between them.
impl FromStr for SpanFields {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<SpanFields, Infallible> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "all" => SpanFields::All,
            "none" => SpanFields::None,
            _ => SpanFields::Only(text.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }
}
