//! One record against a filter, by looking: what serves the newest records, and what every faster way must agree with.

use std::cmp::Ordering;
use std::fmt::Write as _;

use log_record::{CallSite, Fields, LogRecord, Source, Value};

use super::ast::{Field, Filter, Name, Test, strip_name};
use super::number::Number;
use super::pattern::{Needle, Pattern};

/// Memory that is used again from record to record, so that looking at one allocates nothing in the usual case.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A text without its case.
    folded: String,
    /// A value as text.
    pub(super) value: String,
}

impl Filter {
    /// Whether the filter finds `record`, which came from `source`.
    pub fn matches(&self, record: &LogRecord, source: &Source, scratch: &mut Scratch) -> bool {
        match self {
            Filter::All => true,
            Filter::And(parts) => parts.iter().all(|part| part.matches(record, source, scratch)),
            Filter::Or(parts) => parts.iter().any(|part| part.matches(record, source, scratch)),
            Filter::Not(inner) => !inner.matches(record, source, scratch),
            Filter::Text(needle) => is_anywhere(needle, record, source, scratch),
            Filter::Level { from, to } => (*from..=*to).contains(&record.level()),
            Filter::Field { field, test } => field.passes(test, record, source, scratch),
        }
    }
}

fn is_anywhere(needle: &Needle, record: &LogRecord, source: &Source, scratch: &mut Scratch) -> bool {
    let labels = [
        Some(&*record.message),
        Some(&*source.service),
        source.instance.as_deref(),
        source.host.as_deref(),
        source.version.as_deref(),
        Some(&*record.callsite.target),
        record.callsite.file.as_deref(),
        record.thread.as_deref(),
        record.trace_id.as_deref(),
        record.span_id.as_deref(),
    ];
    labels
        .into_iter()
        .flatten()
        .any(|label| needle.is_in(label, &mut scratch.folded))
        || is_in_fields(needle, &record.fields, scratch)
        || record.spans.iter().any(|span| {
            needle.is_in(&span.name, &mut scratch.folded) || is_in_fields(needle, &span.fields, scratch)
        })
}

pub(crate) fn is_in_fields(needle: &Needle, fields: &Fields, scratch: &mut Scratch) -> bool {
    fields
        .iter()
        .any(|(_, value)| is_in_value(needle, value, scratch))
}

pub(crate) fn is_in_value(needle: &Needle, value: &Value, scratch: &mut Scratch) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| is_in_value(needle, item, scratch)),
        Value::Map(fields) => is_in_fields(needle, fields, scratch),
        // Most needles are no numbers, and writing a number costs more than anything else here.
        Value::Int(_) | Value::UInt(_) | Value::Float(_) if !needle.may_be_in_number() => false,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {
            value.with_text(&mut scratch.value, |text| needle.is_in(text, &mut scratch.folded))
        }
    }
}

impl Field {
    /// Whether some value of the field passes.
    pub(crate) fn passes(
        &self,
        test: &Test,
        record: &LogRecord,
        source: &Source,
        scratch: &mut Scratch,
    ) -> bool {
        let callsite = &record.callsite;
        let text = |text: Option<&str>, scratch: &mut Scratch| {
            // A name that was not given is empty in places.
            text.is_some_and(|text| !text.is_empty() && test.text(text, &mut scratch.folded))
        };
        match self {
            Field::Message => match test {
                Test::Is(pattern) => {
                    !record.message.is_empty() && pattern.is_in(&record.message, &mut scratch.folded)
                }
                Test::Present | Test::Compare(..) | Test::Range(..) | Test::Matches(_) => {
                    text(Some(&record.message), scratch)
                }
            },
            Field::Service => text(Some(&source.service), scratch),
            Field::Instance => text(source.instance.as_deref(), scratch),
            Field::Host => text(source.host.as_deref(), scratch),
            Field::Version => text(source.version.as_deref(), scratch),
            Field::Boot => text(source.boot.as_deref(), scratch),
            Field::Target => text(Some(&callsite.target), scratch),
            Field::File => text(callsite.file.as_deref(), scratch),
            Field::Line => callsite
                .line
                .is_some_and(|line| test.value(&Value::Int(line.into()), scratch)),
            Field::CallSite => test.callsite(callsite, scratch),
            Field::Thread => text(record.thread.as_deref(), scratch),
            Field::TraceId => text(record.trace_id.as_deref(), scratch),
            Field::SpanId => text(record.span_id.as_deref(), scratch),
            Field::Seq => record
                .seq
                .is_some_and(|seq| test.value(&Value::UInt(seq), scratch)),
            Field::Flags => record.flags.names().any(|name| text(Some(name), scratch)),
            Field::Spans => record.spans.iter().any(|span| text(Some(&span.name), scratch)),
            Field::Span(name) => record
                .spans
                .iter()
                .any(|span| name.passes(test, &span.fields, scratch)),
            Field::Attr(name) => name.passes(test, &source.attrs, scratch),
            Field::Own(name) => name.passes(test, &record.fields, scratch),
        }
    }
}

