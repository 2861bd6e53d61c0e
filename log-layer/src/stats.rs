//! What became of the records, in numbers.

use std::cmp::Reverse;
use std::collections::HashMap;

use tracing_core::Metadata;
use tracing_core::callsite::Identifier;

use crate::dropped::{Dropped, Tally};

/// Counts since the layer was built.
///
/// Every record is in exactly one of four places: stored, dropped, on disk (`spooled`), or in memory, and those are
/// `accepted - stored - given_up - spooled`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Records taken into the buffer.
    pub accepted: u64,
    /// Records the server has acknowledged as stored.
    pub stored: u64,
    /// Accepted records that were given up later; they are counted in [`dropped`](Stats::dropped) as well.
    pub given_up: u64,
    /// Records on disk alone, which the server does not have yet; see [`Builder::spool`](crate::Builder::spool).
    pub spooled: u64,
    /// Records that earlier runs of the service left on disk and that the server has now.
    pub adopted: u64,
    /// Batches that were sent again because the first sending may have been lost.
    pub resent: u64,
    /// Bytes of buffered and unacknowledged records.
    pub buffered_bytes: usize,
    /// The last thing that went wrong on the way to the server.
    pub last_error: Option<String>,
    pub(crate) dropped: Tally,
    pub(crate) refused: HashMap<Identifier, (&'static Metadata<'static>, u64)>,
}

impl Stats {
    /// Records that will not be delivered, by level and reason.
    pub fn dropped(&self) -> &[Dropped] {
        self.dropped.lines()
    }

    /// The call-sites whose records were refused, and how many of each, most first: where there is too much logged. All
    /// records of the log crate of one level count as one call-site.
    pub fn refused_by_call_site(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut sites: Vec<_> = self.refused.values().copied().collect();
        sites.sort_by_key(|(_, count)| Reverse(*count));
        sites
    }

    pub(crate) fn refused_at(&mut self, site: Identifier, metadata: &'static Metadata<'static>, count: u64) {
        self.refused.entry(site).or_insert((metadata, 0)).1 += count;
    }

    /// How many records will not be delivered.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.total()
    }
}

/// What a flush achieved. The numbers count since the layer was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Records the server has acknowledged as stored.
    pub stored: u64,
    /// Records on disk, which this process or the next one of the service will deliver.
    pub spooled: u64,
    /// Records that are in memory only: neither stored, given up nor spooled. More may have been logged since the flush
    /// began.
    pub still_buffered: u64,
    /// Records that will not be delivered.
    pub dropped: u64,
}
