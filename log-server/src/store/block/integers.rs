//! Columns of integers: each value less the smallest, as planes of bytes (all lowest bytes, then all second bytes …),
//! each plane compressed on its own. Where neighbours differ less than values do, or by the same again and again, the
//! differences are kept instead.
//!
//! The values stand in chunks of [`CHUNK`] that decode on their own, so that reading one value decodes one chunk.
//!
//! Format: count · if not 0: kind (0 values, 1 differences), smallest (signed), bytes per value · of differences: the
//! first value of each chunk (signed) · if more than one chunk: length of each · the chunks, each a section per plane.

use std::borrow::Cow;
use std::ops::Range;

use super::bytes::{Damaged, Reader, damaged, put_number, put_section, put_signed};

/// Values that are decoded together.
pub(super) const CHUNK: usize = 4_096;
/// More values than any column has: a row has at most 256 fields and 32 spans with as many.
const MOST: usize = 1 << 30;

const VALUES: u8 = 0;
const DIFFERENCES: u8 = 1;

pub(super) fn put(out: &mut Vec<u8>, values: &[i64]) {
    put_number(out, values.len() as u64);
    if values.is_empty() {
        return;
    }
    let plain = Frame::of(values.iter().copied());
    let differences = differences(values);
    let stepped = Frame::of(differences.iter().copied());
    if stepped.width < plain.width || (stepped.width == plain.width && is_steady(&differences)) {
        put_frame(out, DIFFERENCES, &stepped);
        values
            .iter()
            .step_by(CHUNK)
            .for_each(|first| put_signed(out, *first));
        put_chunks(out, &differences, &stepped);
    } else {
        put_frame(out, VALUES, &plain);
        put_chunks(out, values, &plain);
    }
}

pub(super) fn put_codes(out: &mut Vec<u8>, codes: &[u32]) {
    put(
        out,
        &codes.iter().map(|code| i64::from(*code)).collect::<Vec<_>>(),
    );
}

/// Whether most differences are the same: numbers that count up, from several senders in turn. As bytes they are no
/// narrower, but they compress to next to nothing.
fn is_steady(differences: &[i64]) -> bool {
    let same = differences.windows(2).filter(|pair| pair[0] == pair[1]).count();
    differences.len() > 2 && same > differences.len() / 2
}

/// Each value less the one before it; the first of a chunk is 0.
fn differences(values: &[i64]) -> Vec<i64> {
    let mut before = 0;
    let difference = |(index, value): (usize, &i64)| {
        let difference = if index % CHUNK == 0 {
            0
        } else {
            value.wrapping_sub(before)
        };
        before = *value;
        difference
    };
    values.iter().enumerate().map(difference).collect()
}

/// Where the values lie: what is subtracted, and how many bytes remain.
struct Frame {
    smallest: i64,
    width: u8,
}

impl Frame {
    fn of(values: impl Iterator<Item = i64>) -> Frame {
        let (smallest, largest) = values.fold((i64::MAX, i64::MIN), |(smallest, largest), value| {
            (smallest.min(value), largest.max(value))
        });
        let range = largest.wrapping_sub(smallest) as u64;
        Frame {
            smallest,
            width: (64 - range.leading_zeros()).div_ceil(8) as u8,
        }
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, frame: &Frame) {
    out.push(kind);
    put_signed(out, frame.smallest);
    out.push(frame.width);
}

fn put_chunks(out: &mut Vec<u8>, values: &[i64], frame: &Frame) {
    let (mut lengths, mut body, mut plane) = (Vec::new(), Vec::new(), Vec::with_capacity(CHUNK));
    for chunk in values.chunks(CHUNK) {
        let start = body.len();
        for byte in 0..frame.width {
            plane.clear();
            plane.extend(
                chunk
                    .iter()
                    .map(|value| (value.wrapping_sub(frame.smallest) as u64 >> (8 * byte)) as u8),
            );
            put_section(&mut body, &plane);
        }
        put_number(&mut lengths, (body.len() - start) as u64);
    }
    if values.len() > CHUNK {
        out.extend_from_slice(&lengths);
    }
    out.extend_from_slice(&body);
}

/// A column of integers, decoded as far as it is read.
pub(super) struct Integers<'a> {
    length: usize,
    differences: bool,
    smallest: i64,
    width: u8,
    /// The first value of each chunk of differences.
    firsts: Vec<i64>,
    chunks: Vec<Reader<'a>>,
    decoded: Vec<i64>,
    /// Which values are decoded.
    at_hand: Range<usize>,
    /// How often a chunk was decoded for one value.
    misses: usize,
}

