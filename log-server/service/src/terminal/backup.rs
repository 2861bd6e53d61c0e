//! `log-server backup`: a copy of the records while the server goes on.

use std::io::Write as _;

use super::{check, note};
use crate::config::BackupOptions;
use crate::store::{self, BackupStep};

/// Tenths of a file between two lines of progress.
const TENTHS: u64 = 10;

/// Copies the records and checks the copy.
///
/// # Errors
/// When there is nothing to copy, the copy exists, cannot be written or is not sound.
pub fn backup(options: &BackupOptions) -> anyhow::Result<()> {
    let mut told = None;
    let checked = store::backup(&options.data, &options.copy, |step| match step {
        BackupStep::Checking(at) => check::tell(at),
        BackupStep::Copying { path, done, of } => {
            let tenth = (done * TENTHS).checked_div(of).unwrap_or(TENTHS);
            if told.replace((path.to_owned(), tenth)) != Some((path.to_owned(), tenth)) {
                note(&format!("copying {}: {}%", path.display(), tenth * 100 / TENTHS));
            }
        }
    })?;
    writeln!(
        std::io::stdout().lock(),
        "{} records in {} files were copied to {} and checked",
        checked.records,
        checked.partitions,
        options.copy.display()
    )?;
    Ok(())
}
