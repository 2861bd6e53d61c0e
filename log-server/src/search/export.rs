//! Everything that matches, as a file, in pieces: memory is bounded whatever the size of the file.

use log_record::value::AsObject;

use super::answer::ShownRecord;
use super::params::ExportParams;
use super::{SearchError, Searcher};
use crate::query::Filter;
use crate::store::{Cursor, Direction, Search, StoredRecord, TimeRange};

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
    filter: Filter,
    range: TimeRange,
    format: ExportFormat,
    step: Step,
}

enum Step {
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
        let (asked, range, format) = (params.asked()?, params.range()?, params.format()?);
        Ok(Export {
            searcher: self.clone(),
            filter: asked.query.filter,
            range,
            format,
            step: Step::Head,
        })
    }
}

impl Export {
    /// The format it has.
    pub fn format(&self) -> ExportFormat {
        self.format
    }

    /// The next piece of the file; `None` at its end.
    ///
    /// # Errors
    /// As for a search. What was given so far is then not the whole.
    pub async fn next(&mut self) -> Result<Option<String>, SearchError> {
        let after = match self.step {
            Step::Head => {
                self.step = Step::After(None);
                return Ok(Some(match self.format {
                    ExportFormat::Ndjson => String::new(),
                    ExportFormat::Csv => CSV_HEAD.to_owned(),
                }));
            }
            Step::After(after) => after,
            Step::Done => return Ok(None),
        };
        let (store, filter, range) = (self.searcher.store.clone(), self.filter.clone(), self.range);
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
        let mut text = String::new();
        for record in page.records {
            match self.format {
                ExportFormat::Ndjson => {
                    let line = serde_json::to_string(&ShownRecord(record));
                    text.push_str(&line.expect("a record serialises without I/O"));
                    text.push('\n');
                }
                ExportFormat::Csv => csv_row(&record, &mut text),
            }
        }
        Ok(Some(text))
    }
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
        record.message.clone(),
        json(record.fields.is_empty(), &AsObject(&record.fields)),
        json(record.spans.is_empty(), &record.spans),
        record.trace_id.clone().unwrap_or_default(),
        record.span_id.clone().unwrap_or_default(),
        id.to_string(),
    ];
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        csv_cell(cell, out);
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
