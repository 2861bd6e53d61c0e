//! What a block may contain, in a few kilobytes, so that a search reads nothing else of blocks that cannot match.
//!
//! Per column of text its *terms* are kept in a split-block Bloom filter: the three-letter pieces of its words without
//! case, pairs of neighbouring characters of other scripts, and whole runs that look like ids. A needle is looked for
//! by those of its own terms that every text containing the needle must have.
//!
//! Which pieces those are: a run of the needle with a letter beyond `f` never stands in an integer or hexadecimal slot,
//! so wherever it came from, its three-letter pieces were added. Pieces with digits are not kept: ids would fill the
//! filter. A run of at least [`RUN_LEAST`] that is no integer is kept as a whole, and can be asked for if the needle
//! shows both of its ends, or if no run of the column is longer.
//!
//! Format: 1 if every column of texts is listed, else 0 · number of columns listed, each: number, longest run · the
//! filter's bytes. The filter is that of Apache
//! Parquet (blocks of 256 bits, eight bits a key), with xxh3. A column that is not listed may contain anything.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::{Damaged, Reader, damaged, put_number};
use super::text::INT_DIGITS;
use crate::query::fold;

/// Shorter runs are not ids.
const RUN_LEAST: usize = 8;
/// Eight bits per key make about 3 % false positives; more bits find hardly more.
const BYTES_PER_KEY: usize = 1;
/// A column with more terms than this share of its values is left out: a filter of it would cost as much as reading it.
const TERMS_SHARE: usize = 4;
/// Fewer terms are always kept.
const TERMS_FREE: usize = 1_024;
const BLOCK: usize = 32;
/// Odd constants of the Parquet specification.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

type Set = std::collections::HashSet<u64, foldhash::fast::RandomState>;

/// The terms of one column.
#[derive(Default)]
pub(super) struct Terms {
    column: u64,
    /// Beyond so many keys they are not worth their bytes, and not collected any more.
    most: usize,
    keys: Set,
    longest_run: usize,
    folded: String,
}

impl Terms {
    /// For a column of so many values.
    pub(super) fn of_column(column: u32, values: usize) -> Terms {
        Terms {
            column: u64::from(column),
            most: TERMS_FREE.max(values / TERMS_SHARE),
            ..Terms::default()
        }
    }

    /// Adds the terms of a text, be it whole or a template.
    pub(super) fn add_text(&mut self, text: &[u8]) {
        if !self.are_worth_it() {
            return;
        }
        // What is not UTF-8 cannot be: texts and templates are cut at characters.
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let mut folded = std::mem::take(&mut self.folded);
        let shown = fold(text, &mut folded);
        each_piece(shown, |piece| match piece {
            Piece::Letters(term, _) | Piece::Pair(term) => {
                self.insert(term);
            }
            Piece::Run(run, _) => {
                self.longest_run = self.longest_run.max(run.len());
                if run.len() >= RUN_LEAST {
                    self.insert(run.as_bytes());
                }
            }
        });
        self.folded = folded;
    }

    /// Adds a run of `length` digits, two of them a byte.
    pub(super) fn add_hex(&mut self, packed: &[u8], length: u8) {
        let length = usize::from(length);
        self.longest_run = self.longest_run.max(length);
        if length < RUN_LEAST || !self.are_worth_it() {
            return;
        }
        let digit = |index: usize| {
            let byte = packed[index / 2];
            char::from_digit(
                u32::from(if index.is_multiple_of(2) {
                    byte >> 4
                } else {
                    byte & 15
                }),
                16,
            )
        };
        let mut run = [0; 64];
        for (index, place) in run.iter_mut().enumerate().take(length) {
            *place = digit(index).expect("four bits are a digit") as u8;
        }
        self.insert(&run[..length.min(64)]);
    }

    fn insert(&mut self, term: &[u8]) {
        if self.are_worth_it() {
            self.keys.insert(key(self.column, term));
        }
    }

    fn are_worth_it(&self) -> bool {
        self.keys.len() <= self.most
    }
}

enum Piece<'t> {
    /// Three letters, and the run that they are part of.
    Letters(&'t [u8], &'t str),
    /// Two characters outside of ASCII.
    Pair(&'t [u8]),
    /// A maximal run of letters and digits with at least one digit, and where it begins.
    Run(&'t str, usize),
}

/// Shows the terms of a folded text.
fn each_piece<'t>(text: &'t str, mut see: impl FnMut(Piece<'t>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if bytes[at].is_ascii_alphanumeric() {
            while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
                at += 1;
            }
            let run = &text[start..at];
            for letters in run.as_bytes().windows(3) {
                if letters.iter().all(u8::is_ascii_alphabetic) {
                    see(Piece::Letters(letters, run));
                }
            }
            if run.bytes().any(|byte| byte.is_ascii_digit()) {
                see(Piece::Run(run, start));
            }
        } else if bytes[at].is_ascii() {
            at += 1;
        } else {
            while at < bytes.len() && !bytes[at].is_ascii() {
                at += 1;
            }
            let script = &text[start..at];
            let starts = script.char_indices().map(|(start, _)| start);
            let ends = script.char_indices().skip(2).map(|(end, _)| end);
            for (start, end) in starts.zip(ends.chain([script.len()])) {
                if script[start..end].chars().nth(1).is_some() {
                    see(Piece::Pair(&script.as_bytes()[start..end]));
                }
            }
        }
    }
}

