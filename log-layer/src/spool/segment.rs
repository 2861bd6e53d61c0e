//! The segments of one run: files that only grow, and go when nothing in them is missing at the server.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::frame::{Frame, Frames, Kind};
use super::full;

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
    /// Whether what is written must survive a power loss.
    durable: bool,
    bytes: u64,
    /// A sync failed: what the disk holds is not known.
    broken: bool,
    /// The frame being written; kept for its memory.
    scratch: Vec<u8>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: u64,
    /// Batches and parts in it that are not settled.
    held: u32,
}

impl Segments {
    pub(super) fn new(folder: PathBuf, limit: u64, durable: bool) -> Segments {
        Segments {
            folder,
            limit,
            all: BTreeMap::new(),
            open: None,
            unsynced: false,
            durable,
            bytes: 0,
            broken: false,
            scratch: Vec::new(),
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
        self.all.insert(number, Segment { bytes, held: 0 });
        self.bytes += bytes;
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.log"))
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
        if self.broken {
            return Err(io::Error::other("the spool's disk failed before"));
        }
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

    /// The payload of the batch that stands there.
    pub(super) fn read(&self, number: u64, at: u64, bytes: u32) -> io::Result<String> {
        let mut file = File::open(self.path(number))?;
        file.seek(SeekFrom::Start(at))?;
        let mut frame = vec![0; bytes as usize];
        file.read_exact(&mut frame)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the spool is damaged");
        let (_, found) = Frames::new(&frame).next().ok_or_else(damaged)?;
        String::from_utf8(found.payload.to_vec()).map_err(|_| damaged())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some((_, file)) = &self.open else {
            return Ok(());
        };
        if std::mem::take(&mut self.unsynced)
            && let Err(error) = file.sync_data()
        {
            // A second fsync may say that all is well although the first one lost what it was asked to keep.
            self.broken = true;
            return Err(error);
        }
        Ok(())
    }

    /// The segment to write so many bytes to.
    fn grow_for(&mut self, bytes: u64) -> io::Result<u64> {
        if let Some((number, _)) = self.open {
            let has = self.segment(number).bytes;
            if has == 0 || has + bytes <= SEGMENT_BYTES {
                return Ok(number);
            }
            if self.durable {
                self.sync()?;
            }
            self.open = None;
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
        // If it stays, the next run finds notes for all of its batches in it or sends them once more.
        let _ = fs::remove_file(self.path(number));
    }

    fn segment(&mut self, number: u64) -> &mut Segment {
        self.all
            .get_mut(&number)
            .expect("a segment that is held is known")
    }
}

/// A new file that is nobody else's business.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
