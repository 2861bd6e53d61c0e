//! Records as a table of SQLite, read-only: `logs`, whose rows are the records, newest first.
//!
//! Conditions on the time and the level narrow what is read, and compare by moment and severity, not by letters. A
//! connection sees nothing but this table: it is in memory and can open no file.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::Arc;

use log_record::{Level, Timestamp};
use rusqlite::limits::Limit;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor,
};
use rusqlite::{Connection, ffi};

use crate::query::{Comparison, Filter};

use super::plain::{COLUMNS, PIECE, value};
use super::search::{Budget, Direction, Search};
use super::{Cursor, Store, StoreError, StoredRecord, TimeRange};

/// Rows of an answer; who wants more exports.
const ROWS: usize = 100_000;
/// Places of the columns whose conditions are used.
const TIME: c_int = 0;
const LEVEL: c_int = 1;

/// What a statement selects.
#[derive(Debug)]
pub struct Selected {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether there are more rows than an answer holds.
    pub capped: bool,
}

/// A value as SQLite knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// `NULL`.
    Null,
    /// An integer.
    Integer(i64),
    /// A fraction.
    Real(f64),
    /// Text; bytes that are none are shown as they can be.
    Text(String),
}

impl Store {
    /// Runs one `SELECT` over the table `logs`. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// What is wrong with the statement, or that the budget is spent.
    pub fn select(&self, sql: &str, budget: Arc<Budget>) -> Result<Selected, String> {
        select(self, sql, budget).map_err(|error| match error {
            rusqlite::Error::ModuleError(why) => why,
            rusqlite::Error::SqliteFailure(_, Some(why)) => why,
            other => other.to_string(),
        })
    }
}

fn select(store: &Store, sql: &str, budget: Arc<Budget>) -> rusqlite::Result<Selected> {
    const MODULE: Module<'_, LogsTable> = Module::eponymous_only_module();
    let connection = Connection::open_in_memory()?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.create_module(c"logs", &MODULE, Some((store.clone(), budget)))?;
    let mut statement = connection.prepare(sql)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(rusqlite::Error::ModuleError("only SELECT is answered".into()));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut selected = Selected {
        columns,
        rows: Vec::new(),
        capped: false,
    };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if selected.rows.len() == ROWS {
            selected.capped = true;
            break;
        }
        let cell = |place| {
            use rusqlite::types::ValueRef;
            Ok(match row.get_ref(place)? {
                ValueRef::Null => SqlValue::Null,
                ValueRef::Integer(number) => SqlValue::Integer(number),
                ValueRef::Real(number) => SqlValue::Real(number),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    SqlValue::Text(String::from_utf8_lossy(bytes).into_owned())
                }
            })
        };
        let cells = (0..selected.columns.len())
            .map(cell)
            .collect::<rusqlite::Result<_>>()?;
        selected.rows.push(cells);
    }
    Ok(selected)
}

#[repr(C)]
struct LogsTable {
    /// SQLite's own part, which must be the first.
    base: ffi::sqlite3_vtab,
    store: Store,
    budget: Arc<Budget>,
}

#[expect(
    unsafe_code,
    reason = "the trait is: SQLite's own part is the first field, as it demands"
)]
unsafe impl<'vtab> VTab<'vtab> for LogsTable {
    type Aux = (Store, Arc<Budget>);
    type Cursor = LogsCursor<'vtab>;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Self::Aux>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let (store, budget) = aux.expect("the module is made with a store").clone();
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        let table = CString::new(format!("CREATE TABLE logs ({})", columns.join(", ")));
        let base = ffi::sqlite3_vtab::default();
        Ok((
            Cow::Owned(table.expect("names have no zero byte")),
            LogsTable { base, store, budget },
        ))
    }

    /// The conditions that are used, as text: one column and operator per argument of `filter`.
    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let mut used = String::new();
        let mut arguments = Vec::new();
        for (place, constraint) in info.constraints().enumerate() {
            let column = constraint.column();
            let operator = match constraint.operator() {
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => '=',
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => '>',
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => 'G',
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => '<',
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => 'L',
                _ => continue,
            };
            if matches!(column, TIME | LEVEL) && constraint.is_usable() {
                used.push(if column == TIME { 't' } else { 'l' });
                used.push(operator);
                arguments.push(place);
            }
        }
        for (place, number) in arguments.iter().zip(1..) {
            let mut usage = info.constraint_usage(*place);
            usage.set_argv_index(number);
            // By their letters, levels and times would compare wrongly.
            usage.set_omit(true);
        }
        info.set_estimated_cost(1e9 / f64::from(1 << arguments.len().min(20)));
        info.set_idx_str(&used);
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<LogsCursor<'vtab>> {
        Ok(LogsCursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            store: self.store.clone(),
            budget: self.budget.clone(),
            filter: Filter::All,
            range: TimeRange::ALL,
            rows: VecDeque::new(),
            next: None,
            phantom: PhantomData,
        })
    }
}

