//! Records that were not delivered: counted by level and reason, never silent.

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use foldhash::fast::RandomState;
use tracing_core::callsite::Identifier;
use tracing_core::{Level, Metadata};

/// Why records were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The buffer had no room for this level.
    Full,
    /// A `Debug` implementation that logs was nested too deep.
    Recursion,
    /// The layer itself panicked on them.
    Panicked,
    /// They came after the shutdown.
    AfterShutdown,
    /// The layer could not be set up; see [`Guard::problems`](crate::Guard::problems).
    Misconfigured,
    /// Their call-site logged too often; see [`Builder::rate_limit`](crate::Builder::rate_limit).
    RateLimited,
    /// The server refused them for good.
    RejectedByServer,
    /// The disk did not give back what was spooled; see [`Builder::spool`](crate::Builder::spool).
    SpoolDamaged,
}

impl DropReason {
    pub(crate) const ALL: [DropReason; 8] = [
        DropReason::Full,
        DropReason::Recursion,
        DropReason::Panicked,
        DropReason::AfterShutdown,
        DropReason::Misconfigured,
        DropReason::RateLimited,
        DropReason::RejectedByServer,
        DropReason::SpoolDamaged,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::Full => "full",
            DropReason::Recursion => "recursion",
            DropReason::Panicked => "panicked",
            DropReason::AfterShutdown => "after_shutdown",
            DropReason::Misconfigured => "misconfigured",
            DropReason::RateLimited => "rate_limited",
            DropReason::RejectedByServer => "rejected_by_server",
            DropReason::SpoolDamaged => "spool_damaged",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Dropped records of one level, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Their severity.
    pub level: Level,
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub count: u64,
    /// When the first of them was logged.
    pub from: SystemTime,
    /// When the last of them was logged.
    pub to: SystemTime,
}

impl Dropped {
    pub(crate) fn one(level: Level, reason: DropReason, time: SystemTime) -> Dropped {
        Dropped {
            level,
            reason,
            count: 1,
            from: time,
            to: time,
        }
    }
}

/// Records refused at one place, before anybody has looked at them.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) tally: Tally,
    /// How many of each call-site. Hashed quickly: an overload must cost little.
    pub(crate) sites: HashMap<Identifier, (&'static Metadata<'static>, u64), RandomState>,
}

impl Refusals {
    pub(crate) fn add(&mut self, metadata: &'static Metadata<'static>, reason: DropReason, time: SystemTime) {
        self.tally.add(&Dropped::one(*metadata.level(), reason, time));
        self.sites.entry(metadata.callsite()).or_insert((metadata, 0)).1 += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tally.0.is_empty()
    }
}

/// One line for each level and reason; there are few, so a list is enough.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Vec<Dropped>);

impl Tally {
    pub(crate) fn add(&mut self, dropped: &Dropped) {
        let same = |known: &&mut Dropped| known.level == dropped.level && known.reason == dropped.reason;
        match self.0.iter_mut().find(same) {
            Some(known) => {
                known.count += dropped.count;
                known.from = known.from.min(dropped.from);
                known.to = known.to.max(dropped.to);
            }
            None => self.0.push(dropped.clone()),
        }
    }

    /// Takes out records that were added before. When the others were logged stays as vague as it was.
    pub(crate) fn remove(&mut self, other: &Tally) {
        for gone in &other.0 {
            let same = |known: &&mut Dropped| known.level == gone.level && known.reason == gone.reason;
            if let Some(known) = self.0.iter_mut().find(same) {
                known.count = known.count.saturating_sub(gone.count);
            }
        }
        self.0.retain(|known| known.count > 0);
    }

    /// The same records, dropped for that reason.
    pub(crate) fn because(&self, reason: DropReason) -> impl Iterator<Item = Dropped> {
        self.0.iter().map(move |dropped| Dropped {
            reason,
            ..dropped.clone()
        })
    }

    pub(crate) fn lines(&self) -> &[Dropped] {
        &self.0
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|dropped| dropped.count).sum()
    }
}