impl Name {
    fn passes(&self, test: &Test, fields: &Fields, scratch: &mut Scratch) -> bool {
        any_at(&self.0, fields, &mut |value| test.value(value, scratch))
    }
}

/// Whether some value at `path` passes. A name may contain dots itself, so every way of cutting the path is tried.
fn any_at(path: &str, fields: &Fields, test: &mut impl FnMut(&Value) -> bool) -> bool {
    fields.iter().any(|(name, value)| match strip_name(path, name) {
        Some("") => test(value),
        Some(rest) => rest
            .strip_prefix('.')
            .is_some_and(|rest| any_inside(rest, value, test)),
        None => false,
    })
}

pub(crate) fn any_inside(path: &str, value: &Value, test: &mut impl FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Map(fields) => any_at(path, fields, test),
        Value::List(items) => items.iter().any(|item| any_inside(path, item, test)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {
            false
        }
    }
}

impl Test {
    /// Whether `value` passes.
    pub(crate) fn value(&self, value: &Value, scratch: &mut Scratch) -> bool {
        if matches!(self, Test::Present) {
            return true;
        }
        match value {
            Value::List(items) => return items.iter().any(|item| self.value(item, scratch)),
            Value::Map(_) => return false,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Text(_) => {}
        }
        match Number::of(value).and_then(|number| self.number(number)) {
            Some(passed) => passed,
            None => value.with_text(&mut scratch.value, |text| self.text(text, &mut scratch.folded)),
        }
    }

    /// Whether `text` passes. `folded` is overwritten.
    pub(crate) fn text(&self, text: &str, folded: &mut String) -> bool {
        match self {
            Test::Present => true,
            Test::Is(pattern) => pattern.is(text, folded),
            Test::Compare(..) | Test::Range(..) => Number::parse(text)
                .and_then(|number| self.number(number))
                .unwrap_or(false),
            Test::Matches(regex) => regex.is_match(text),
        }
    }

    /// Whether a number passes; `None` if that depends on how it is written.
    pub(crate) fn number(&self, number: Number) -> Option<bool> {
        match self {
            Test::Present => Some(true),
            Test::Is(pattern) => pattern
                .number()
                .map(|wanted| number.order(wanted) == Ordering::Equal),
            Test::Compare(comparison, limit) => Some(comparison.accepts(number.order(*limit))),
            Test::Range(from, to) => Some(number.order(*from).is_ge() && number.order(*to).is_le()),
            Test::Matches(_) => None,
        }
    }

    fn callsite(&self, callsite: &CallSite, scratch: &mut Scratch) -> bool {
        let Some(file) = callsite.file.as_deref() else {
            return false;
        };
        let is_end = |pattern: &Pattern, text: &str, folded: &mut String| {
            let inner = text.match_indices(['/', '\\']).map(|(at, _)| at + 1);
            std::iter::once(0)
                .chain(inner)
                .any(|start| pattern.is(&text[start..], folded))
        };
        let Scratch { folded, value } = scratch;
        value.clear();
        value.push_str(file);
        if let Some(line) = callsite.line {
            write!(value, ":{line}").expect("writing to a String does not fail");
        }
        match self {
            Test::Is(pattern) => is_end(pattern, value, folded) || is_end(pattern, file, folded),
            Test::Present | Test::Compare(..) | Test::Range(..) | Test::Matches(_) => {
                self.text(value, folded)
            }
        }
    }
}
