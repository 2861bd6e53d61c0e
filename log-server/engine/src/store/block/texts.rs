//! A column of texts: as they come, or, where they repeat, the distinct ones and which of them each row has.
//!
//! Format of the head: kind (bit 0: distinct texts; bit 1: the codes that each row has are ranks; bit 2: the head of the
//! texts says which is the first of each template) · of distinct ones: the codes · the head of the texts. The body is that of the texts.

use std::collections::HashMap;

use super::bytes::{Damaged, damaged};
use super::codes::{self, Codes};
use super::filter::Terms;
use super::loaded::Loaded;
use super::rows::Rows;
use super::text::{Found, Kind, Text, TextWriter};

const DISTINCT: u8 = 1;
const RANKED: u8 = 2;
const FIRSTS: u8 = 4;
/// With more distinct texts than this share of all, codes cost more than they save.
const DISTINCT_SHARE: usize = 3;

/// Writes `texts`: head and body. `callsites` are those of the texts, if every row has one text.
pub(super) fn put(texts: &[&str], callsites: Option<&[u32]>, terms: &mut Terms) -> (Vec<u8>, Vec<u8>) {
    let mut codes_bytes = Vec::new();
    let (distinct, ranked, written) = match distinct(texts) {
        None => {
            let written = TextWriter::write(texts, callsites, terms);
            (0, written.kind.ranked, written)
        }
        Some((distinct, codes)) => {
            let ranked = codes::put(&mut codes_bytes, &codes, callsites);
            (DISTINCT, ranked, TextWriter::write(&distinct, None, terms))
        }
    };
    let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    let kind = distinct | flag(RANKED, ranked) | flag(FIRSTS, written.kind.firsts);
    ([&[kind], &codes_bytes[..], &written.head].concat(), written.body)
}

/// The distinct texts and the code of each, if that is worth it.
fn distinct<'t>(texts: &[&'t str]) -> Option<(Vec<&'t str>, Vec<u32>)> {
    let most = texts.len() / DISTINCT_SHARE;
    let mut known = HashMap::<&str, u32, foldhash::fast::RandomState>::default();
    let (mut distinct, mut codes) = (Vec::new(), Vec::with_capacity(texts.len()));
    for text in texts {
        let code = *known.entry(text).or_insert_with(|| {
            distinct.push(*text);
            distinct.len() as u32 - 1
        });
        if distinct.len() > most {
            return None;
        }
        codes.push(code);
    }
    Some((distinct, codes))
}

/// A column of texts, decoded as far as it is read.
pub(super) struct Texts<'a> {
    texts: Text<'a>,
    codes: Option<Codes<'a>>,
}