#[repr(C)]
struct LogsCursor<'vtab> {
    /// SQLite's own part, which must be the first.
    base: ffi::sqlite3_vtab_cursor,
    store: Store,
    budget: Arc<Budget>,
    filter: Filter,
    range: TimeRange,
    /// Read and not yet shown; the first one is the current row.
    rows: VecDeque<StoredRecord>,
    next: Option<Cursor>,
    phantom: PhantomData<&'vtab LogsTable>,
}

impl LogsCursor<'_> {
    /// Reads on until there is a row, or nothing more.
    fn fill(&mut self, mut after: Option<Cursor>) -> rusqlite::Result<()> {
        loop {
            let page = self.store.search(&Search {
                filter: &self.filter,
                range: self.range,
                after,
                direction: Direction::Older,
                limit: PIECE,
                budget: &self.budget,
            });
            let page = page.map_err(|error: StoreError| rusqlite::Error::ModuleError(error.to_string()))?;
            if page.partial.is_some() {
                return Err(rusqlite::Error::ModuleError("the time limit was reached".into()));
            }
            self.rows = page.records.into();
            self.next = page.next;
            after = page.next;
            if !self.rows.is_empty() || after.is_none() {
                return Ok(());
            }
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the trait is: SQLite's own part is the first field, as it demands"
)]
unsafe impl VTabCursor for LogsCursor<'_> {
    fn filter(&mut self, _: c_int, used: Option<&str>, args: &Filters<'_>) -> rusqlite::Result<()> {
        self.range = TimeRange::ALL;
        let mut levels = (Level::Trace, Level::Error);
        let mut nothing = false;
        let used = used.unwrap_or_default().as_bytes();
        for (place, condition) in used.chunks_exact(2).enumerate() {
            let Some(text) = args.get::<Option<String>>(place)? else {
                // Nothing compares with NULL.
                nothing = true;
                continue;
            };
            if condition[0] == b't' {
                narrow_time(&mut self.range, condition[1], &text)?;
            } else {
                nothing |= !narrow_levels(&mut levels, condition[1], &text)?;
            }
        }
        self.filter = if levels == (Level::Trace, Level::Error) {
            Filter::All
        } else {
            Filter::Level {
                from: levels.0,
                to: levels.1,
            }
        };
        (self.rows, self.next) = (VecDeque::new(), None);
        if nothing || levels.0 > levels.1 || self.range.from >= self.range.to {
            return Ok(());
        }
        self.fill(None)
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.rows.pop_front();
        match (self.rows.is_empty(), self.next) {
            (true, Some(next)) => self.fill(Some(next)),
            _ => Ok(()),
        }
    }

    fn eof(&self) -> bool {
        self.rows.is_empty()
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let name = usize::try_from(column).ok().and_then(|place| COLUMNS.get(place));
        let row = self.rows.front().zip(name);
        context.set_result(row.map_or(rusqlite::types::Value::Null, |(row, (name, _))| value(row, name)))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self
            .rows
            .front()
            .map_or(0, |row| row.id.as_number().cast_signed()))
    }
}

/// What a time leaves out at its end is its beginning: `2026-09-21` is the first moment of that day. Without a zone it is
/// in UTC.
fn narrow_time(range: &mut TimeRange, operator: u8, text: &str) -> rusqlite::Result<()> {
    const BEGINNING: &str = "0000-01-01T00:00:00";
    let missing = BEGINNING.get(text.len().max(4)..).unwrap_or_default();
    let whole = format!("{}{missing}", text.replacen(' ', "T", 1));
    let time = whole
        .parse::<Timestamp>()
        .or_else(|_| format!("{whole}Z").parse());
    let time = time.map_err(|_| {
        rusqlite::Error::ModuleError(format!(
            "{text:?} is not a time such as 2026-01-31 or 2026-01-31T08:00:00Z"
        ))
    })?;
    let next = time.after(std::time::Duration::from_nanos(1));
    let (from, to) = match operator {
        b'>' => (next, TimeRange::ALL.to),
        b'G' => (time, TimeRange::ALL.to),
        b'<' => (TimeRange::ALL.from, time),
        b'L' => (TimeRange::ALL.from, next),
        _ => (time, next),
    };
    *range = TimeRange {
        from: range.from.max(from),
        to: range.to.min(to),
    };
    Ok(())
}

/// `false` when no level is left.
fn narrow_levels(levels: &mut (Level, Level), operator: u8, text: &str) -> rusqlite::Result<bool> {
    let limit: Level = text.parse().map_err(|_| {
        rusqlite::Error::ModuleError(format!(
            "{text:?} is not a level: trace, debug, info, warn, error"
        ))
    })?;
    let accepts = |level: Level| match operator {
        b'>' => Comparison::Greater.accepts(level.cmp(&limit)),
        b'G' => Comparison::GreaterOrEqual.accepts(level.cmp(&limit)),
        b'<' => Comparison::Less.accepts(level.cmp(&limit)),
        b'L' => Comparison::LessOrEqual.accepts(level.cmp(&limit)),
        _ => level == limit,
    };
    let mut fitting = Level::ALL.into_iter().filter(|level| accepts(*level));
    let Some(first) = fitting.next() else {
        return Ok(false);
    };
    let last = fitting.next_back().unwrap_or(first);
    *levels = (levels.0.max(first), levels.1.min(last));
    Ok(true)
}
