//! The bytes of a column: whole numbers of variable length, byte strings, and sections that are compressed where that
//! pays. What is read is never trusted: every function that reads says [`Damaged`] instead of panicking.
//!
//! A number is LEB128. A section is its length, its stored length (0: not compressed) and its bytes: as zstd, by their words
//! (see `prose`), or as they are. What is sealed ends with the xxh3 of what is before it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::thread::LocalKey;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, Decompressor};

use super::Columns;
use super::column::Column;
use super::prose;
use crate::store::StoreError;

/// A column is not what was written, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::store) struct Damaged(Cow<'static, str>);

pub(super) const fn damaged(what: &'static str) -> Damaged {
    Damaged(Cow::Borrowed(what))
}

impl From<StoreError> for Damaged {
    fn from(error: StoreError) -> Damaged {
        Damaged(error.to_string().into())
    }
}

/// Shorter ones do not get smaller.
const COMPRESSED_LEAST: usize = 24;
/// No section is longer, so that a damaged length cannot ask for all memory. Far more text than is sealed at once.
const SECTION_MOST: usize = 1 << 30;
/// Of planes of numbers: higher levels cost CPU and save about one per cent.
const ZSTD_LEVEL: i32 = 3;
/// Of what repeats itself as text does: saves an eighth of it.
const ZSTD_TEXT_LEVEL: i32 = 6;
const CHECKSUM: usize = size_of::<u64>();

thread_local! {
    // Making one costs more than compressing a few kilobytes.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static TEXT_COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static UNPACKED: Cell<usize> = const { Cell::new(0) };
}

/// How many bytes of sections this thread has decompressed since it began.
pub(in crate::store) fn unpacked_here() -> usize {
    UNPACKED.get()
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Absent is told apart from empty.
pub(super) fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.push(0),
        Some(text) => {
            put_number(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

pub(super) fn put_section(out: &mut Vec<u8>, bytes: &[u8]) {
    put_with(&COMPRESSOR, ZSTD_LEVEL, out, bytes);
}

/// The same, of text that may say something new in each line.
pub(super) fn put_prose_section(out: &mut Vec<u8>, text: &[u8]) {
    let mut section = Vec::new();
    put_text_section(&mut section, text);
    if let Some(encoded) = prose::encode(text).filter(|encoded| encoded.len() < section.len()) {
        section.clear();
        put_number(&mut section, text.len() as u64);
        put_bytes(&mut section, &encoded);
    }
    out.append(&mut section);
}

/// The same, of what is worth the work to find what it has said before.
pub(super) fn put_text_section(out: &mut Vec<u8>, bytes: &[u8]) {
    put_with(&TEXT_COMPRESSOR, ZSTD_TEXT_LEVEL, out, bytes);
}

fn put_with(
    compressor: &'static LocalKey<RefCell<Option<Compressor<'static>>>>,
    level: i32,
    out: &mut Vec<u8>,
    bytes: &[u8],
) {
    put_number(out, bytes.len() as u64);
    if bytes.len() >= COMPRESSED_LEAST && !is_noise(bytes) {
        let compressed = compressor.with_borrow_mut(|compressor| {
            compressor
                .get_or_insert_with(|| {
                    let mut compressor = Compressor::new(level).expect("every zstd has the level");
                    compressor
                        .include_contentsize(false)
                        .expect("a frame may do without its size");
                    compressor
                })
                .compress(bytes)
                .expect("compressing memory into memory does not fail")
        });
        if compressed.len() + compressed.len() / 32 < bytes.len() {
            put_bytes(out, &compressed);
            return;
        }
    }
    put_number(out, 0);
    out.extend_from_slice(bytes);
}

/// Whether every byte is about as frequent as every other: trying to compress that costs time and saves nothing.
fn is_noise(bytes: &[u8]) -> bool {
    // With fewer bytes, even noise looks uneven.
    const ENOUGH: usize = 2_048;
    if bytes.len() < ENOUGH {
        return false;
    }
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let most = counts.into_iter().max().unwrap_or(0) as usize;
    // Of noise, the most frequent byte is some standard deviations above the mean of n/256.
    most < bytes.len() / 256 + 5 * (bytes.len() / 256).isqrt() + 2
}

/// Ends a directory, or up to format 5 a column.
pub(super) fn seal_column(mut column: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&column);
    column.extend_from_slice(&checksum.to_le_bytes());
    column
}

/// What it holds, if it is what was sealed.
pub(super) fn open_column(column: &[u8]) -> Result<&[u8], Damaged> {
    let split = column
        .len()
        .checked_sub(CHECKSUM)
        .ok_or(damaged("a column is too short"))?;
    let (bytes, checksum) = column.split_at(split);
    if xxh3_64(bytes).to_le_bytes() == checksum {
        Ok(bytes)
    } else {
        Err(damaged("a column is not what was stored"))
    }
}

/// Reads what the functions above wrote, in memory or in a column that is loaded as far as it is read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// What is at hand.
    rest: &'a [u8],
    /// What comes after that.
    unread: Option<Unread<'a>>,
}

/// A part of a column.
#[derive(Clone, Copy)]
struct Unread<'a> {
    columns: &'a dyn Columns,
    column: &'a Column,
    start: usize,
    end: usize,
}