impl<'a> Integers<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Integers<'a>, Damaged> {
        let length = reader.count(MOST)?;
        let mut integers = Integers {
            length,
            differences: false,
            smallest: 0,
            width: 0,
            firsts: Vec::new(),
            chunks: Vec::new(),
            decoded: Vec::new(),
            at_hand: 0..0,
            misses: 0,
        };
        if length == 0 {
            return Ok(integers);
        }
        integers.differences = match reader.byte()? {
            VALUES => false,
            DIFFERENCES => true,
            _ => return Err(damaged("a column of integers is of no known kind")),
        };
        integers.smallest = reader.signed()?;
        integers.width = reader.byte()?;
        if integers.width > 8 {
            return Err(damaged("an integer has more than eight bytes"));
        }
        let chunks = length.div_ceil(CHUNK);
        if integers.differences {
            integers.firsts = (0..chunks).map(|_| reader.signed()).collect::<Result<_, _>>()?;
        }
        if chunks == 1 {
            integers.chunks = vec![*reader];
            for _ in 0..integers.width {
                reader.section()?;
            }
            return Ok(integers);
        }
        let lengths: Vec<usize> = (0..chunks)
            .map(|_| reader.count(MOST))
            .collect::<Result<_, _>>()?;
        integers.chunks = lengths
            .into_iter()
            .map(|length| reader.take(length).map(Reader::new))
            .collect::<Result<_, _>>()?;
        Ok(integers)
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The value at `index`.
    pub(super) fn at(&mut self, index: usize) -> Result<i64, Damaged> {
        if index >= self.length {
            return Err(damaged("a column has too few values"));
        }
        if !self.at_hand.contains(&index) {
            self.misses += 1;
            let mut decoded = std::mem::take(&mut self.decoded);
            decoded.clear();
            self.at_hand = 0..0;
            // Who jumps to and fro would decode the same chunks again and again.
            let chunks = if self.misses > self.chunks.len() {
                0..self.chunks.len()
            } else {
                index / CHUNK..index / CHUNK + 1
            };
            for chunk in chunks.clone() {
                self.decode(chunk, &mut decoded)?;
            }
            self.at_hand = chunks.start * CHUNK..chunks.start * CHUNK + decoded.len();
            self.decoded = decoded;
        }
        Ok(self.decoded[index - self.at_hand.start])
    }

    /// Every value.
    pub(super) fn all(&self) -> Result<Vec<i64>, Damaged> {
        let mut values = Vec::with_capacity(self.length);
        for chunk in 0..self.chunks.len() {
            self.decode(chunk, &mut values)?;
        }
        Ok(values)
    }

    /// Every value, none of which is greater than `most`.
    pub(super) fn codes(&self, most: usize) -> Result<Vec<u32>, Damaged> {
        const NOTHING: Damaged = damaged("a code names nothing");
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let smallest = u32::try_from(self.smallest);
        if self.differences || self.width > 3 || smallest.is_err() {
            let code = |value: i64| u32::try_from(value).ok().filter(|code| *code <= most);
            return self
                .all()?
                .into_iter()
                .map(|value| code(value).ok_or(NOTHING))
                .collect();
        }
        // Nearly always: up to three bytes, added to a smallest one that is small.
        let smallest = smallest.unwrap_or(0);
        let mut codes = vec![smallest; self.length];
        for (chunk, codes) in codes.chunks_mut(CHUNK).enumerate() {
            let mut reader = self.chunks[chunk];
            for shift in (0..8 * self.width).step_by(8) {
                let plane = plane(&mut reader, codes.len())?;
                for (code, byte) in codes.iter_mut().zip(plane.iter()) {
                    *code = code.wrapping_add(u32::from(*byte) << shift);
                }
            }
        }
        if codes.iter().all(|code| (smallest..=most).contains(code)) {
            Ok(codes)
        } else {
            Err(NOTHING)
        }
    }

