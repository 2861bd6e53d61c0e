//! What a query means, as plain data: for [`Filter::matches`] as for an engine that plans from it.
//!
//! The parser builds filters through [`Filter::and`], [`Filter::or`], [`Filter::text`] and `!`, which keep them in the
//! one shape that prints and parses back to itself.

use std::cmp::Ordering;
use std::ops::Not;

use log_record::Level;

use super::fold::{fold_char, folds_to};
use super::number::Number;
use super::pattern::{Needle, Pattern};
use super::regex::Regex;

/// Which records are found.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every record.
    All,
    /// Records that all parts find; at least two, none of them `And` or `All`.
    And(Vec<Filter>),
    /// Records that some part finds; at least two, none of them `Or`.
    Or(Vec<Filter>),
    /// Records that the inner filter does not find; never another `Not`.
    Not(Box<Filter>),
    /// Any text of the record contains the needle, which is not empty.
    Text(Needle),
    /// The level lies between the two, both included.
    Level {
        /// The mildest.
        from: Level,
        /// The most severe.
        to: Level,
    },
    /// Some value of the field passes the test.
    Field {
        /// Whose values.
        field: Field,
        /// What they must be.
        test: Test,
    },
}

/// What a record can be asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// The message; [`Test::Is`] searches in it.
    Message,
    /// The sending service.
    Service,
    /// Which process of the service.
    Instance,
    /// The machine.
    Host,
    /// The service's version.
    Version,
    /// The run of the process.
    Boot,
    /// `tracing`'s target.
    Target,
    /// The source file.
    File,
    /// The line in it.
    Line,
    /// `file:line`; [`Test::Is`] is content with `file`, and with the end of the path.
    CallSite,
    /// The thread.
    Thread,
    /// The trace.
    TraceId,
    /// The innermost span's id.
    SpanId,
    /// The number within the sender's run.
    Seq,
    /// What was changed on the way.
    Flags,
    /// The names of the spans.
    Spans,
    /// A field of any of the spans.
    Span(Name),
    /// An attribute of the sending process.
    Attr(Name),
    /// A field of the record.
    Own(Name),
}

/// The name of a field as it was written, which is also the path to a value inside of maps: `a.b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

/// What a value must be. Of a list, one item is enough; a map passes only [`Test::Present`].
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is a value, be it `null` or an empty list.
    Present,
    /// It equals the pattern: as text, or as number if the pattern is one.
    Is(Pattern),
    /// It is a number, or text that is one, on that side of the number.
    Compare(Comparison, Number),
    /// It is a number, or text that is one, between the two, both included.
    Range(Number, Number),
    /// Its text matches.
    Matches(Regex),
}

/// An order between a value and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether a value that lies in `order` to the limit is accepted.
    pub fn accepts(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Test {
    /// A text without case that every text passing the test contains; `None` if there is none to be had.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Test::Is(pattern) => pattern
                .pieces()
                .iter()
                .map(Needle::folded)
                .max_by_key(|piece| piece.len())
                .filter(|piece| !piece.is_empty()),
            Test::Matches(regex) => regex.literal(),
            Test::Present | Test::Compare(..) | Test::Range(..) => None,
        }
    }
}

impl Filter {
    /// Records that all of `parts` find; of no parts, every record.
    pub fn and(parts: impl IntoIterator<Item = Filter>) -> Filter {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Filter::All => {}
                Filter::And(inner) => flat.extend(inner),
                Filter::Or(_)
                | Filter::Not(_)
                | Filter::Text(_)
                | Filter::Level { .. }
                | Filter::Field { .. } => {
                    flat.push(part);
                }
            }
        }
        only(&mut flat).unwrap_or_else(|| {
            if flat.is_empty() {
                Filter::All
            } else {
                Filter::And(flat)
            }
        })
    }

    /// Records that some of `parts` finds; of no parts, no record.
    pub fn or(parts: impl IntoIterator<Item = Filter>) -> Filter {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Filter::Or(inner) => flat.extend(inner),
                Filter::All
                | Filter::And(_)
                | Filter::Not(_)
                | Filter::Text(_)
                | Filter::Level { .. }
                | Filter::Field { .. } => flat.push(part),
            }
        }
        only(&mut flat).unwrap_or_else(|| {
            if flat.is_empty() {
                !Filter::All
            } else {
                Filter::Or(flat)
            }
        })
    }

    /// Records any text of which contains `text`; of empty text, every record.
    pub fn text(text: &str) -> Filter {
        if text.is_empty() {
            Filter::All
        } else {
            Filter::Text(Needle::new(text))
        }
    }
}

fn only(parts: &mut Vec<Filter>) -> Option<Filter> {
    if parts.len() == 1 { parts.pop() } else { None }
}

impl Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        match self {
            Filter::Not(inner) => *inner,
            Filter::All
            | Filter::And(_)
            | Filter::Or(_)
            | Filter::Text(_)
            | Filter::Level { .. }
            | Filter::Field { .. } => Filter::Not(Box::new(self)),
        }
    }
}

impl Field {
    /// The names of what every record may have, as they are printed.
    const BUILT_IN: [(&str, Field); 16] = [
        ("message", Field::Message),
        ("service", Field::Service),
        ("instance", Field::Instance),
        ("host", Field::Host),
        ("version", Field::Version),
        ("boot", Field::Boot),
        ("target", Field::Target),
        ("file", Field::File),
        ("line", Field::Line),
        ("callsite", Field::CallSite),
        ("thread", Field::Thread),
        ("trace_id", Field::TraceId),
        ("span_id", Field::SpanId),
        ("seq", Field::Seq),
        ("flags", Field::Flags),
        ("spans", Field::Spans),
    ];

    /// The field of that name. `level` is none: it has a filter of its own.
    pub fn named(name: &str) -> Field {
        if folds_to(name, "trace") {
            return Field::TraceId;
        }
        for (known, field) in Field::BUILT_IN {
            if folds_to(name, known) {
                return field;
            }
        }
        let inside = |prefix| strip_name(name, prefix).map(|rest| Name(rest.to_owned()));
        if let Some(name) = inside("span.") {
            Field::Span(name)
        } else if let Some(name) = inside("attrs.") {
            Field::Attr(name)
        } else {
            Field::Own(inside("fields.").unwrap_or_else(|| Name(name.to_owned())))
        }
    }

    /// A record's own field, whatever it is called.
    pub fn own(name: String) -> Field {
        Field::Own(Name(name))
    }

    /// The name that [`Field::named`] reads back.
    pub fn name(&self) -> String {
        match self {
            Field::Span(Name(name)) => format!("span.{name}"),
            Field::Attr(Name(name)) => format!("attrs.{name}"),
            Field::Own(Name(name)) if folds_to(name, "level") || Field::named(name) != *self => {
                format!("fields.{name}")
            }
            Field::Own(Name(name)) => name.clone(),
            Field::Message
            | Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Target
            | Field::File
            | Field::Line
            | Field::CallSite
            | Field::Thread
            | Field::TraceId
            | Field::SpanId
            | Field::Seq
            | Field::Flags
            | Field::Spans => {
                let known = Field::BUILT_IN.iter().find(|(_, field)| field == self);
                known
                    .map(|(name, _)| (*name).to_owned())
                    .expect("every field without a name of its own is in the table")
            }
        }
    }
}

/// What of `path` follows `name`, whatever the case; `None` if it does not begin with it.
pub(crate) fn strip_name<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = path.chars();
    for character in name.chars() {
        if rest.next().map(fold_char) != Some(fold_char(character)) {
            return None;
        }
    }
    Some(rest.as_str())
}