const SHORT: Damaged = damaged("a column ends too early");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            rest: bytes,
            unread: None,
        }
    }

    pub(super) fn of(columns: &'a dyn Columns, column: &'a Column) -> Result<Reader<'a>, Damaged> {
        let unread = Unread {
            columns,
            column,
            start: 0,
            end: column.length(columns)?,
        };
        Ok(Reader {
            rest: &[],
            unread: Some(unread),
        })
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        if self.rest.is_empty() {
            self.load()?;
        }
        let (first, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Loads the next piece when nothing is at hand any more.
    #[cold]
    fn load(&mut self) -> Result<(), Damaged> {
        if let Some(unread) = &mut self.unread {
            let end = unread.end.min(Column::end_of_piece(unread.start));
            self.rest = unread.column.part(unread.columns, unread.start..end)?;
            unread.start = end;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        match self.rest.split_first() {
            // Nearly always.
            Some((first, rest)) if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            Some(_) | None => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged("a number has too many digits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Damaged> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of things of which there cannot be more than `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, Damaged> {
        let number = self.number()?;
        usize::try_from(number)
            .ok()
            .filter(|count| *count <= most)
            .ok_or(damaged("a count is too large"))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        self.part(length)?.rest()
    }

    /// The next `length` bytes, which are loaded when they are read.
    #[inline]
    pub(super) fn part(&mut self, length: usize) -> Result<Reader<'a>, Damaged> {
        match self.rest.split_at_checked(length) {
            Some((part, rest)) => {
                self.rest = rest;
                Ok(Reader::new(part))
            }
            None => self.unread_part(length),
        }
    }

    #[cold]
    fn unread_part(&mut self, length: usize) -> Result<Reader<'a>, Damaged> {
        let beyond = length - self.rest.len();
        let unread = self.unread.as_mut().ok_or(SHORT)?;
        if unread.end - unread.start < beyond {
            return Err(SHORT);
        }
        let (start, end) = (unread.start - self.rest.len(), unread.start + beyond);
        self.rest = &[];
        unread.start = end;
        Ok(Reader {
            rest: &[],
            unread: Some(Unread {
                start,
                end,
                ..*unread
            }),
        })
    }

    /// How many bytes are left.
    pub(super) fn length(&self) -> usize {
        self.rest.len() + self.unread.map_or(0, |unread| unread.end - unread.start)
    }

    /// All that is left.
    #[inline]
    pub(super) fn rest(&self) -> Result<&'a [u8], Damaged> {
        match &self.unread {
            Some(unread) if unread.start < unread.end => {
                let start = unread.start - self.rest.len();
                unread.column.part(unread.columns, start..unread.end)
            }
            Some(_) | None => Ok(self.rest),
        }
    }

    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<&'a [u8; LENGTH], Damaged> {
        self.take(LENGTH)?.first_chunk().ok_or(SHORT)
    }

    /// Loads the whole column at once, if that is where this reads: most of it will be read.
    pub(super) fn load_column(&self) -> Result<(), Damaged> {
        if let Some(unread) = &self.unread {
            unread.column.whole(unread.columns)?;
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.count(SECTION_MOST)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Damaged> {
        text(self.bytes()?)
    }

    pub(super) fn option(&mut self) -> Result<Option<&'a str>, Damaged> {
        let Some(length) = self.count(SECTION_MOST)?.checked_sub(1) else {
            return Ok(None);
        };
        text(self.take(length)?).map(Some)
    }

    /// The next section, not loaded yet, and still compressed.
    pub(super) fn section(&mut self) -> Result<Section<'a>, Damaged> {
        let length = self.count(SECTION_MOST)?;
        let stored = self.count(SECTION_MOST)?;
        let bytes = self.part(if stored == 0 { length } else { stored })?;
        Ok(Section {
            length,
            bytes,
            compressed: stored != 0,
        })
    }
}

fn decompress(stored: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    let decompressed = DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
        Some(decompressor) => decompressor.decompress(stored, length),
        None => decompressor
            .insert(Decompressor::new()?)
            .decompress(stored, length),
    });
    decompressed.map_err(|_| damaged("a section cannot be decompressed"))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Damaged> {
    std::str::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8"))
}

/// Bytes that may be compressed.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    length: usize,
    bytes: Reader<'a>,
    compressed: bool,
}

impl<'a> Section<'a> {
    /// How many bytes it has, as it says.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Some of its bytes, if they are kept as they are: then the others need not be loaded.
    pub(super) fn some(&self, range: Range<usize>) -> Result<Option<&'a [u8]>, Damaged> {
        if self.compressed {
            return Ok(None);
        }
        let mut bytes = self.bytes;
        bytes.part(range.start)?;
        bytes.take(range.len()).map(Some)
    }

    pub(super) fn open(self) -> Result<Cow<'a, [u8]>, Damaged> {
        let stored = self.bytes.rest()?;
        if self.compressed && stored.first() == Some(&prose::TAG) {
            let text = prose::decode(stored, self.length)?;
            UNPACKED.set(UNPACKED.get().saturating_add(text.len()));
            return Ok(Cow::Owned(text));
        }
        self.open_part()
    }

    /// As [`Section::open`], for what is in a section itself, and told by no words: what is in what is in what somebody made
    /// to do harm must have an end.
    pub(super) fn open_part(self) -> Result<Cow<'a, [u8]>, Damaged> {
        let stored = self.bytes.rest()?;
        if !self.compressed {
            return Ok(Cow::Borrowed(stored));
        }
        let bytes = decompress(stored, self.length)?;
        UNPACKED.set(UNPACKED.get().saturating_add(bytes.len()));
        if bytes.len() == self.length {
            Ok(Cow::Owned(bytes))
        } else {
            Err(damaged("a section has the wrong length"))
        }
    }
}
