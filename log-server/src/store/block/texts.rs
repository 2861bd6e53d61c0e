//! A column of texts: as they come, or, where they repeat, the distinct ones and which of them each row has.
//!
//! Format of the head: kind (0 all, 1 distinct) · of distinct ones: the code of each row, as integers · the head of the
//! texts. The body is that of the texts.

use std::collections::HashMap;

use super::bytes::{Damaged, damaged};
use super::filter::Terms;
use super::integers::{self, Integers};
use super::loaded::Loaded;
use super::rows::Rows;
use super::text::{Text, TextWriter};

const ALL: u8 = 0;
const DISTINCT: u8 = 1;
/// With more distinct texts than this share of all, codes cost more than they save.
const DISTINCT_SHARE: usize = 3;

/// Writes `texts`: head and body.
pub(super) fn put(texts: &[&str], terms: &mut Terms) -> (Vec<u8>, Vec<u8>) {
    let mut head = Vec::new();
    let (written, body) = match distinct(texts) {
        None => {
            head.push(ALL);
            TextWriter::write(texts, terms)
        }
        Some((distinct, codes)) => {
            head.push(DISTINCT);
            integers::put_codes(&mut head, &codes);
            TextWriter::write(&distinct, terms)
        }
    };
    head.extend_from_slice(&written);
    (head, body)
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

struct Codes<'a> {
    column: Integers<'a>,
    all: Option<Vec<u32>>,
}

impl<'a> Texts<'a> {
    /// Reads the column `number`; the next one is its body.
    pub(super) fn read(loaded: &'a Loaded<'a>, number: u32) -> Result<Texts<'a>, Damaged> {
        let mut reader = loaded.column(number)?;
        let column = match reader.byte()? {
            ALL => None,
            DISTINCT => Some(Integers::read(&mut reader)?),
            _ => return Err(damaged("a column of texts is of no known kind")),
        };
        let texts = Text::read(&mut reader, loaded, number + 1)?;
        let codes = column.map(|column| Codes { column, all: None });
        Ok(Texts { texts, codes })
    }

    pub(super) fn length(&self) -> usize {
        self.codes
            .as_ref()
            .map_or(self.texts.length(), |codes| codes.column.length())
    }

    /// The texts that contain the folded `needle`.
    pub(super) fn containing(&mut self, needle: &str) -> Result<Rows, Damaged> {
        let found = self.texts.containing(needle)?;
        self.with_codes(found)
    }

    /// The texts that pass `test`, all of which contain the folded `hint`.
    pub(super) fn passing(
        &mut self,
        hint: Option<&str>,
        test: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Rows, Damaged> {
        let candidates = match hint {
            Some(hint) => self.texts.containing(hint)?,
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
            return self.texts.each(indexes.iter(), |_, text| see(text, 1));
        }
        let mut counts = vec![0; self.texts.length()];
        let codes = self.codes()?;
        indexes
            .iter()
            .for_each(|index| counts[codes[index] as usize] += 1);
        let seen: Vec<usize> = (0..counts.len()).filter(|code| counts[*code] > 0).collect();
        self.texts.each(seen, |code, text| see(text, counts[code]))
    }

    fn code(&mut self, index: usize) -> Result<u32, Damaged> {
        let codes = self.codes.as_mut().expect("only a column with codes is asked");
        match &codes.all {
            Some(all) => all.get(index).copied(),
            None => u32::try_from(codes.column.at(index)?).ok(),
        }
        .filter(|code| (*code as usize) < self.texts.length())
        .ok_or(damaged("a code names no text"))
    }

    fn codes(&mut self) -> Result<&[u32], Damaged> {
        let most = self.texts.length().saturating_sub(1);
        let codes = self.codes.as_mut().expect("only a column with codes is asked");
        if codes.all.is_none() {
            codes.all = Some(codes.column.codes(most)?);
        }
        Ok(codes.all.as_deref().expect("it was read above"))
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
