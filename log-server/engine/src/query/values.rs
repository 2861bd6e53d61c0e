//! The values a record has of a field, as a search sees them: what counting by a field stands on.

use log_record::{Fields, LogRecord, Source, Value};

use super::ast::{Field, Name, strip_name};
use super::eval::Scratch;
use super::number::Number;

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
            Field::Span(_) | Field::Attr(_) | Field::Own(_) => {
                self.each_named(record, source, &mut |value| {
                    each_leaf(value, &mut |leaf| leaf.with_text(&mut scratch.value, &mut *see));
                });
            }
        }
    }

    /// What the record has of this field as one text: lists and maps as JSON, several values with commas between them;
    /// `None` if it has nothing.
    pub fn shown(&self, record: &LogRecord, source: &Source) -> Option<String> {
        let mut scratch = Scratch::default();
        let mut shown: Option<String> = None;
        let mut add = |text: &str| match &mut shown {
            Some(shown) => {
                shown.push_str(", ");
                shown.push_str(text);
            }
            None => shown = Some(text.to_owned()),
        };
        if matches!(self, Field::Span(_) | Field::Attr(_) | Field::Own(_)) {
            self.each_named(record, source, &mut |value| {
                value.with_text(&mut scratch.value, &mut add);
            });
        } else {
            self.each_value(record, source, &mut scratch, &mut add);
        }
        shown
    }

    /// Shows every number that the record has of this field, texts that are numbers among them.
    pub fn each_number(&self, record: &LogRecord, source: &Source, see: &mut dyn FnMut(Number)) {
        match self {
            Field::Span(_) | Field::Attr(_) | Field::Own(_) => {
                self.each_named(record, source, &mut |value| {
                    each_leaf(value, &mut |leaf| {
                        let number = match leaf {
                            Value::Text(text) => Number::parse(text),
                            other => Number::of(other),
                        };
                        number.into_iter().for_each(&mut *see);
                    });
                })
            }
            Field::Line => record
                .callsite
                .line
                .iter()
                .for_each(|line| see(Number::Int((*line).into()))),
            Field::Seq => record.seq.iter().for_each(|seq| see(Number::Int((*seq).into()))),
            Field::Message
            | Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Target
            | Field::File
            | Field::CallSite
            | Field::Thread
            | Field::TraceId
            | Field::SpanId
            | Field::Flags
            | Field::Spans => self.each_value(record, source, &mut Scratch::default(), &mut |text| {
                Number::parse(text).into_iter().for_each(&mut *see);
            }),
        }
    }

    /// Shows the values, whole, that a name given by the service leads to.
    fn each_named(&self, record: &LogRecord, source: &Source, see: &mut dyn FnMut(&Value)) {
        match self {
            Field::Span(Name(name)) => {
                for span in &record.spans {
                    each_at(name, &span.fields, see);
                }
            }
            Field::Attr(Name(name)) => each_at(name, &source.attrs, see),
            Field::Own(Name(name)) => each_at(name, &record.fields, see),
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
            | Field::Spans => {}
        }
    }
}

/// A name may contain dots itself, so every way of cutting the path is tried.
fn each_at(path: &str, fields: &Fields, see: &mut dyn FnMut(&Value)) {
    for (name, value) in fields {
        match strip_name(path, name) {
            Some("") => see(value),
            Some(rest) => {
                if let Some(rest) = rest.strip_prefix('.') {
                    each_inside(rest, value, see);
                }
            }
            None => {}
        }
    }
}

fn each_inside(path: &str, value: &Value, see: &mut dyn FnMut(&Value)) {
    match value {
        Value::Map(fields) => each_at(path, fields, see),
        Value::List(items) => items.iter().for_each(|item| each_inside(path, item, see)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn each_leaf(value: &Value, see: &mut dyn FnMut(&Value)) {
    match value {
        Value::List(items) => items.iter().for_each(|item| each_leaf(item, see)),
        Value::Map(_) => {}
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {
            see(value);
        }
    }
}
