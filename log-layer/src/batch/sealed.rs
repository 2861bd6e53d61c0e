//! Sealed batches, read back: to split them, and to say what was lost with them. Rare, so a sealed batch is text and
//! nothing else until then.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing_core::Level;

use super::{Batch, Claim, Parts, count};
use crate::dropped::{DropReason, Dropped, Tally};

impl Batch {
    /// Two new batches with half of the records each, of which the first carries the declarations. The batch itself if it
    /// cannot be split.
    ///
    /// The same batch gives the same halves, also in the next run if this one dies meanwhile.
    pub(crate) fn split(self) -> Result<(Batch, Batch), Box<Batch>> {
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
        (first.claim.seqs, second.claim.seqs) = (claim.seqs.clone(), claim.seqs);
        first.claim.seqs.remove(seq..u64::MAX);
        second.claim.seqs.remove(0..seq);
        first.claim.declared = claim.declared;
        Ok((first, second))
    }

    /// A batch of this run as it comes back from the disk, where it was alone: all that is known of it stands in it. None
    /// if it says nothing.
    pub(crate) fn back(no: u64, records: u32, text: String) -> Option<Batch> {
        let sealed = Sealed::read(&text)?;
        let seqs = match sealed.records.first() {
            Some(first) => {
                let seq = Told::read(first)?.seq;
                seq..seq + u64::from(records)
            }
            None => 0..0,
        };
        let claim = Claim {
            seqs: seqs.into(),
            cost: 0,
            declared: sealed.declared()?,
            content: sealed.losses(|_| true),
            spooled: u64::from(records),
        };
        Some(Batch {
            no,
            text,
            records,
            claim,
        })
    }

    /// Those of its records that are lost, by level, if so many are.
    pub(crate) fn losses(&self, lost: impl Fn(usize) -> bool) -> Tally {
        Sealed::read(&self.text).map_or_else(Tally::default, |sealed| sealed.losses(lost))
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
struct Declared<'a> {
    level: &'a str,
    reason: &'a str,
    count: u64,
    from: u64,
    to: u64,
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

    fn losses(&self, lost: impl Fn(usize) -> bool) -> Tally {
        let mut losses = Tally::default();
        let sites: Vec<Site> = serde_json::from_str(self.callsites.get()).unwrap_or_default();
        for (_, record) in (0..).zip(&self.records).filter(|(index, _)| lost(*index)) {
            let told = Told::read(record).unwrap_or_default();
            let level = sites.get(told.callsite).and_then(|site| site.level.parse().ok());
            let level = level.unwrap_or(Level::INFO);
            losses.add(&Dropped::one(level, DropReason::Full, moment(told.ts)));
        }
        losses
    }

    /// What it declares.
    fn declared(&self) -> Option<Tally> {
        let mut tally = Tally::default();
        for line in serde_json::from_str::<Vec<Declared<'_>>>(self.dropped.get()).ok()? {
            let is_it = |reason: &DropReason| reason.as_str() == line.reason;
            tally.add(&Dropped {
                level: line.level.parse().ok()?,
                reason: DropReason::ALL.into_iter().find(is_it)?,
                count: line.count,
                from: moment(line.from),
                to: moment(line.to),
            });
        }
        Some(tally)
    }
}

impl Told {
    fn read(record: &RawValue) -> Option<Told> {
        serde_json::from_str(record.get()).ok()
    }
}

fn moment(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
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
