//! `log-server check`: is everything that was stored still there?

use std::io::Write as _;

use anyhow::bail;

use super::{note, shown};
use crate::config::CheckOptions;
use crate::store::{self, CheckStep};

/// What can be done about damage.
const ADVICE: &str = "A server goes on beside damaged files: what is in them is missing from answers, which say so. \
Stop it before a file is touched. A file comes back from a backup (copy it over the damaged one and delete its -wal and \
-shm); without one, move it out of the way, or save what is left of it with: sqlite3 FILE .recover";

/// Checks the records and says what is wrong with them.
///
/// # Errors
/// When something is wrong, there are no records, or the output cannot be written.
pub fn check(options: &CheckOptions) -> anyhow::Result<()> {
    let checked = store::check(&options.data, tell)?;
    let mut out = std::io::stdout().lock();
    for problem in &checked.problems {
        writeln!(out, "{}: {}", shown(&problem.path), shown(&problem.what))?;
    }
    writeln!(
        out,
        "read: {}, {}, {}",
        many(checked.records, "record"),
        many(checked.blocks, "block"),
        many(checked.partitions, "file")
    )?;
    if !checked.problems.is_empty() {
        note(ADVICE);
        bail!("{} found", many(checked.problems.len(), "problem"));
    }
    Ok(())
}

/// So many of something, with the ending that belongs to it.
fn many(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// Says which file is being read.
pub(super) fn tell(CheckStep { path, number, of }: CheckStep<'_>) {
    note(&format!("checking {} ({number} of {of})", path.display()));
}
