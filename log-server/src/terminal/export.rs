//! `log-server export`: everything that matches, for programs.

use crate::config::ExportOptions;
use crate::search::{ExportParams, Searcher};
use crate::store::Store;

use super::print;

/// Writes everything that matches to stdout, newest first.
///
/// # Errors
/// When there are no records to read, a parameter makes no sense, or the output cannot be written.
pub async fn export(options: ExportOptions) -> anyhow::Result<()> {
    let searcher = Searcher::new(Store::open_to_read(&options.data)?);
    let params = ExportParams::new(options.query, options.from, options.to, options.format);
    let mut export = searcher.export(&params)?;
    while let Some(piece) = export.next().await? {
        if !print(&piece)? {
            break;
        }
    }
    Ok(())
}
