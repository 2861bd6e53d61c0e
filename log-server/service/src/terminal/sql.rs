//! `log-server sql`: what a SELECT over the table `logs` finds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::SqlOptions;
use crate::query::Number;
use crate::search::{Cell, ColumnHead, Kind, ShownTable, in_format};
use crate::store::{Budget, Selected, SqlValue, Store};

use super::grid::grid;
use super::{note, print};

/// How long a statement may take: its user waits for it and can interrupt it.
const LIMIT: Duration = Duration::from_secs(3_600);

/// Prints the rows.
///
/// # Errors
/// When there are no records to read, the statement makes no sense, or the output cannot be written.
pub async fn sql(options: SqlOptions) -> anyhow::Result<()> {
    let format = options.format();
    let selected = tokio::task::spawn_blocking(move || {
        let store = Store::open_to_read(&options.data)?;
        let budget = Arc::new(Budget::until(Instant::now() + LIMIT));
        store.select(&options.sql, budget).map_err(anyhow::Error::msg)
    });
    let selected = selected.await??;
    if selected.capped {
        note(&format!("only the first {} rows are shown", selected.rows.len()));
    }
    let table = table(selected);
    print(&format.map_or_else(|| grid(&table), |format| in_format(&table, format))).map(drop)
}

fn table(selected: Selected) -> ShownTable {
    let kind = |place: usize| {
        let mut cells = selected.rows.iter().map(|row| &row[place]);
        if cells.all(|cell| !matches!(cell, SqlValue::Text(_))) {
            Kind::Number
        } else {
            Kind::Text
        }
    };
    let columns = selected.columns.iter().enumerate();
    let columns = columns.map(|(place, name)| ColumnHead {
        name: name.clone(),
        kind: kind(place),
    });
    let columns = columns.collect();
    let cell = |value: SqlValue| match value {
        SqlValue::Null => Cell::Nothing,
        SqlValue::Integer(number) => Cell::Number(Number::Int(number.into())),
        SqlValue::Real(number) if number.is_finite() => Cell::Number(Number::Float(number)),
        SqlValue::Real(number) => Cell::Text(number.to_string()),
        SqlValue::Text(text) => Cell::Text(text),
    };
    let rows = selected
        .rows
        .into_iter()
        .map(|row| row.into_iter().map(cell).collect());
    ShownTable {
        columns,
        rows: rows.collect(),
    }
}
