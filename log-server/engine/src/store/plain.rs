//! Records as plain rows: what SQL sees of them, here and in a file of them that any tool opens.

use log_record::value::AsObject;
use rusqlite::types::Value;

use super::StoredRecord;

/// The columns of a row, in order, with their types.
pub(super) const COLUMNS: [(&str, &str); 19] = [
    ("time", "TEXT"),
    ("level", "TEXT"),
    ("service", "TEXT"),
    ("message", "TEXT"),
    ("fields", "TEXT"),
    ("instance", "TEXT"),
    ("host", "TEXT"),
    ("version", "TEXT"),
    ("boot", "TEXT"),
    ("target", "TEXT"),
    ("file", "TEXT"),
    ("line", "INTEGER"),
    ("spans", "TEXT"),
    ("trace_id", "TEXT"),
    ("span_id", "TEXT"),
    ("thread", "TEXT"),
    ("flags", "TEXT"),
    ("seq", "INTEGER"),
    ("id", "INTEGER"),
];
/// Records read at once.
pub(super) const PIECE: usize = 1_000;

/// The record's value of a column; numbers beyond what SQLite knows are left out.
pub(super) fn value(stored: &StoredRecord, column: &str) -> Value {
    let StoredRecord { id, source, record } = stored;
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
    let json = |is_empty: bool, value: &dyn Fn() -> serde_json::Result<String>| {
        if is_empty {
            return Value::Null;
        }
        Value::Text(value().expect("a record serialises without I/O"))
    };
    let number = |number: Option<u64>| {
        let number = number.and_then(|number| i64::try_from(number).ok());
        number.map_or(Value::Null, Value::Integer)
    };
    match column {
        "time" => Value::Text(record.time.to_string()),
        "level" => text(Some(record.level().as_str())),
        "service" => text(Some(&source.service)),
        "message" => text(Some(&record.message)),
        "fields" => json(record.fields.is_empty(), &|| {
            serde_json::to_string(&AsObject(&record.fields))
        }),
        "instance" => text(source.instance.as_deref()),
        "host" => text(source.host.as_deref()),
        "version" => text(source.version.as_deref()),
        "boot" => text(source.boot.as_deref()),
        "target" => text(Some(&*record.callsite.target).filter(|target| !target.is_empty())),
        "file" => text(record.callsite.file.as_deref()),
        "line" => number(record.callsite.line.map(u64::from)),
        "spans" => json(record.spans.is_empty(), &|| serde_json::to_string(&record.spans)),
        "trace_id" => text(record.trace_id.as_deref()),
        "span_id" => text(record.span_id.as_deref()),
        "thread" => text(record.thread.as_deref()),
        "flags" => json(record.flags.is_empty(), &|| {
            serde_json::to_string(&record.flags.names().collect::<Vec<_>>())
        }),
        "seq" => number(record.seq),
        "id" => number(Some(id.as_number())),
        _ => Value::Null,
    }
}
