//! Everything that matches, as a file, in pieces: memory is bounded whatever the size of the file.

use log_record::value::AsObject;

use super::answer::{record_json, why};
use super::params::ExportParams;
use super::pipeline::{self, Made, ShownTable, columns_of};
use super::{SearchError, Searcher};
use crate::query::{Column, Query};
use crate::store::{Cursor, Direction, Partial, Search, StoredRecord, TimeRange};

/// Records in a piece.
const PIECE: usize = 1_000;
const CSV_HEAD: &str =
    "time,level,service,instance,host,version,target,message,fields,spans,trace_id,span_id,id\r\n";

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line, as the API shows records.
    Ndjson,
    /// RFC 4180, with a head; cells that a spreadsheet would take for a formula begin with an apostrophe.
    Csv,
}

/// An export under way, newest records first.
pub struct Export {
    searcher: Searcher,
    query: Query,
    /// What to show of each record, if the query does no more than say that.
    columns: Option<Vec<Column>>,
    range: TimeRange,
    format: ExportFormat,
    step: Step,
    partial: Option<&'static str>,
}

enum Step {
    /// All at once: what a pipeline makes is bounded.
    Whole,
    Head,
    After(Option<Cursor>),
    Done,
}

impl Searcher {
    /// Starts an export; nothing is read yet.
    ///
    /// # Errors
    /// When a parameter cannot be understood.
    pub fn export(&self, params: &ExportParams) -> Result<Export, SearchError> {
        let (asked, range, format) = (params.which.asked()?, params.which.range()?, params.format()?);
        let query = asked.query;
        let columns = pipeline::only_columns(&query.pipeline);
        let is_stream = query.pipeline.is_empty() || columns.is_some();
        Ok(Export {
            searcher: self.clone(),
            query,
            columns,
            range,
            format,
            step: if is_stream { Step::Head } else { Step::Whole },
            partial: None,
        })
    }
}

impl Export {
    /// The format it has.
    pub fn format(&self) -> ExportFormat {
        self.format
    }

    /// Why what was given so far may lack something that was stored and cannot be read any more.
    pub fn partial(&self) -> Option<&'static str> {
        self.partial
    }

    /// The next piece of the file; `None` at its end.
    ///
    /// # Errors
    /// As for a search. What was given so far is then not the whole.
    pub async fn next(&mut self) -> Result<Option<String>, SearchError> {
        let after = match self.step {
            Step::Whole => return self.whole().await.map(Some),
            Step::Head => {
                self.step = Step::After(None);
                return Ok(Some(match &self.columns {
                    None => records([].into_iter(), self.format, true),
                    Some(columns) => table(&columns_of(columns, &[]), self.format, true),
                }));
            }
            Step::After(after) => after,
            Step::Done => return Ok(None),
        };
        let (store, filter, range) = (self.searcher.store.clone(), self.query.filter.clone(), self.range);
        let page = self.searcher.run(move |budget| {
            let direction = Direction::Older;
            Ok(store.search(&Search {
                filter: &filter,
                range,
                after,
                direction,
                limit: PIECE,
                budget,
            })?)
        });
        let page = page.await?;
        self.step = page.next.map_or(Step::Done, |next| Step::After(Some(next)));
        match page.partial {
            Some(Partial::Damaged) => self.partial = Some(why(Partial::Damaged)),
            // The next piece goes on where this one ended.
            Some(Partial::Deadline | Partial::Cancelled) | None => {}
        }
        Ok(Some(match &self.columns {
            Some(columns) => table(&columns_of(columns, &page.records), self.format, false),
            None => records(page.records.iter(), self.format, false),
        }))
    }

    async fn whole(&mut self) -> Result<String, SearchError> {
        self.step = Step::Done;
        let (store, query, range) = (self.searcher.store.clone(), self.query.clone(), self.range);
        let outcome = self
            .searcher
            .run(move |budget| Ok(pipeline::run(&store, &query, range, usize::MAX, budget)?));
        let outcome = outcome.await?;
        // A file that is not whole must not look whole.
        if let Some(why) = outcome.partial {
            return Err(SearchError::Incomplete(why));
        }
        Ok(match outcome.made {
            Made::Records(found) => records(found.iter(), self.format, true),
            Made::Table(made) => table(&made.table, self.format, true),
        })
    }
}

