//! A record as one line for people.

use log_record::{Fields, Level, Value};

use super::shown;
use crate::store::StoredRecord;

/// A record as one line: time, level, service, message, then fields.
pub(super) fn line(stored: &StoredRecord, colours: bool) -> String {
    let StoredRecord { source, record, .. } = stored;
    let level = record.level();
    let (on, off) = if colours {
        (colour(level), "\u{1b}[0m")
    } else {
        ("", "")
    };
    let mut line = format!(
        "{} {on}{:5}{off} {}: ",
        record.time,
        level.as_str().to_uppercase(),
        shown(&source.service)
    );
    line.push_str(&shown(&record.message));
    push_fields(&record.fields, &mut line);
    for span in &record.spans {
        line.push_str(&format!(" [{}", shown(&span.name)));
        push_fields(&span.fields, &mut line);
        line.push(']');
    }
    line.push('\n');
    line
}

fn push_fields(fields: &Fields, line: &mut String) {
    let mut scratch = String::new();
    for (name, value) in fields {
        let quoted = matches!(value, Value::Text(text) if text.is_empty() || text.contains([' ', '"', '=']));
        let text = value.with_text(&mut scratch, |text| {
            if quoted { format!("{text:?}") } else { shown(text) }
        });
        line.push_str(&format!(" {}={}", shown(name), shown(&text)));
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\u{1b}[31m",
        Level::Warn => "\u{1b}[33m",
        Level::Info => "\u{1b}[32m",
        Level::Debug => "\u{1b}[34m",
        Level::Trace => "\u{1b}[2m",
    }
}
