//! Looking at a record agrees with an oracle that knows nothing of folding, paths or patterns: it flattens a record
//! into named JSON values and leaves case and wildcards to regular expressions.

use std::cell::Cell;

use std::borrow::Cow;

use log_record::{LogRecord, Source, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::random;
use crate::query::{Comparison, Field, Filter, Needle, Number, Scratch, Test};

#[test]
fn looking_agrees_with_the_oracle() {
    let (found, passed) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4000,
        ..ProptestConfig::default()
    });
    runner
        .run(
            &(random::filter(), random::record(), random::source()),
            |(filter, record, source)| {
                let matches = random::reparsed(&filter).matches(&record, &source, &mut Scratch::default());
                prop_assert_eq!(matches, finds(&filter, &record, &source), "{:?}", filter);
                let counter = if matches { &found } else { &passed };
                counter.set(counter.get() + 1);
                Ok(())
            },
        )
        .unwrap();
    assert!(
        found.get() > 400 && passed.get() > 400,
        "one-sided: {found:?} found, {passed:?} passed over"
    );
}

pub(crate) fn finds(filter: &Filter, record: &LogRecord, source: &Source) -> bool {
    match filter {
        Filter::All => true,
        Filter::And(parts) => parts.iter().all(|part| finds(part, record, source)),
        Filter::Or(parts) => parts.iter().any(|part| finds(part, record, source)),
        Filter::Not(inner) => !finds(inner, record, source),
        Filter::Level { from, to } => *from <= record.level() && record.level() <= *to,
        Filter::Text(needle) => {
            let contains = regex::Regex::new(&written(needle, "(?i)", "")).unwrap();
            texts(record, source).iter().any(|text| contains.is_match(text))
        }
        Filter::Field { field, test } => values(field, record, source)
            .iter()
            .any(|value| passes(test, field, value)),
    }
}

fn written(needle: &Needle, before: &str, after: &str) -> String {
    format!("{before}{}{after}", regex::escape(needle.written()))
}

pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => serde_json::to_string(other).unwrap(),
    }
}

/// Every text of the record that a word is searched in.
fn texts(record: &LogRecord, source: &Source) -> Vec<String> {
    let labels = [
        "message", "service", "instance", "host", "version", "target", "file", "thread", "trace_id",
        "span_id", "spans",
    ];
    let mut texts: Vec<_> = labels
        .iter()
        .flat_map(|name| values(&Field::named(name), record, source))
        .collect();
    for (_, value) in record
        .fields
        .iter()
        .chain(record.spans.iter().flat_map(|span| &span.fields))
    {
        flatten("", value, &mut |_, value| texts.push(value.clone()));
    }
    texts
        .iter()
        .filter(|value| !matches!(value, Value::List(_) | Value::Map(_)))
        .map(text)
        .collect()
}

/// Calls `see` with every value in `value`, itself included, and its path; items of a list have the list's path.
fn flatten(path: &str, value: &Value, see: &mut impl FnMut(&str, &Value)) {
    see(path, value);
    match value {
        Value::List(items) => items.iter().for_each(|item| flatten(path, item, see)),
        Value::Map(fields) => fields
            .iter()
            .for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, see)),
        _ => {}
    }
}

