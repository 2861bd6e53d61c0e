//! Reading a segment back, one frame at a time: what waits on disk costs no memory until its turn comes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::Kept;
use super::frame::{Frames, HEADER, Header, Kind};

/// Where the next frame begins.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) at: u64,
    file: File,
}

/// A batch, and where in its segment it stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) at: u64,
    pub(super) batch: Kept,
}

impl Cursor {
    /// From the beginning of that segment on.
    pub(super) fn open(segment: u64, path: &Path) -> io::Result<Cursor> {
        let file = File::open(path)?;
        Ok(Cursor { segment, at: 0, file })
    }

    /// The next batch that is wanted; none if there is none in the segment's first `end` bytes.
    ///
    /// # Errors
    /// What the disk says, when there is nothing more to be had.
    pub(super) fn next(&mut self, end: u64, is_wanted: impl Fn(u64) -> bool) -> io::Result<Option<Standing>> {
        let file = &mut self.file;
        let mut unreadable = None;
        while self.at < end {
            let at = self.at;
            let Some(header) = header(file, at, end)? else {
                self.at = next_frame(file, at, end)?;
                continue;
            };
            let mut payload = vec![0; header.payload()];
            if let Err(error) = file.read_exact(&mut payload) {
                unreadable = Some(error);
                self.at += (HEADER + payload.len()) as u64;
                continue;
            }
            let Some(frame) = header.frame(&payload) else {
                self.at = next_frame(file, at, end)?;
                continue;
            };
            self.at += frame.len() as u64;
            let (no, records) = (frame.no, frame.records);
            if frame.kind == Kind::Batch
                && is_wanted(no)
                && let Ok(text) = String::from_utf8(payload)
            {
                let batch = Kept { no, records, text };
                return Ok(Some(Standing { at, batch }));
            }
        }
        unreadable.map_or(Ok(None), Err)
    }
}

/// What begins there, if it looks like a frame that ends before `end`.
fn header(file: &mut File, at: u64, end: u64) -> io::Result<Option<Header>> {
    let Some(room) = (end - at).checked_sub(HEADER as u64) else {
        return Ok(None);
    };
    let mut header = [0; HEADER];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut header)?;
    Ok(Header::read(header).filter(|header| header.payload() as u64 <= room))
}

/// Where the first whole frame behind that place begins, or the end.
fn next_frame(file: &mut File, at: u64, end: u64) -> io::Result<u64> {
    // Rare, so it may be in memory as a whole.
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(at + 1))?;
    file.take(end - at - 1).read_to_end(&mut rest)?;
    Ok(Frames::new(&rest)
        .next()
        .map_or(end, |(next, _)| at + 1 + next as u64))
}
