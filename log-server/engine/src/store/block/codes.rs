//! Codes: which of the things in a list each row has.
//!
//! A call-site has few templates of messages and few shapes, often one of each, so that who knows the call-site of a row
//! knows most of its other codes: then the rank of the code among those of the call-site is kept instead, and these in a
//! table.
//!
//! Format of plain codes: integers. Of ranked ones: a section with the number of call-sites and, for each, how many codes
//! it has, and these · the rank of each row, as integers. Which of both it is stands where they are kept.

use std::collections::HashMap;

use super::bytes::{Damaged, Reader, damaged, put_number, put_section};
use super::callsites::Callsites;
use super::integers::{self, CHUNK, Integers};
use super::loaded::Loaded;

/// More codes than any column has.
const MOST: usize = 1 << 28;
/// Reading ranks reads the call-sites too, so they have to take less than this share of the bits.
const WORTH_IT: f64 = 0.8;

/// Writes the codes, as ranks if that is worth it, for which the call-site of each must be known; says whether it did.
pub(super) fn put(out: &mut Vec<u8>, codes: &[u32], callsites: Option<&[u32]>) -> bool {
    if let Some(callsites) = callsites {
        debug_assert_eq!(codes.len(), callsites.len(), "each row has both");
        let (table, ranks) = rank(codes, callsites);
        let mut section = Vec::new();
        put_number(&mut section, table.len() as u64);
        for codes in &table {
            put_number(&mut section, codes.len() as u64);
            codes
                .iter()
                .for_each(|code| put_number(&mut section, u64::from(*code)));
        }
        let bits =
            |codes: &[u32]| integers::bits(&codes.iter().map(|code| i64::from(*code)).collect::<Vec<_>>());
        if bits(&ranks) + 8.0 * section.len() as f64 <= bits(codes) * WORTH_IT {
            put_section(out, &section);
            integers::put_codes(out, &ranks);
            return true;
        }
    }
    integers::put_codes(out, codes);
    false
}

/// The codes of each call-site in order of their first row, and which of them each row has.
fn rank(codes: &[u32], callsites: &[u32]) -> (Vec<Vec<u32>>, Vec<u32>) {
    let mut table: Vec<Vec<u32>> = Vec::new();
    let mut known = HashMap::<(u32, u32), u32, foldhash::fast::RandomState>::default();
    let rank = |(code, callsite): (&u32, &u32)| {
        *known.entry((*callsite, *code)).or_insert_with(|| {
            let callsite = *callsite as usize;
            if table.len() <= callsite {
                table.resize_with(callsite + 1, Vec::new);
            }
            table[callsite].push(*code);
            table[callsite].len() as u32 - 1
        })
    };
    let ranks = codes.iter().zip(callsites).map(rank).collect();
    (table, ranks)
}

/// A column of codes, decoded as far as it is read.
pub(super) struct Codes<'a> {
    column: Integers<'a>,
    /// If they are ranks.
    ranked: Option<Ranked<'a>>,
    /// Those of the first rows, by the chunk.
    known: Vec<u32>,
}

struct Ranked<'a> {
    callsites: &'a Callsites,
    /// Where the codes of each call-site begin and end.
    places: Vec<(u32, u32)>,
    codes: Vec<u32>,
    /// No code is greater.
    greatest: u32,
}

const NOTHING: Damaged = damaged("a code names nothing");

impl<'a> Codes<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Codes<'a>, Damaged> {
        Ok(Codes {
            column: Integers::read(reader)?,
            ranked: None,
            known: Vec::new(),
        })
    }

    pub(super) fn read_ranked(reader: &mut Reader<'a>, loaded: &'a Loaded<'a>) -> Result<Codes<'a>, Damaged> {
        let section = reader.section()?.open()?;
        let ranked = Ranked::read(Reader::new(&section), loaded.callsites()?)?;
        let codes = Codes::read(reader)?;
        if codes.length() != ranked.callsites.length() {
            return Err(damaged("a column has other rows than its block"));
        }
        Ok(Codes {
            ranked: Some(ranked),
            ..codes
        })
    }

    pub(super) fn length(&self) -> usize {
        self.column.length()
    }

    /// Every code, none of which is greater than `most`.
    pub(super) fn all(&mut self, most: usize) -> Result<&[u32], Damaged> {
        self.first(self.length(), most)
    }

    /// The codes of the first `count` rows, if there are so many, and of some behind them; none is greater than `most`.
    pub(super) fn first(&mut self, count: usize, most: usize) -> Result<&[u32], Damaged> {
        let count = count.min(self.length());
        if self.known.is_empty() {
            // At once: what grows is moved.
            self.known.reserve(self.length());
            if count > self.length() / 2 {
                self.column.expect_all()?;
            }
        }
        while self.known.len() < count {
            let start = self.known.len();
            if let Err(damaged) = self.read_chunk(start / CHUNK, most) {
                self.known.truncate(start);
                return Err(damaged);
            }
        }
        Ok(&self.known)
    }

    /// The code at `index`, which is not greater than `most`.
    pub(super) fn at(&mut self, index: usize, most: usize) -> Result<u32, Damaged> {
        let code = match &self.ranked {
            None if self.known.len() <= index => u32::try_from(self.column.at(index)?).ok(),
            Some(ranked) if self.known.len() <= index => {
                let rank = u32::try_from(self.column.at(index)?).ok();
                let callsite = ranked.callsites.at(index)?;
                rank.and_then(|rank| ranked.code(callsite, rank))
            }
            None | Some(_) => Some(self.known[index]),
        };
        code.filter(|code| *code as usize <= most).ok_or(NOTHING)
    }

    fn read_chunk(&mut self, chunk: usize, most: usize) -> Result<(), Damaged> {
        let start = self.known.len();
        let Some(ranked) = &self.ranked else {
            return self.column.chunk_codes(chunk, most, &mut self.known);
        };
        self.column.chunk_codes(chunk, MOST, &mut self.known)?;
        ranked.to_codes(chunk, &mut self.known[start..], most)
    }
}