/// Every value that the record has of the field, lists and maps before what is in them.
pub(crate) fn values(field: &Field, record: &LogRecord, source: &Source) -> Vec<Value> {
    let label = |text: Option<&str>| -> Vec<Value> {
        text.filter(|text| !text.is_empty())
            .map(|text| Value::Text(text.to_owned().into()))
            .into_iter()
            .collect()
    };
    let at = |name: &str, fields: &[(Cow<'_, str>, Value)]| {
        let path = regex::Regex::new(&format!("(?i)^{}$", regex::escape(name))).unwrap();
        let mut found = Vec::new();
        for (name, value) in fields {
            flatten(name, value, &mut |at, value| {
                found.extend(path.is_match(at).then(|| value.clone()))
            });
        }
        found
    };
    let callsite = &record.callsite;
    match field {
        Field::Message => label(Some(&record.message)),
        Field::Service => label(Some(&source.service)),
        Field::Instance => label(source.instance.as_deref()),
        Field::Host => label(source.host.as_deref()),
        Field::Version => label(source.version.as_deref()),
        Field::Boot => label(source.boot.as_deref()),
        Field::Target => label(Some(&callsite.target)),
        Field::File => label(callsite.file.as_deref()),
        Field::Line => callsite
            .line
            .map(|line| Value::Int(line.into()))
            .into_iter()
            .collect(),
        Field::CallSite => {
            let line = callsite.line.map(|line| format!(":{line}")).unwrap_or_default();
            callsite
                .file
                .iter()
                .map(|file| Value::Text(format!("{file}{line}").into()))
                .collect()
        }
        Field::Thread => label(record.thread.as_deref()),
        Field::TraceId => label(record.trace_id.as_deref()),
        Field::SpanId => label(record.span_id.as_deref()),
        Field::Seq => record.seq.map(Value::UInt).into_iter().collect(),
        Field::Flags => record.flags.names().flat_map(|name| label(Some(name))).collect(),
        Field::Spans => record
            .spans
            .iter()
            .flat_map(|span| label(Some(&span.name)))
            .collect(),
        Field::Span(name) => record
            .spans
            .iter()
            .flat_map(|span| at(&name.0, &span.fields))
            .collect(),
        Field::Attr(name) => at(&name.0, &source.attrs),
        Field::Own(name) => at(&name.0, &record.fields),
    }
}

fn passes(test: &Test, field: &Field, value: &Value) -> bool {
    if matches!(test, Test::Present) {
        return true;
    }
    if matches!(value, Value::List(_) | Value::Map(_)) {
        return false;
    }
    let text = text(value);
    let number = Number::of(value).or_else(|| Number::parse(&text));
    match test {
        Test::Present => true,
        Test::Is(pattern) => {
            let wanted = pattern.number().filter(|_| !matches!(value, Value::Text(_)));
            if let (Some(wanted), Some(number)) = (wanted, number) {
                return compare(number, wanted) == std::cmp::Ordering::Equal;
            }
            let pieces: Vec<_> = pattern
                .pieces()
                .iter()
                .map(|piece| written(piece, "", ""))
                .collect();
            let body = pieces.join(".*");
            let whole = match field {
                Field::Message => body,
                Field::CallSite => format!("^(.*[/\\\\])?({body})$|^(.*[/\\\\])?({body}):[0-9]+$"),
                _ => format!("^{body}$"),
            };
            regex::Regex::new(&format!("(?is){whole}"))
                .unwrap()
                .is_match(&text)
        }
        Test::Compare(comparison, limit) => number.is_some_and(|number| match comparison {
            Comparison::Less => compare(number, *limit).is_lt(),
            Comparison::LessOrEqual => compare(number, *limit).is_le(),
            Comparison::Greater => compare(number, *limit).is_gt(),
            Comparison::GreaterOrEqual => compare(number, *limit).is_ge(),
        }),
        Test::Range(from, to) => {
            number.is_some_and(|number| compare(number, *from).is_ge() && compare(number, *to).is_le())
        }
        Test::Matches(regex) => regex::Regex::new(&format!("(?i){}", regex.pattern()))
            .unwrap()
            .is_match(&text),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the language compares integers with fractions as floats"
)]
fn compare(one: Number, other: Number) -> std::cmp::Ordering {
    let float = |number| match number {
        Number::Int(number) => number as f64,
        Number::Float(number) => number,
    };
    match (one, other) {
        (Number::Int(one), Number::Int(other)) => one.cmp(&other),
        _ => float(one).partial_cmp(&float(other)).unwrap(),
    }
}
