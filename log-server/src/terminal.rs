//! The verbs that print: records for people and for programs, read from the data directory whether or not a server runs.
//!
//! What records say is hostile to terminals: every control character is shown, never sent.

mod check;
mod backup;

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use log_record::{Fields, Level, Value};

use crate::config::{ExportOptions, QueryOptions};
use crate::search::{ExportParams, SearchParams, Searcher};
use crate::store::{Store, StoredRecord};

pub use backup::backup;
pub use check::check;

/// Prints the newest records that match, oldest first.
///
/// # Errors
/// When there are no records to read, or a parameter makes no sense.
pub async fn query(options: QueryOptions) -> anyhow::Result<()> {
    let searcher = Searcher::new(Store::open_to_read(&options.data)?);
    let params = SearchParams::new(options.query, options.from, options.to, options.limit);
    let answer = searcher.search(&params).await?;
    if let Some(error) = answer.error() {
        note(&format!("searched as text, for it is no query: {}", error.error));
    }
    if answer.has_more() {
        note("there are older ones; -n shows more");
    }
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = io::stdout().lock();
    for record in answer.records().rev() {
        if ended(out.write_all(line(record, colours).as_bytes()))? {
            break;
        }
    }
    Ok(())
}

/// Writes everything that matches to stdout, newest first.
///
/// # Errors
/// When there are no records to read, a parameter makes no sense, or the output cannot be written.
pub async fn export(options: ExportOptions) -> anyhow::Result<()> {
    let searcher = Searcher::new(Store::open_to_read(&options.data)?);
    let params = ExportParams::new(options.query, options.from, options.to, options.format);
    let mut export = searcher.export(&params)?;
    while let Some(piece) = export.next().await? {
        if ended(io::stdout().lock().write_all(piece.as_bytes()))? {
            break;
        }
    }
    Ok(())
}

/// Whether the reader of our output has seen enough (`| head`), which is no error.
fn ended(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error).context("writing to stdout"),
    }
}

/// Says something beside the records.
fn note(text: &str) {
    // With stderr closed there is nowhere left to say it.
    let _ = writeln!(io::stderr(), "log-server: {text}");
}

/// A record as one line: time, level, service, message, then fields.
fn line(stored: &StoredRecord, colours: bool) -> String {
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

/// Text with every character that a terminal would act on written out: control characters, and those that change the
/// direction of text or have no width.
fn shown(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(acts) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown_instead() {
        check("plain 登录 😀", "plain 登录 😀");
        check("\u{1b}[2J", "\\u{1b}[2J");
        check("\u{9b}31m", "\\u{9b}31m");
        check("two\nlines\r", "two\\nlines\\r");
        check("\u{7}\u{0}", "\\u{7}\\u{0}");
        check("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}");
    }
}
