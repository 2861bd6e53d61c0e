//! Records as plain rows: what SQL sees of them, and a SQLite file of them that any tool opens.

use std::path::Path;

use log_record::value::AsObject;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::query::Filter;

use super::search::{Budget, Direction, Search};
use super::{Cursor, Store, StoreError, StoredRecord, TimeRange};

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

const INDEXES: &str = "
    CREATE INDEX logs_time ON logs (time);
    CREATE INDEX logs_service ON logs (service, time);
    CREATE INDEX logs_level ON logs (level, time);
    CREATE INDEX logs_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
    ANALYZE;";

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

impl Store {
    /// Writes every record that matches to a new SQLite file with one table, `logs`, and returns how many there are.
    /// Blocks: call it off the async threads. The file appears when it is whole.
    ///
    /// # Errors
    /// When there is such a file already or it cannot be written, when the budget is spent, or when stored data cannot
    /// be read back.
    pub fn export_plain(
        &self,
        filter: &Filter,
        range: TimeRange,
        path: &Path,
        budget: &Budget,
    ) -> Result<u64, StoreError> {
        let failed = |why: &dyn std::fmt::Display| StoreError::Unusable {
            path: path.display().to_string(),
            why: why.to_string(),
        };
        if path.exists() {
            return Err(failed(&"it exists already"));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        // What an earlier try left behind.
        let _ = std::fs::remove_file(&part);
        let connection = Connection::open(&part).map_err(|error| failed(&error))?;
        connection
            .execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
            .and_then(|()| connection.execute_batch(&create()))
            .map_err(|error| failed(&error))?;
        let (mut after, mut written): (Option<Cursor>, u64) = (None, 0);
        loop {
            let page = self.search(&Search {
                filter,
                range,
                after,
                direction: Direction::Newer,
                limit: PIECE,
                budget,
            })?;
            insert(&connection, &page.records).map_err(|error| failed(&error))?;
            written += page.records.len() as u64;
            if page.partial.is_some() {
                return Err(failed(&"it took too long"));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        connection
            .execute_batch(INDEXES)
            .map_err(|error| failed(&error))?;
        connection.close().map_err(|(_, error)| failed(&error))?;
        std::fs::rename(&part, path).map_err(|error| failed(&error))?;
        Ok(written)
    }
}

fn create() -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    format!("CREATE TABLE logs ({}) STRICT", columns.join(", "))
}

fn insert(connection: &Connection, records: &[StoredRecord]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    {
        let places = vec!["?"; COLUMNS.len()].join(", ");
        let mut statement = transaction.prepare_cached(&format!("INSERT INTO logs VALUES ({places})"))?;
        for record in records {
            statement.execute(params_from_iter(
                COLUMNS.iter().map(|(name, _)| value(record, name)),
            ))?;
        }
    }
    transaction.commit()
}
