//! The segments of one run: files that only grow, and go when nothing in them is missing at the server.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::cursor::{Cursor, Standing};
use super::frame::{Frame, Kind};
use super::full;
use super::syncer::Syncer;
use crate::ranges::Ranges;

/// Small enough that a segment goes soon after its batches, large enough that few files stand in a folder.
const SEGMENT_BYTES: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    limit: u64,
    all: BTreeMap<u64, Segment>,
    /// The one that grows: its number and its file, and how much of it was not synced.
    open: Option<(u64, File)>,
    unsynced: bool,
    syncer: Syncer,
    /// Whether what is written must survive a power loss.
    durable: bool,
    bytes: u64,
    /// A sync failed: what the disk holds is not known.
    broken: bool,
    /// The frame being written; kept for its memory.
    scratch: Vec<u8>,
    /// How far what waits was read back.
    cursor: Option<Cursor>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: u64,
    /// Batches and parts in it that are not settled.
    held: u32,
    /// The batches of those that are in nobody's memory.
    waiting: Ranges,
}

/// What waited in a segment and is not there any more.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) numbers: Ranges,
    pub(crate) error: io::Error,
}

impl Segments {
    pub(super) fn new(folder: PathBuf, limit: u64, durable: bool) -> Segments {
        Segments {
            folder,
            limit,
            all: BTreeMap::new(),
            open: None,
            unsynced: false,
            syncer: Syncer::new(File::sync_data),
            durable,
            bytes: 0,
            broken: false,
            scratch: Vec::new(),
            cursor: None,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// A segment that was found.
    pub(super) fn adopt(&mut self, number: u64, bytes: u64) {
        let found = Segment {
            bytes,
            ..Segment::default()
        };
        self.all.insert(number, found);
        self.bytes += bytes;
    }

    /// A batch that was found in it, which waits.
    pub(super) fn found(&mut self, number: u64, no: u64) {
        let segment = self.segment(number);
        segment.waiting.insert(no..no + 1);
        segment.held += 1;
    }

    /// Of what was found, these are settled.
    pub(super) fn forget(&mut self, settled: &Ranges) {
        for segment in self.all.values_mut() {
            settled.iter().for_each(|numbers| segment.waiting.remove(numbers));
            segment.held =
                u32::try_from(segment.waiting.count()).expect("a segment has thousands of batches");
        }
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(number))
    }

    pub(super) fn hold(&mut self, number: u64) {
        self.segment(number).held += 1;
    }

    /// Deletes the segment if this was the last that held it, unless it still grows.
    pub(super) fn release(&mut self, number: u64) {
        self.segment(number).held -= 1;
        self.delete_if_settled(number);
    }

    /// Returns the segment and where in it the frame begins. Nothing is left of a frame that fails.
    pub(super) fn append(&mut self, frame: &Frame<'_>) -> io::Result<(u64, u64)> {
        self.check()?;
        let bytes = frame.len() as u64;
        // Notes make room, so they are always let in.
        if frame.kind != Kind::Done && self.bytes + bytes > self.limit {
            return Err(full());
        }
        let number = self.grow_for(bytes)?;
        let at = self.segment(number).bytes;
        self.scratch.clear();
        frame.write(&mut self.scratch);
        let (_, file) = self.open.as_mut().expect("it was opened just now");
        if let Err(error) = file.write_all(&self.scratch) {
            let undone = file.set_len(at).and_then(|()| file.seek(SeekFrom::Start(at)));
            if undone.is_err() {
                // Half a frame stands at its end; it is skipped when it is read, and nothing comes after it.
                self.open = None;
            }
            return Err(error);
        }
        self.scratch.shrink_to(64 << 10);
        self.unsynced = true;
        self.segment(number).bytes += bytes;
        self.bytes += bytes;
        Ok((number, at))
    }

    /// From now on the batch that is held there is in nobody's memory.
    pub(super) fn wait(&mut self, number: u64, at: u64, no: u64) {
        self.segment(number).waiting.insert(no..no + 1);
        if let Some(cursor) = self.cursor.as_mut().filter(|cursor| cursor.segment == number) {
            cursor.at = cursor.at.min(at);
        }
    }

    pub(super) fn waits(&self, no: u64) -> bool {
        self.all.values().any(|segment| segment.waiting.contains(no))
    }

    pub(super) fn waits_in(&self, number: u64) -> bool {
        let segment = self.all.get(&number);
        segment.is_some_and(|segment| !segment.waiting.is_empty())
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.all.values().any(|segment| !segment.waiting.is_empty())
    }

    #[cfg(test)]
    pub(super) fn ranges_of_waiting(&self) -> usize {
        self.all
            .values()
            .map(|segment| segment.waiting.iter().count())
            .sum()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.all.values().all(|segment| segment.held == 0)
    }

    /// The next batch that waits, and the segment that holds it; or what waited in that segment and is not there.
    ///
    /// # Errors
    /// Why the segment cannot be opened for now.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<Standing, Missing>)>> {
        let waits = |(_, segment): &(&u64, &mut Segment)| !segment.waiting.is_empty();
        let Some((&number, segment)) = self.all.iter_mut().find(waits) else {
            return Ok(None);
        };
        let found = match self.cursor.take().filter(|cursor| cursor.segment == number) {
            Some(cursor) => Ok(cursor),
            None => Cursor::open(number, &self.folder.join(file_name(number))),
        };
        let found = match found {
            Ok(cursor) => self
                .cursor
                .insert(cursor)
                .next(segment.bytes, |no| segment.waiting.contains(no)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(error) => return Err(error),
        };
        let error = match found {
            Ok(Some(found)) => {
                segment.waiting.remove(found.batch.no..found.batch.no + 1);
                return Ok(Some((number, Ok(found))));
            }
            Ok(None) => io::Error::new(io::ErrorKind::InvalidData, "the spool is damaged"),
            Err(error) => error,
        };
        let numbers = std::mem::take(&mut segment.waiting);
        Ok(Some((number, Err(Missing { numbers, error }))))
    }

    /// Has what was written made safe from a power loss, soon.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some((_, file)) = &self.open
            && self.unsynced
            && !self.syncer.is_busy()
        {
            self.syncer.begin(file);
            self.unsynced = false;
        }
        self.check()
    }

