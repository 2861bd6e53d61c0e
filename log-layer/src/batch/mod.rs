//! Batches: records sealed as JSON text, once, under a number of their own.
//!
//! Promises: a batch never changes after it was sealed, so a resend is the same bytes; it stands alone, with its source
//! and its dictionary of call-sites. Knows nothing of Redis or disks.

mod sealed;
mod source;

use std::collections::HashMap;
use std::io::Write as _;
use std::time::SystemTime;

use tracing_core::callsite::Identifier;

use crate::buffer::{Chunk, Head};
use crate::callsite;
use crate::dropped::{DropReason, Dropped, Tally};
use crate::packed::Unpacker;
use crate::ranges::Ranges;
use crate::spool::Part;

pub(crate) use source::Identity;

/// Records on their way to the server.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) no: u64,
    /// A JSON array with the batch as its only element: the arguments of the call.
    pub(crate) text: String,
    pub(crate) records: u32,
    pub(crate) claim: Claim,
}

/// What the buffer must be told when a batch is over; nothing for one of an earlier run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    /// The numbers of its records.
    pub(crate) seqs: Ranges,
    /// What it costs the buffer.
    pub(crate) cost: usize,
    /// The drops declared in it.
    pub(crate) declared: Tally,
    /// Its records by level, for when they are lost.
    pub(crate) content: Tally,
    /// How many of its records are counted as spooled.
    pub(crate) spooled: u64,
}

/// A batch that is being filled.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) no: u64,
    dictionary: Dictionary,
    /// The inside of the list of records.
    list: Vec<u8>,
    pub(crate) records: u32,
    pub(crate) claim: Claim,
    /// How much of dictionary, list and records [`Draft::unkept`] has given out before.
    kept: (usize, usize, u32),
}

/// Numbers and seals batches.
#[derive(Debug)]
pub(crate) struct Sealer {
    source: String,
    next_no: u64,
    unpacker: Unpacker,
}

impl Sealer {
    /// `source` is the JSON of who sends.
    pub(crate) fn new(source: String) -> Sealer {
        Sealer {
            source,
            next_no: 1,
            unpacker: Unpacker::default(),
        }
    }

    /// An empty batch with the next number.
    pub(crate) fn draft(&mut self) -> Draft {
        self.next_no += 1;
        Draft {
            no: self.next_no - 1,
            dictionary: Dictionary::default(),
            list: Vec::new(),
            records: 0,
            claim: Claim::default(),
            kept: (0, 0, 0),
        }
    }

    /// Adds the chunk's records, which are JSON from here on.
    pub(crate) fn add(&mut self, draft: &mut Draft, chunk: &Chunk) {
        draft.list.reserve(chunk.cost());
        let mut start = 0;
        for (seq, head) in (chunk.first_seq..).zip(&chunk.heads) {
            let (site, body) = chunk.bytes[start..head.end as usize].split_at(head.site_bytes as usize);
            start = head.end as usize;
            let callsite = draft.dictionary.number(head, site);
            if !draft.list.is_empty() {
                draft.list.push(b',');
            }
            let ts = nanoseconds(head.time);
            write!(draft.list, "{{\"seq\":{seq},\"ts\":{ts},\"callsite\":{callsite}").expect(VEC);
            self.unpacker
                .write(&mut draft.list, head, body, chunk.record_bytes);
            draft.list.push(b'}');
            draft
                .claim
                .content
                .add(&Dropped::one(*head.metadata.level(), DropReason::Full, head.time));
        }
        draft.records += count(chunk.heads.len());
        draft.claim.seqs.insert(chunk.seqs());
        draft.claim.cost += chunk.cost();
    }

    pub(crate) fn seal(&self, draft: Draft, declared: Tally) -> Batch {
        let parts = Parts {
            source: &self.source,
            no: draft.no,
            sent: nanoseconds(SystemTime::now()),
            dropped: &drops(&declared),
            callsites: &draft.dictionary.json,
            list: &draft.list,
        };
        Batch {
            no: draft.no,
            text: parts.text(),
            records: draft.records,
            claim: Claim {
                declared,
                ..draft.claim
            },
        }
    }
}

impl Claim {
    /// Takes another batch's in.
    pub(crate) fn add(&mut self, other: &Claim) {
        other.seqs.iter().for_each(|seqs| self.seqs.insert(seqs));
        self.cost += other.cost;
        other
            .declared
            .lines()
            .iter()
            .for_each(|line| self.declared.add(line));
        other
            .content
            .lines()
            .iter()
            .for_each(|line| self.content.add(line));
        self.spooled += other.spooled;
    }