impl<'a> Ranked<'a> {
    fn read(mut reader: Reader<'_>, callsites: &'a Callsites) -> Result<Ranked<'a>, Damaged> {
        let (mut places, mut codes) = (Vec::new(), Vec::new());
        for _ in 0..reader.count(MOST)? {
            let start = codes.len() as u32;
            for _ in 0..reader.count(MOST)? {
                codes.push(reader.count(MOST)? as u32);
            }
            places.push((start, codes.len() as u32));
        }
        Ok(Ranked {
            callsites,
            places,
            greatest: codes.iter().copied().max().unwrap_or(0),
            codes,
        })
    }

    /// The code of that rank among those of a call-site.
    fn code(&self, callsite: u32, rank: u32) -> Option<u32> {
        let (start, end) = *self.places.get(callsite as usize)?;
        let at = start.checked_add(rank).filter(|at| *at < end)?;
        self.codes.get(at as usize).copied()
    }

    /// From the ranks of a chunk to the codes that they stand for.
    fn to_codes(&self, chunk: usize, ranks: &mut [u32], most: usize) -> Result<(), Damaged> {
        if self.greatest as usize > most {
            return Err(NOTHING);
        }
        for (rank, callsite) in ranks.iter_mut().zip(self.callsites.chunk(chunk)?) {
            *rank = self.code(*callsite, *rank).ok_or(NOTHING)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::CALLSITE;
    use super::super::integers;
    use super::super::memory::Memory;
    use super::*;

    #[track_caller]
    fn check(codes: &[u32], callsites: &[u32], as_ranks: bool) -> usize {
        let mut bytes = Vec::new();
        assert_eq!(put(&mut bytes, codes, Some(callsites)), as_ranks);
        let mut column = Vec::new();
        integers::put_codes(&mut column, callsites);
        let columns = Memory::of([(CALLSITE, column)]);
        let loaded = Loaded::new(&columns);
        let read = |most| {
            let mut reader = Reader::new(&bytes);
            let mut read = if as_ranks {
                Codes::read_ranked(&mut reader, &loaded)?
            } else {
                Codes::read(&mut reader)?
            };
            let at = read.at(codes.len() / 2, most)?;
            Ok((at, read.all(most)?.to_vec()))
        };
        let most = codes.iter().copied().max().unwrap_or(0) as usize;
        assert_eq!(read(most), Ok((codes[codes.len() / 2], codes.to_vec())));
        assert_eq!(read(most - 1), Err(NOTHING));
        bytes.len()
    }

    #[test]
    fn what_a_call_site_tells_is_not_told_again() {
        let mut random = fastrand::Rng::with_seed(9);
        let callsites: Vec<u32> = (0..20_000).map(|_| random.u32(0..200)).collect();
        let told: Vec<u32> = callsites.iter().map(|callsite| callsite * 7 + 1).collect();
        let bytes = check(&told, &callsites, true);
        assert!(bytes < 2_000, "{bytes} bytes");
        let nearly: Vec<u32> = told.iter().map(|code| code + random.u32(0..3)).collect();
        let bytes = check(&nearly, &callsites, true);
        assert!(bytes < 20_000 / 2, "{bytes} bytes");
    }

    #[test]
    fn what_it_does_not_tell_stands_for_itself() {
        let mut random = fastrand::Rng::with_seed(9);
        let callsites: Vec<u32> = (0..9_000).map(|_| random.u32(0..200)).collect();
        let codes: Vec<u32> = (0..9_000).map(|_| random.u32(0..300)).collect();
        check(&codes, &callsites, false);
        check(&[1; 5], &[0, 1, 2, 3, 4], false);
    }

    #[test]
    fn a_rank_that_its_call_site_has_not_is_damage() {
        let callsites: Vec<u32> = (0..3_000).map(|row| row % 3).collect();
        let mut bytes = Vec::new();
        assert!(put(&mut bytes, &callsites, Some(&callsites)));
        for other in [vec![3; 3_000], vec![0; 2_999]] {
            let mut column = Vec::new();
            integers::put_codes(&mut column, &other);
            let columns = Memory::of([(CALLSITE, column)]);
            let loaded = Loaded::new(&columns);
            let read = Codes::read_ranked(&mut Reader::new(&bytes), &loaded);
            assert!(read.and_then(|mut read| read.all(10).map(drop)).is_err());
        }
    }
}
