//! The values a record has of a field, as a search sees them: what counting by a field stands on.

use log_record::{Fields, LogRecord, Source, Value};

use super::ast::{Field, Name, strip_name};
use super::eval::Scratch;

impl Field {
    /// Shows every value that the record has of this field: text as it is, everything else as JSON writes it; the items
    /// of a list one by one, and nothing of a map.
    pub fn each_value(
        &self,
        record: &LogRecord,
        source: &Source,
        scratch: &mut Scratch,
        see: &mut dyn FnMut(&str),
    ) {
        let callsite = &record.callsite;
        let mut label = |text: Option<&str>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                see(text);
            }
        };
        match self {
            Field::Message => label(Some(&record.message)),
            Field::Service => label(Some(&source.service)),
            Field::Instance => label(source.instance.as_deref()),
            Field::Host => label(source.host.as_deref()),
            Field::Version => label(source.version.as_deref()),
            Field::Boot => label(source.boot.as_deref()),
            Field::Target => label(Some(&callsite.target)),
            Field::File => label(callsite.file.as_deref()),
            Field::Line => label(callsite.line.map(|line| line.to_string()).as_deref()),
            Field::CallSite => {
                let line = callsite.line.map(|line| format!(":{line}")).unwrap_or_default();
                label(
                    callsite
                        .file
                        .as_deref()
                        .map(|file| format!("{file}{line}"))
                        .as_deref(),
                );
            }
            Field::Thread => label(record.thread.as_deref()),
            Field::TraceId => label(record.trace_id.as_deref()),
            Field::SpanId => label(record.span_id.as_deref()),
            Field::Seq => label(record.seq.map(|seq| seq.to_string()).as_deref()),
            Field::Flags => record.flags.names().for_each(see),
            Field::Spans => record.spans.iter().for_each(|span| label(Some(&span.name))),
            Field::Span(name) => record
                .spans
                .iter()
                .for_each(|span| name.each_value(&span.fields, scratch, see)),
            Field::Attr(name) => name.each_value(&source.attrs, scratch, see),
            Field::Own(name) => name.each_value(&record.fields, scratch, see),
        }
    }
}

impl Name {
    fn each_value(&self, fields: &Fields, scratch: &mut Scratch, see: &mut dyn FnMut(&str)) {
        each_at(&self.0, fields, scratch, see);
    }
}

/// A name may contain dots itself, so every way of cutting the path is tried.
fn each_at(path: &str, fields: &Fields, scratch: &mut Scratch, see: &mut dyn FnMut(&str)) {
    for (name, value) in fields {
        match strip_name(path, name) {
            Some("") => each_leaf(value, scratch, see),
            Some(rest) => {
                if let (Some(rest), Value::Map(inner)) = (rest.strip_prefix('.'), value) {
                    each_at(rest, inner, scratch, see);
                }
            }
            None => {}
        }
    }
}

fn each_leaf(value: &Value, scratch: &mut Scratch, see: &mut dyn FnMut(&str)) {
    match value {
        Value::List(items) => items.iter().for_each(|item| each_leaf(item, scratch, see)),
        Value::Map(_) => {}
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {
            value.with_text(&mut scratch.value, see);
        }
    }
}