    /// Appends the values of a chunk.
    fn decode(&self, chunk: usize, values: &mut Vec<i64>) -> Result<(), Damaged> {
        let length = (self.length - chunk * CHUNK).min(CHUNK);
        let start = values.len();
        let mut reader = self.chunks[chunk];
        values.resize(start + length, 0);
        let decoded = &mut values[start..];
        for shift in (0..8 * self.width).step_by(8) {
            let plane = plane(&mut reader, length)?;
            for (value, byte) in decoded.iter_mut().zip(plane.iter()) {
                *value |= (u64::from(*byte) << shift) as i64;
            }
        }
        if self.differences {
            let mut last = self.firsts[chunk];
            for (index, value) in decoded.iter_mut().enumerate() {
                if index > 0 {
                    last = last.wrapping_add(value.wrapping_add(self.smallest));
                }
                *value = last;
            }
        } else {
            decoded
                .iter_mut()
                .for_each(|value| *value = value.wrapping_add(self.smallest));
        }
        Ok(())
    }
}

/// The next plane of a chunk.
fn plane<'a>(reader: &mut Reader<'a>, length: usize) -> Result<Cow<'a, [u8]>, Damaged> {
    let plane = reader.section()?.open()?;
    if plane.len() == length {
        Ok(plane)
    } else {
        Err(damaged("a plane has the wrong length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[i64]) {
        let mut bytes = Vec::new();
        put(&mut bytes, values);
        bytes.push(0xAB);
        let mut reader = Reader::new(&bytes);
        let mut integers = Integers::read(&mut reader).unwrap();
        assert_eq!(reader.byte(), Ok(0xAB), "it ends where it ends");
        assert_eq!(integers.all().unwrap(), values);
        for index in (0..values.len()).step_by(997).chain(values.len().checked_sub(1)) {
            assert_eq!(integers.at(index), Ok(values[index]));
        }
        assert!(integers.at(values.len()).is_err());
    }

    #[test]
    fn numbers_of_several_senders_that_count_up_take_next_to_nothing() {
        let values: Vec<i64> = (0..65_536).map(|row| row / 1_000 % 7 * 1_000_000 + row).collect();
        check(&values);
        let mut bytes = Vec::new();
        put(&mut bytes, &values);
        assert!(bytes.len() < values.len() / 10, "{} bytes", bytes.len());
    }

    #[test]
    fn who_jumps_to_and_fro_finds_the_same_values() {
        let values: Vec<i64> = (0..20_000).map(|n| n * n % 7_919).collect();
        let mut bytes = Vec::new();
        put(&mut bytes, &values);
        let mut integers = Integers::read(&mut Reader::new(&bytes)).unwrap();
        for round in 0..40 {
            for index in [round, 19_999 - round, 9_000 + round] {
                assert_eq!(integers.at(index), Ok(values[index]));
            }
        }
    }

    #[test]
    fn integers_come_back_whatever_they_are() {
        check(&[]);
        check(&[7]);
        check(&[i64::MIN, i64::MAX, 0, -1]);
        check(&[5; 10_000]);
        check(&(0..10_000).collect::<Vec<_>>());
        check(&(0..10_000).map(|n| n * n - 3).collect::<Vec<_>>());
        let mut random = fastrand::Rng::with_seed(3);
        for bits in [1, 9, 30, 63] {
            check(
                &(0..9_000)
                    .map(|_| random.i64(-(1 << (bits - 1))..1 << (bits - 1)))
                    .collect::<Vec<_>>(),
            );
        }
    }
}
