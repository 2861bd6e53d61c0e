//! `log-server export`: everything that matches, for programs.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::config::ExportOptions;
use crate::search::{ExportParams, Searcher};
use crate::store::{Budget, Exported, Incident, Partial, Store};

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
    if let Some(why) = export.partial() {
        note(&format!("this may not be all: {why}"));
    }
    Ok(())
}

async fn sqlite(store: Store, options: ExportOptions) -> anyhow::Result<()> {
    let params = ExportParams::new(options.query, options.from, options.to, "ndjson".into());
    let (filter, range) = params.records()?;
    let path = options.out.context("--out FILE says where to write it")?;
    let exported = tokio::task::spawn_blocking(move || {
        store.export_file(&Incident {
            filter: &filter,
            range,
            path: &path,
            bytes: None,
            budget: &Budget::until(Instant::now() + LIMIT),
        })
    });
    let Exported { records, partial } = exported.await??;
    match partial {
        None => note(&format!("{records} records written")),
        Some(Partial::Damaged) => note(&format!(
            "{records} records written; this may not be all: part of the store cannot be read"
        )),
        Some(Partial::Deadline | Partial::Cancelled) => anyhow::bail!("it took longer than {LIMIT:?}"),
    }
    Ok(())
}