impl<'a> Texts<'a> {
    /// Reads the column `number`; the next one is its body.
    pub(super) fn read(loaded: &'a Loaded<'a>, number: u32) -> Result<Texts<'a>, Damaged> {
        let mut reader = loaded.column(number)?;
        // Templates are most of it, and whoever asks looks at these.
        reader.load_column()?;
        let kind = reader.byte()?;
        if kind > DISTINCT | RANKED | FIRSTS {
            return Err(damaged("a column of texts is of no known kind"));
        }
        let mut ranked = (kind & RANKED != 0).then_some(loaded);
        let codes = (kind & DISTINCT != 0).then(|| match ranked.take() {
            Some(loaded) => Codes::read_ranked(&mut reader, loaded),
            None => Codes::read(&mut reader),
        });
        let codes = codes.transpose()?;
        let kind = Kind {
            ranked: ranked.is_some(),
            firsts: kind & FIRSTS != 0,
        };
        let texts = Text::read(&mut reader, loaded, number + 1, kind)?;
        Ok(Texts { texts, codes })
    }

    pub(super) fn length(&self) -> usize {
        self.codes.as_ref().map_or(self.texts.length(), Codes::length)
    }

    /// The texts that contain the folded `needle`, of which [`Texts::count_of`] and [`Texts::rows_of`] tell more.
    pub(super) fn find(&mut self, needle: &str) -> Result<Found, Damaged> {
        let found = self.texts.find(needle)?;
        if self.codes.is_none() {
            return Ok(found);
        }
        let distinct = self.texts.rows_of(found)?;
        Ok(Found::Rows(self.with_codes(distinct)?))
    }

    /// How many texts these are.
    pub(super) fn count_of(&self, found: &Found) -> usize {
        self.texts.count_of(found)
    }

    /// Which texts these are.
    pub(super) fn rows_of(&mut self, found: Found) -> Result<Rows, Damaged> {
        self.texts.rows_of(found)
    }

    /// The texts that contain the folded `needle`.
    pub(super) fn containing(&mut self, needle: &str) -> Result<Rows, Damaged> {
        let found = self.find(needle)?;
        self.rows_of(found)
    }

    /// The texts that pass `test`, all of which contain the folded `hint`.
    pub(super) fn passing(
        &mut self,
        hint: Option<&str>,
        test: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Rows, Damaged> {
        let candidates = match hint {
            Some(hint) => {
                let found = self.texts.find(hint)?;
                self.texts.rows_of(found)?
            }
            None => Rows::all(self.texts.length()),
        };
        let found = self.texts.passing(&candidates, test)?;
        self.with_codes(found)
    }

    /// The texts that pass `test`, all of which are numbers as JSON writes them.
    pub(super) fn numbers_passing(&mut self, test: &mut dyn FnMut(&str) -> bool) -> Result<Rows, Damaged> {
        let candidates = self.texts.maybe_numbers()?;
        let found = self.texts.passing(&candidates, test)?;
        self.with_codes(found)
    }

    /// Shows the texts at `indexes`, which rise.
    pub(super) fn each(
        &mut self,
        indexes: &[usize],
        mut see: impl FnMut(usize, &str),
    ) -> Result<(), Damaged> {
        if self.codes.is_none() {
            return self.texts.each(indexes.iter().copied(), see);
        }
        let mut wanted = indexes
            .iter()
            .map(|index| Ok((self.code(*index)?, *index)))
            .collect::<Result<Vec<_>, Damaged>>()?;
        wanted.sort_unstable();
        let mut codes: Vec<usize> = wanted.iter().map(|(code, _)| *code as usize).collect();
        codes.dedup();
        let mut rest = &wanted[..];
        self.texts.each(codes, |code, text| {
            while let Some(((next, index), behind)) = rest.split_first()
                && *next as usize == code
            {
                see(*index, text);
                rest = behind;
            }
        })
    }

    /// Shows every distinct text of the values at `indexes`, and how many of them it is. A text may be shown twice.
    pub(super) fn count(&mut self, indexes: &Rows, mut see: impl FnMut(&str, u64)) -> Result<(), Damaged> {
        if self.codes.is_none() {
            return self.texts.count(indexes, &mut see);
        }
        let mut counts = vec![0; self.texts.length()];
        let codes = self.codes()?;
        if indexes.is_full() {
            codes.iter().for_each(|code| counts[*code as usize] += 1);
        } else {
            let indexes = indexes.iter();
            indexes.for_each(|index| counts[codes[index] as usize] += 1);
        }
        let seen: Vec<usize> = (0..counts.len()).filter(|code| counts[*code] > 0).collect();
        self.texts.each(seen, |code, text| see(text, counts[code]))
    }

    fn code(&mut self, index: usize) -> Result<u32, Damaged> {
        let most = self.texts.length().saturating_sub(1);
        let codes = self.codes.as_mut().expect("only a column with codes is asked");
        codes.at(index, most)
    }

    fn codes(&mut self) -> Result<&[u32], Damaged> {
        let most = self.texts.length().saturating_sub(1);
        let codes = self.codes.as_mut().expect("only a column with codes is asked");
        codes.all(most)
    }

    /// From distinct texts to rows.
    fn with_codes(&mut self, found: Rows) -> Result<Rows, Damaged> {
        if self.codes.is_none() {
            return Ok(found);
        }
        if found.is_empty() {
            return Ok(Rows::none(self.length()));
        }
        let codes = self.codes()?;
        Ok(Rows::where_true(codes.len(), |row| {
            found.holds(codes[row] as usize)
        }))
    }
}
