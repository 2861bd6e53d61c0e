//! `log-server query`: the newest records that match, or the table that the query's pipeline makes of them.

use unicode_width::UnicodeWidthStr as _;

use crate::config::QueryOptions;
use crate::search::{SearchParams, Searcher, ShownError};
use crate::store::Store;

use super::grid::grid;
use super::line::line;
use super::{colours, note, print, shown};

/// Prints what a query finds: records oldest first, tables in their order.
///
/// # Errors
/// When there are no records to read, a parameter makes no sense, or the output cannot be written.
pub async fn query(options: QueryOptions) -> anyhow::Result<()> {
    let searcher = Searcher::new(Store::open_to_read(&options.data)?);
    let format = options.format();
    let q = options.query.clone();
    let params = SearchParams::new(options.query, options.from, options.to, options.limit);
    let answer = searcher.search(&params).await?;
    if let Some(error) = answer.error() {
        note(&pointed(error, &q));
    }
    if let Some(shortfall) = answer.shortfall() {
        note(&shortfall);
    }
    match answer.nothing() {
        Some("") => note("there are no records of that time"),
        Some(read_as) => note(&format!("nothing matches {}", shown(read_as))),
        None => {}
    }
    if answer.has_more() {
        note(if answer.table().is_some() {
            "there are more rows; -n shows more"
        } else {
            "there are older ones; -n shows more"
        });
    }
    if let Some(format) = format {
        print(&answer.in_format(format))?;
    } else if let Some(table) = answer.table() {
        print(&grid(table))?;
    } else {
        let colours = colours();
        // A pipeline has brought the records into its own order.
        let lines = answer.records().map(|record| line(record, colours));
        let text: String = if answer.is_sorted() {
            lines.collect()
        } else {
            lines.rev().collect()
        };
        print(&text)?;
    }
    Ok(())
}

/// What is wrong with a query, and where.
fn pointed(error: &ShownError, q: &str) -> String {
    let blank = " ".repeat(shown(error.before(q)).width());
    let hint = error.hint.as_deref().unwrap_or_default();
    let text = format!(
        "searched as text, for it is no query: {}\n  {}\n  {blank}^ {hint}",
        error.error,
        shown(q)
    );
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    #[track_caller]
    fn check(q: &str, column: usize) {
        let error = query::read(q).error.expect("it is no query");
        let text = pointed(&ShownError::new(&error, q), q);
        let (_, pointed) = text.split_once('\n').unwrap();
        let marked: Vec<&str> = pointed.lines().collect();
        assert_eq!(marked[0], format!("  {}", shown(q)));
        assert_eq!(marked[1].find('^'), Some(2 + column), "{text}");
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        check("(a OR", 3);
        check("登录 level:>", 11);
        check("a\u{1b} level:>", 14);
    }
}
