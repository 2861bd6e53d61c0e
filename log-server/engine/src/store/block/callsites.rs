//! The call-site of each row, by which other columns are told: decoded by the chunk, as far as it is looked at.

use std::cell::OnceCell;

use super::bytes::{Damaged, Reader, damaged};
use super::integers::{CHUNK, Integers};

/// The column of call-sites. What is decoded stays, so that who reads ranks in several columns decodes it once.
pub(super) struct Callsites {
    column: Vec<u8>,
    chunks: Box<[OnceCell<Vec<u32>>]>,
    all: OnceCell<Vec<u32>>,
    length: usize,
}

impl Callsites {
    pub(super) fn read(column: Vec<u8>) -> Result<Callsites, Damaged> {
        let length = integers(&column)?.length();
        Ok(Callsites {
            column,
            chunks: vec![OnceCell::new(); length.div_ceil(CHUNK)].into(),
            all: OnceCell::new(),
            length,
        })
    }

    /// How many rows there are.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Those of the rows of a chunk, which begins at a multiple of [`CHUNK`]. Whether there are such call-sites is for the
    /// caller to see.
    pub(super) fn chunk(&self, chunk: usize) -> Result<&[u32], Damaged> {
        if let Some(all) = self.all.get() {
            let start = chunk * CHUNK;
            return all
                .get(start..self.length.min(start + CHUNK))
                .ok_or(damaged("a row has no call-site"));
        }
        let known = self.chunks.get(chunk).ok_or(damaged("a row has no call-site"))?;
        if let Some(codes) = known.get() {
            return Ok(codes);
        }
        let mut codes = Vec::with_capacity(CHUNK);
        integers(&self.column)?.chunk_codes(chunk, usize::MAX, &mut codes)?;
        Ok(known.get_or_init(|| codes))
    }

    /// That of one row.
    pub(super) fn at(&self, row: usize) -> Result<u32, Damaged> {
        let code = self.chunk(row / CHUNK)?.get(row % CHUNK).copied();
        code.ok_or(damaged("a row has no call-site"))
    }

    /// Those of all rows.
    pub(super) fn all(&self) -> Result<&[u32], Damaged> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let integers = integers(&self.column)?;
        let mut all = Vec::with_capacity(self.length);
        for (chunk, known) in self.chunks.iter().enumerate() {
            match known.get() {
                Some(codes) => all.extend_from_slice(codes),
                None => integers.chunk_codes(chunk, usize::MAX, &mut all)?,
            }
        }
        Ok(self.all.get_or_init(|| all))
    }
}

fn integers(column: &[u8]) -> Result<Integers<'_>, Damaged> {
    Integers::read(&mut Reader::new(column))
}