    /// Takes out again what was taken in.
    pub(crate) fn remove(&mut self, other: &Claim) {
        other.seqs.iter().for_each(|seqs| self.seqs.remove(seqs));
        self.cost -= other.cost;
        self.declared.remove(&other.declared);
        self.content.remove(&other.content);
        self.spooled -= other.spooled;
    }
}

impl Draft {
    /// Whether so much more would still be one batch's worth.
    pub(crate) fn has_room(&self, chunk: &Chunk, batch_bytes: usize, batch_records: usize) -> bool {
        self.records == 0
            || (self.claim.cost + chunk.cost() <= batch_bytes
                && self.records as usize + chunk.heads.len() <= batch_records)
    }

    /// What was added since the last call.
    pub(crate) fn unkept(&mut self) -> Part<'_> {
        let (callsites, list, records) = self.kept;
        self.kept = (self.dictionary.json.len(), self.list.len(), self.records);
        Part {
            before: records,
            records: self.records - records,
            callsites: since(&self.dictionary.json, callsites),
            list: since(&self.list, list),
        }
    }
}

impl Batch {
    /// A batch that an earlier run was filling when it ended. The same parts give the same batch.
    pub(crate) fn left(source: &str, no: u64, records: u32, callsites: &[u8], list: &[u8]) -> Batch {
        let parts = Parts {
            source,
            no,
            sent: 0,
            dropped: &[],
            callsites,
            list,
        };
        Batch {
            no,
            text: parts.text(),
            records,
            claim: Claim::default(),
        }
    }
}

/// What a batch is put together from; the last three are the insides of lists.
struct Parts<'a> {
    source: &'a str,
    no: u64,
    sent: i64,
    dropped: &'a [u8],
    callsites: &'a [u8],
    list: &'a [u8],
}

impl Parts<'_> {
    fn text(&self) -> String {
        let lists = self.dropped.len() + self.callsites.len() + self.list.len();
        let mut text = Vec::with_capacity(self.source.len() + lists + 128);
        write!(
            text,
            "[{{\"v\":1,\"source\":{},\"no\":{},\"sent\":{},\"dropped\":[",
            self.source, self.no, self.sent
        )
        .expect(VEC);
        text.extend_from_slice(self.dropped);
        text.extend_from_slice(b"],\"callsites\":[");
        text.extend_from_slice(self.callsites);
        text.extend_from_slice(b"],\"records\":[");
        text.extend_from_slice(self.list);
        text.extend_from_slice(b"]}]");
        // What the layer writes is whole characters; what a disk gives back may be anything.
        String::from_utf8(text)
            .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
    }
}

/// The inside of the list of declarations.
fn drops(declared: &Tally) -> Vec<u8> {
    let mut list = Vec::new();
    for dropped in declared.lines() {
        write!(
            list,
            "{}{{\"level\":\"{}\",\"reason\":\"{}\",\"count\":{},\"from\":{},\"to\":{}}}",
            if list.is_empty() { "" } else { "," },
            callsite::level_name(dropped.level),
            dropped.reason,
            dropped.count,
            nanoseconds(dropped.from),
            nanoseconds(dropped.to),
        )
        .expect(VEC);
    }
    list
}

/// What was added to the inside of a list since it was so long; the comma before it belongs to neither part.
fn since(list: &[u8], len: usize) -> &[u8] {
    let comma = usize::from(len > 0 && len < list.len());
    &list[len + comma..]
}

fn count(records: usize) -> u32 {
    u32::try_from(records).expect("a batch has thousands of records, not billions")
}

/// Why writing into memory cannot fail.
const VEC: &str = "a Vec takes every byte";

/// The call-sites of one batch, each once.
#[derive(Debug, Default)]
struct Dictionary {
    /// The inside of the list.
    json: Vec<u8>,
    len: usize,
    known: HashMap<Identifier, usize>,
    /// Those of the log crate's records, which have no metadata of their own.
    foreign: HashMap<Vec<u8>, usize>,
}

impl Dictionary {
    fn number(&mut self, head: &Head, site: &[u8]) -> usize {
        let next = self.len;
        let number = if site.is_empty() {
            *self.known.entry(head.metadata.callsite()).or_insert(next)
        } else if let Some(known) = self.foreign.get(site) {
            *known
        } else {
            self.foreign.insert(site.to_vec(), next);
            next
        };
        if number == next {
            self.len += 1;
            if next > 0 {
                self.json.push(b',');
            }
            if site.is_empty() {
                callsite::write(&mut self.json, head.metadata);
            } else {
                self.json.extend_from_slice(site);
            }
        }
        number
    }
}

/// Since 1970; a clock before that counts as 1970, one after 2262 as that year, for the server's times are signed.
fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
