//! `log-server query`: the newest records that match, or the table that the query's pipeline makes of them.

use crate::config::QueryOptions;
use crate::search::{SearchParams, Searcher};
use crate::store::Store;

use super::grid::grid;
use super::line::line;
use super::{colours, note, print};

/// Prints what a query finds: records oldest first, tables in their order.
///
/// # Errors
/// When there are no records to read, a parameter makes no sense, or the output cannot be written.
pub async fn query(options: QueryOptions) -> anyhow::Result<()> {
    let searcher = Searcher::new(Store::open_to_read(&options.data)?);
    let format = options.format();
    let params = SearchParams::new(options.query, options.from, options.to, options.limit);
    let answer = searcher.search(&params).await?;
    if let Some(error) = answer.error() {
        note(&format!("searched as text, for it is no query: {}", error.error));
    }
    if let Some(shortfall) = answer.shortfall() {
        note(&shortfall);
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
