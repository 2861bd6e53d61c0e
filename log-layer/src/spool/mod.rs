//! The spool: batches on disk, in the order in which they were sealed, until the server has them.
//!
//! A run of a process has a folder of its own, `<directory>/<service>/<boot>/`, and the lock in it as long as it lives.
//! In it are segments `1.log`, `2.log` … of [`frame`]s; one is deleted when none of its batches is missing at the server.
//! What a run leaves, the next one of that service [adopts](adoption) and sends as it was, under the numbers that it had,
//! by which the server tells what it has already.
//!
//! Promises: never more than the given bytes; what was damaged, cut short or refused by the disk costs what it hit and
//! nothing else; an `fsync` that failed is not trusted again; what waits costs memory for each segment and none for each
//! batch. Knows no records, no buffer, no Redis.

mod frame;
mod cursor;
mod syncer;
mod segment;
mod adoption;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::fork::ParentsLock;
use frame::{Frame, Kind};
use segment::Segments;

pub(crate) use adoption::{Adoption, adopt, create};
pub(crate) use segment::Missing;

/// Where and how much to spool.
#[derive(Debug, Clone)]
pub(crate) struct SpoolOrders {
    pub(crate) directory: PathBuf,
    pub(crate) bytes: u64,
    /// Everything goes to disk before it goes to Redis.
    pub(crate) write_ahead: bool,
}

/// Where batches that the server refuses for good are kept, and segments with damage, for people to look at.
const QUARANTINE: &str = "quarantine";

/// What quarantine may hold; beyond it the refused are gone, but still counted.
const QUARANTINE_BYTES: u64 = 16 << 20;

/// One run's folder.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Says that the run lives; released when the process ends, however it does, whatever its children do.
    _parents: ParentsLock,
    _lock: File,
    segments: Segments,
    /// The batches that are not settled and in somebody's memory; the others wait in their segments.
    held: BTreeMap<u64, Place>,
    /// The segments with parts of the batch that is not sealed yet.
    parts: Vec<u64>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: u64,
    at: u64,
}

/// What came back from a segment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: u64,
    /// Whether nothing waits there any more.
    pub(crate) is_last: bool,
    pub(crate) batch: Result<Kept, Missing>,
}

/// A batch as it was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) no: u64,
    pub(crate) records: u32,
    pub(crate) text: String,
}

/// Some records of a batch that is not sealed yet.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// How many of the batch's records went before them. A part that does not follow on the last one is worth nothing.
    pub(crate) before: u32,
    pub(crate) records: u32,
    /// What they add to the insides of the dictionary and of the list of records.
    pub(crate) callsites: &'a [u8],
    pub(crate) list: &'a [u8],
}

/// What a file system says to running out.
pub(crate) fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the spool is full")
}

impl Spool {
    /// Keeps a sealed batch.
    ///
    /// # Errors
    /// What the disk says, or that the spool is full; then nothing was kept.
    pub(crate) fn put(&mut self, no: u64, records: u32, text: &str) -> io::Result<()> {
        if self.has(no) {
            // A half of a batch that a crash kept from being replaced.
            return Ok(());
        }
        let frame = Frame {
            kind: Kind::Batch,
            no,
            records,
            payload: text.as_bytes(),
        };
        let (segment, at) = self.segments.append(&frame)?;
        self.segments.hold(segment);
        self.held.insert(no, Place { segment, at });
        // What they say stands in the batch now.
        for segment in std::mem::take(&mut self.parts) {
            self.segments.release(segment);
        }
        Ok(())
    }

    /// From now on the batch, which is kept, is in nobody's memory: [`next`](Spool::next) gives it back when its turn
    /// comes. Returns the segment that has it.
    pub(crate) fn wait(&mut self, no: u64) -> u64 {
        let place = self.held.remove(&no).expect("only what is kept can wait");
        self.segments.wait(place.segment, place.at, no);
        place.segment
    }

    /// Keeps a part of the batch `no`, which is not sealed yet.
    ///
    /// # Errors
    /// As [`put`](Spool::put).
    pub(crate) fn part(&mut self, no: u64, part: &Part<'_>) -> io::Result<()> {
        let frame = Frame {
            kind: Kind::Part,
            no,
            records: part.records,
            payload: &part.to_bytes(),
        };
        let (segment, _) = self.segments.append(&frame)?;
        self.segments.hold(segment);
        self.parts.push(segment);
        Ok(())
    }

    /// The next batch that waits, read back from disk; or those of a segment that cannot be read any more, which are
    /// settled by that.
    ///
    /// # Errors
    /// Why none can be read for now.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let Some((segment, read)) = self.segments.next()? else {
            return Ok(None);
        };
        let is_last = !self.segments.waits_in(segment);
        let batch = read.map(|found| {
            let at = found.at;
            self.held.insert(found.batch.no, Place { segment, at });
            found.batch
        });
        if let Err(missing) = &batch {
            for no in missing.numbers.iter().flatten() {
                self.settle(no, segment);
            }
        }
        Ok(Some(Found {
            segment,
            is_last,
            batch,
        }))
    }

    pub(crate) fn has(&self, no: u64) -> bool {
        self.held.contains_key(&no) || self.segments.waits(no)
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.segments.has_waiting()
    }

    /// Whether no batch is left to be settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_settled()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.bytes()
    }

    /// How many bytes it may have from now on.
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.segments.limit(bytes);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The batch is settled: forgotten, and its segment with it if it was the last of it.
    pub(crate) fn done(&mut self, no: u64) {
        if let Some(place) = self.held.remove(&no) {
            self.settle(no, place.segment);
        }
    }

    fn settle(&mut self, no: u64, segment: u64) {
        let note = Frame {
            kind: Kind::Done,
            no,
            records: 0,
            payload: &[],
        };
        self.segments.release(segment);
        if !self.is_empty() {
            // Without the note the batch may be sent once more, and the server says that it has it.
            let _ = self.segments.append(&note);
        }
    }

    /// Puts aside a batch that the server refuses for good.
    ///
    /// # Errors
    /// What the disk says, or that quarantine is full.
    pub(crate) fn quarantine(&self, no: u64, text: &str) -> io::Result<PathBuf> {
        let folder = quarantine(&self.folder)?;
        let run = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!("{run}-{no}.json"));
        let kept: u64 = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.metadata()?.len()))
            .sum::<io::Result<u64>>()?;
        if kept + text.len() as u64 > QUARANTINE_BYTES {
            return Err(full());
        }
        segment::create_file(&path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))?;
        Ok(path)
    }

    /// Has what was kept made to survive a power loss, which takes the disk a while.
    ///
    /// # Errors
    /// What the disk said the last time; then nothing more is taken.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.segments.sync()
    }

    /// The same, and waits for it.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn sync_now(&mut self) -> io::Result<()> {
        self.segments.sync_now()
    }

    /// Leaves what is not settled for the next run; with nothing left, nothing stays.
    pub(crate) fn close(self) {
        if self.is_empty() {
            // What cannot be removed is found empty and tried again by the next run.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The service's quarantine, beside the folders of its runs.
fn quarantine(run: &Path) -> io::Result<PathBuf> {
    let folder = run.with_file_name(QUARANTINE);
    adoption::create_folder(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