/// Whether a run with a digit may be kept as an integer, so that it was not added; as a part of one, too.
fn may_be_int(run: &str) -> bool {
    run.len() <= INT_DIGITS && run.bytes().all(|byte| byte.is_ascii_digit())
}

fn key(column: u64, term: &[u8]) -> u64 {
    xxh3_64_with_seed(term, column)
}

/// Writes the filter of columns. `all` says that they are all columns of texts that the block has.
pub(super) fn put(out: &mut Vec<u8>, columns: &[Terms], all: bool) {
    let kept = || columns.iter().filter(|terms| terms.are_worth_it());
    let keys: usize = kept().map(|terms| terms.keys.len()).sum();
    let blocks = (keys * BYTES_PER_KEY).div_ceil(BLOCK).max(1);
    let mut filter = vec![0; blocks * BLOCK];
    out.push(u8::from(all && kept().count() == columns.len()));
    put_number(out, kept().count() as u64);
    for terms in kept() {
        put_number(out, terms.column);
        put_number(out, terms.longest_run as u64);
        for key in &terms.keys {
            let (start, masks) = place(*key, blocks);
            let words = filter[start..start + BLOCK].as_chunks_mut::<4>().0;
            for (word, mask) in words.iter_mut().zip(masks) {
                *word = (u32::from_le_bytes(*word) | mask).to_le_bytes();
            }
        }
    }
    out.extend_from_slice(&filter);
}

/// Where a key's block is, and its bit in each of the block's words.
fn place(key: u64, blocks: usize) -> (usize, [u32; 8]) {
    let block = ((key >> 32) * blocks as u64) >> 32;
    (
        block as usize * BLOCK,
        SALT.map(|salt| 1 << ((key as u32).wrapping_mul(salt) >> 27)),
    )
}

/// A block's filter.
pub(super) struct Filter<'a> {
    all: bool,
    /// Column and its longest run.
    columns: Vec<(u64, usize)>,
    bits: Reader<'a>,
}

impl<'a> Filter<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Filter<'a>, Damaged> {
        let all = reader.byte()? == 1;
        let count = reader.count(u16::MAX.into())?;
        let columns = (0..count)
            .map(|_| Ok((reader.number()?, reader.count(u32::MAX as usize)?)))
            .collect::<Result<Vec<_>, Damaged>>()?;
        if reader.length() == 0 || !reader.length().is_multiple_of(BLOCK) {
            return Err(damaged("a filter has the wrong length"));
        }
        Ok(Filter {
            all,
            columns,
            bits: reader,
        })
    }

    /// Whether some text of `column` may contain the folded `needle`; certainly none does if `false`.
    pub(super) fn may_contain(&self, column: u32, needle: &str) -> Result<bool, Damaged> {
        let column = u64::from(column);
        let Some((_, longest)) = self.columns.iter().find(|(known, _)| *known == column) else {
            return Ok(true);
        };
        let mut may = Ok(true);
        each_piece(needle, |piece| {
            if may != Ok(true) {
                return;
            }
            may = match piece {
                Piece::Pair(term) => self.has(key(column, term)),
                Piece::Letters(term, run) if run.bytes().any(|letter| letter > b'f') => {
                    self.has(key(column, term))
                }
                Piece::Letters(..) => Ok(true),
                Piece::Run(run, _) if may_be_int(run) => Ok(true),
                Piece::Run(run, _) if run.len() > *longest => Ok(false),
                Piece::Run(run, start) => {
                    let shown = start > 0 && start + run.len() < needle.len();
                    let is_whole = shown || run.len() == *longest;
                    if is_whole && run.len() >= RUN_LEAST {
                        self.has(key(column, run.as_bytes()))
                    } else {
                        Ok(true)
                    }
                }
            };
        });
        may
    }

    /// Whether some text of the block may contain the folded `needle`; certainly none does if `false`.
    pub(super) fn may_contain_anywhere(&self, needle: &str) -> Result<bool, Damaged> {
        if !self.all {
            return Ok(true);
        }
        for (column, _) in &self.columns {
            if self.may_contain(*column as u32, needle)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has(&self, key: u64) -> Result<bool, Damaged> {
        let (start, masks) = place(key, self.bits.length() / BLOCK);
        let mut bits = self.bits;
        bits.part(start)?;
        let words = bits.array::<BLOCK>()?.as_chunks::<4>().0;
        let mut words = words.iter().zip(masks);
        Ok(words.all(|(word, mask)| u32::from_le_bytes(*word) & mask != 0))
    }
}