/// Records in a format, with its head or without.
pub(super) fn records<'a>(
    records: impl Iterator<Item = &'a StoredRecord>,
    format: ExportFormat,
    head: bool,
) -> String {
    let mut text = String::new();
    match format {
        ExportFormat::Ndjson => {
            for record in records {
                text.push_str(&record_json(record));
                text.push('\n');
            }
        }
        ExportFormat::Csv => {
            text.push_str(if head { CSV_HEAD } else { "" });
            records.for_each(|record| csv_row(record, &mut text));
        }
    }
    text
}

/// A table in a format, with its head if that has one.
pub fn in_format(shown: &ShownTable, format: ExportFormat) -> String {
    table(shown, format, true)
}

/// A table in a format, with its head or without.
pub(super) fn table(table: &ShownTable, format: ExportFormat, head: bool) -> String {
    let mut text = String::new();
    match format {
        ExportFormat::Ndjson => {
            for row in &table.rows {
                text.push_str(&table.object(row));
                text.push('\n');
            }
        }
        ExportFormat::Csv => {
            if head {
                csv_line(
                    table.columns.iter().map(|head| (head.name.clone(), true)),
                    &mut text,
                );
            }
            for row in &table.rows {
                csv_line(row.iter().map(|cell| (cell.text(), cell.is_text())), &mut text);
            }
        }
    }
    text
}

fn csv_row(stored: &StoredRecord, out: &mut String) {
    let StoredRecord { id, source, record } = stored;
    let cells = [
        record.time.to_string(),
        record.level().to_string(),
        source.service.to_string(),
        source.instance.as_deref().unwrap_or_default().to_owned(),
        source.host.as_deref().unwrap_or_default().to_owned(),
        source.version.as_deref().unwrap_or_default().to_owned(),
        record.callsite.target.to_string(),
        record.message.to_string(),
        json(record.fields.is_empty(), &AsObject(&record.fields)),
        json(record.spans.is_empty(), &record.spans),
        record.trace_id.as_deref().unwrap_or_default().to_owned(),
        record.span_id.as_deref().unwrap_or_default().to_owned(),
        id.to_string(),
    ];
    csv_line(cells.map(|cell| (cell, true)).into_iter(), out);
}

/// Cells, and whether each could be hostile text.
fn csv_line(cells: impl Iterator<Item = (String, bool)>, out: &mut String) {
    for (index, (cell, is_text)) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if is_text {
            csv_cell(&cell, out);
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}

/// What is empty is an empty cell.
fn json(is_empty: bool, value: &impl serde::Serialize) -> String {
    if is_empty {
        String::new()
    } else {
        serde_json::to_string(value).expect("a record serialises without I/O")
    }
}

/// Spreadsheets run what begins with one of these, also after white space; an apostrophe makes it text.
fn csv_cell(cell: &str, out: &mut String) {
    let first = cell.trim_start().chars().next();
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\0' | '＝' | '＋' | '－' | '＠')
    ) || cell.starts_with(['\t', '\r', '\n']);
    let quoted = cell.contains(['"', ',', '\n', '\r']);
    if quoted {
        out.push('"');
    }
    if formula {
        out.push('\'');
    }
    out.push_str(&cell.replace('"', "\"\""));
    if quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: &str, expected: &str) {
        let mut out = String::new();
        csv_cell(cell, &mut out);
        assert_eq!(out, expected, "{cell:?}");
    }

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        check("plain", "plain");
        check("a,b", "\"a,b\"");
        check("say \"hi\"", "\"say \"\"hi\"\"\"");
        check("two\nlines", "\"two\nlines\"");
        check("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1");
        check("-1", "'-1");
        check(" @SUM(A1)", "' @SUM(A1)");
        check("\t=1", "'\t=1");
        check("\0=1", "'\0=1");
        check("＝1", "'＝1");
        check("1-2", "1-2");
    }
}
