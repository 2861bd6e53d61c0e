//! Sealed batches, read back: to split them, and to say what was lost with them. Rare, so a sealed batch is text and
//! nothing else until then.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing_core::Level;

use super::{Batch, Claim, Parts, count};
use crate::dropped::{DropReason, Dropped, Tally};

impl Batch {
    /// Two new batches with half of the records each, of which the first carries the declarations; and the record that the
    /// second begins with. The batch itself if it cannot be split.
    ///
    /// The same batch gives the same halves, also in the next run if this one dies meanwhile.
    pub(crate) fn split(self) -> Result<(Batch, Batch, u64), Box<Batch>> {
        let Some(sealed) = Sealed::read(&self.text).filter(|sealed| sealed.records.len() > 1) else {
            return Err(Box::new(self));
        };
        let (former, latter) = sealed.records.split_at(sealed.records.len() / 2);
        let seq = Told::read(latter[0]).unwrap_or_default().seq;
        let half = |which: u64, records: &[&RawValue], dropped: &[u8]| {
            let texts: Vec<&str> = records.iter().map(|record| record.get()).collect();
            let list = texts.join(",");
            let parts = Parts {
                source: sealed.source.get(),
                no: half_of(self.no, which),
                sent: sealed.sent,
                dropped,
                callsites: inside(sealed.callsites),
                list: list.as_bytes(),
            };
            let mut half = Batch {
                no: parts.no,
                text: parts.text(),
                records: count(records.len()),
                claim: Claim::default(),
            };
            half.claim.content = half.losses(|_| true);
            half
        };
        let mut first = half(0, former, inside(sealed.dropped));
        let mut second = half(1, latter, &[]);
        let claim = self.claim;
        second.claim.cost = claim.cost / 2;
        first.claim.cost = claim.cost - second.claim.cost;
        if claim.spooled > 0 {
            first.claim.spooled = u64::from(first.records);
            second.claim.spooled = u64::from(second.records);
        }
        if !claim.first_seqs.is_empty() {
            let (before, after) = claim.first_seqs.iter().partition(|first| **first < seq);
            first.claim.first_seqs = before;
            second.claim.first_seqs = after;
            if second.claim.first_seqs.first() != Some(&seq) {
                second.claim.first_seqs.insert(0, seq);
            }
        }
        first.claim.declared = claim.declared;
        Ok((first, second, seq))
    }

    /// Those of its records that are lost, by level, if so many are.
    pub(crate) fn losses(&self, lost: impl Fn(usize) -> bool) -> Tally {
        let mut losses = Tally::default();
        let Some(sealed) = Sealed::read(&self.text) else {
            return losses;
        };
        let sites: Vec<Site> = serde_json::from_str(sealed.callsites.get()).unwrap_or_default();
        for (_, record) in (0..).zip(&sealed.records).filter(|(index, _)| lost(*index)) {
            let told = Told::read(record).unwrap_or_default();
            let level = sites.get(told.callsite).and_then(|site| site.level.parse().ok());
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(told.ts);
            losses.add(&Dropped::one(
                level.unwrap_or(Level::INFO),
                DropReason::Full,
                time,
            ));
        }
        losses
    }
}

/// A sealed batch, read back.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    source: &'a RawValue,
    sent: i64,
    dropped: &'a RawValue,
    callsites: &'a RawValue,
    records: Vec<&'a RawValue>,
}

/// What must be known of a record.
#[derive(Default, Deserialize)]
struct Told {
    seq: u64,
    ts: u64,
    callsite: usize,
}

#[derive(Deserialize)]
struct Site {
    #[serde(default)]
    level: String,
}

impl Sealed<'_> {
    fn read(text: &str) -> Option<Sealed<'_>> {
        // Sealed by this module, or read from the spool where a checksum says that it was.
        serde_json::from_str::<[Sealed<'_>; 1]>(text)
            .ok()
            .map(|[sealed]| sealed)
    }
}

impl Told {
    fn read(record: &RawValue) -> Option<Told> {
        serde_json::from_str(record.get()).ok()
    }
}

/// The number of a half: the batch's own, and above it which half of which half it is. No run seals 2^40 batches.
fn half_of(no: u64, which: u64) -> u64 {
    const PATH: u32 = 40;
    let path = (no >> PATH).max(1) * 2 + which;
    (path << PATH) | (no & ((1 << PATH) - 1))
}

/// What stands between the brackets of a JSON list.
fn inside(list: &RawValue) -> &[u8] {
    let bytes = list.get().as_bytes();
    bytes.get(1..bytes.len() - 1).unwrap_or_default()
}
