//! Records in memory: as the threads leave them, and as the shipper takes them.

use std::ops::Range;
use std::time::SystemTime;

use tracing_core::Metadata;

/// What a record costs besides its body: its head here, its number, time and call-site in the batch, and a share of the
/// batch's dictionary.
pub(crate) const RECORD_OVERHEAD: usize = 128;

/// What is known of a record besides its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) time: SystemTime,
    /// Static, so the program's thread copies a pointer and the shipper writes the names once for each batch.
    pub(crate) metadata: &'static Metadata<'static>,
    /// How much of the body, from its start, is a call-site of its own; 0 if `metadata` is the call-site.
    pub(crate) site_bytes: u32,
    /// Where the body ends among the chunk's bytes.
    pub(crate) end: u32,
    /// How much the record will be as JSON, in round figures.
    weight: u32,
    /// Whether the body behind the call-site is [packed](crate::packed), or JSON already.
    pub(crate) packed: bool,
}

impl Head {
    /// Of a record whose body is the inside of a JSON object behind its call-site's, from a comma on.
    pub(crate) fn new(time: SystemTime, metadata: &'static Metadata<'static>, site_bytes: usize) -> Head {
        Head {
            time,
            metadata,
            site_bytes: length(site_bytes),
            end: 0,
            weight: 0,
            packed: false,
        }
    }

    /// Of a record whose body is packed.
    pub(crate) fn packed(
        time: SystemTime,
        metadata: &'static Metadata<'static>,
        site_bytes: usize,
        weight: usize,
    ) -> Head {
        Head {
            weight: length(weight),
            packed: true,
            ..Head::new(time, metadata, site_bytes)
        }
    }

    /// What a record with this head and body counts for.
    pub(super) fn weigh(&mut self, body: &[u8]) -> usize {
        self.weight = self.weight.max(length(body.len()));
        self.cost()
    }

    fn cost(&self) -> usize {
        self.weight as usize + RECORD_OVERHEAD
    }
}

/// Consecutive records of one shard.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Known once it waits for the shipper.
    pub(super) first_seq: u64,
    pub(super) heads: Vec<Head>,
    /// The bodies, back to back.
    pub(super) bytes: Vec<u8>,
    /// What the records count for, and what is set aside for them and those to come.
    pub(super) cost: usize,
    pub(super) reserved: usize,
}

impl Segment {
    /// The numbers of its records.
    pub(super) fn seqs(&self) -> Range<u64> {
        self.first_seq..self.first_seq + self.heads.len() as u64
    }

    pub(super) fn fits(&self, cost: usize, records: usize) -> bool {
        self.cost + cost <= self.reserved && self.heads.len() < records
    }

    pub(super) fn push(&mut self, mut head: Head, body: &[u8], cost: usize) {
        self.bytes.extend_from_slice(body);
        head.end = length(self.bytes.len());
        self.heads.push(head);
        self.cost += cost;
    }

    /// Keeps the memory.
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
        self.cost = 0;
        self.reserved = 0;
    }
}

/// Consecutive records, at most enough for one batch.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) first_seq: u64,
    pub(crate) heads: Vec<Head>,
    /// The bodies, back to back.
    pub(crate) bytes: Vec<u8>,
    /// How much JSON one record may be.
    pub(crate) record_bytes: usize,
}

impl Chunk {
    /// The numbers of its records.
    pub(crate) fn seqs(&self) -> Range<u64> {
        self.first_seq..self.first_seq + self.heads.len() as u64
    }

    pub(crate) fn cost(&self) -> usize {
        self.heads.iter().map(Head::cost).sum()
    }

    /// `bytes` is memory to use.
    pub(super) fn new(mut bytes: Vec<u8>, segments: &[Segment], record_bytes: usize) -> Chunk {
        let sum = |of: fn(&Segment) -> usize| segments.iter().map(of).sum();
        let mut heads = Vec::with_capacity(sum(|segment| segment.heads.len()));
        bytes.reserve_exact(sum(|segment| segment.bytes.len()));
        for segment in segments {
            let before = length(bytes.len());
            bytes.extend_from_slice(&segment.bytes);
            heads.extend(segment.heads.iter().map(|head| Head {
                end: head.end + before,
                ..*head
            }));
        }
        Chunk {
            first_seq: segments.first().map_or(0, |first| first.first_seq),
            heads,
            bytes,
            record_bytes,
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a chunk is far below 4 GiB")
}
