//! `log-server export`: everything that matches, for programs.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::config::ExportOptions;
use crate::search::{ExportParams, Searcher};
use crate::store::{Budget, Store};

use super::{note, print};

/// How long a SQLite file may take to write: its user waits for it and can interrupt it.
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// Writes everything that matches to stdout, newest first.
///
/// # Errors
/// When there are no records to read, a parameter makes no sense, or the output cannot be written.
pub async fn export(options: ExportOptions) -> anyhow::Result<()> {
    let store = Store::open_to_read(&options.data)?;
    let searcher = Searcher::new(store.clone());
    if options.format == "sqlite" {
        return sqlite(store, options).await;
    }
    if options.out.is_some() {
        anyhow::bail!("--out is for --format sqlite; the other formats go to stdout");
    }
    let params = ExportParams::new(options.query, options.from, options.to, options.format);
    let mut export = searcher.export(&params)?;
    while let Some(piece) = export.next().await? {
        if !print(&piece)? {
            break;
        }
    }
    Ok(())
}

async fn sqlite(store: Store, options: ExportOptions) -> anyhow::Result<()> {
    let params = ExportParams::new(options.query, options.from, options.to, "ndjson".into());
    let (filter, range) = params.records()?;
    let path = options.out.context("--out FILE says where to write it")?;
    let written = tokio::task::spawn_blocking(move || {
        let budget = Budget::until(Instant::now() + LIMIT);
        store.export_plain(&filter, range, &path, &budget)
    });
    let written = written.await??;
    note(&format!("{written} records written"));
    Ok(())
}