    /// The same, and waits for it.
    pub(super) fn sync_now(&mut self) -> io::Result<()> {
        self.syncer.wait();
        self.sync()?;
        self.syncer.wait();
        self.check()
    }

    fn check(&mut self) -> io::Result<()> {
        if let Some(error) = self.syncer.failure() {
            // A second fsync may say that all is well although the first one lost what it was asked to keep.
            self.broken = true;
            return Err(error);
        }
        if self.broken {
            return Err(io::Error::other("the spool's disk failed before"));
        }
        Ok(())
    }

    /// The segment to write so many bytes to.
    fn grow_for(&mut self, bytes: u64) -> io::Result<u64> {
        if let Some((number, file)) = self.open.take() {
            let has = self.segment(number).bytes;
            if has == 0 || has + bytes <= SEGMENT_BYTES {
                self.open = Some((number, file));
                return Ok(number);
            }
            if self.durable && std::mem::take(&mut self.unsynced) {
                self.syncer.begin(&file);
            }
            self.delete_if_settled(number);
        }
        let number = self.all.last_key_value().map_or(1, |(last, _)| last + 1);
        let file = create_file(&self.path(number))?;
        self.all.insert(number, Segment::default());
        self.open = Some((number, file));
        Ok(number)
    }

    fn delete_if_settled(&mut self, number: u64) {
        let grows = self.open.as_ref().is_some_and(|(open, _)| *open == number);
        if grows || self.segment(number).held > 0 {
            return;
        }
        let gone = self.all.remove(&number).map_or(0, |segment| segment.bytes);
        self.bytes -= gone;
        // An open file would keep its room.
        self.cursor.take_if(|cursor| cursor.segment == number);
        // If it stays, the next run finds notes for all of its batches in it or sends them once more.
        let _ = fs::remove_file(self.path(number));
    }

    fn segment(&mut self, number: u64) -> &mut Segment {
        self.all
            .get_mut(&number)
            .expect("a segment that is held is known")
    }
}

fn file_name(number: u64) -> String {
    format!("{number}.log")
}

/// A new file that is nobody else's business.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
