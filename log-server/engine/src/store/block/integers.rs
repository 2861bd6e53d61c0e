//! Columns of integers: each value less the smallest, as planes of bytes (all lowest bytes, then all second bytes …),
//! each plane compressed on its own. Where that takes less, other numbers stand for the values: the difference to the
//! value before, or, of codes that were given out in order, how far each is behind the newest.
//!
//! The values stand in chunks of [`CHUNK`] that decode on their own, so that reading one value decodes one chunk.
//!
//! Format: count · if not 0: kind (0 values, 1 differences, 2 behind the newest), smallest (signed), bytes per value ·
//! of kind 1 and 2, for each chunk: its first value, the newest before it (signed) · if more than one chunk: length of
//! each · the chunks, each a section per plane.

use std::borrow::Cow;
use std::ops::Range;

use super::bytes::{Damaged, Reader, damaged, put_number, put_section, put_signed};
use super::planes::{self, plane};

/// Values that are decoded together.
pub(super) const CHUNK: usize = 4_096;
/// More values than any column has: a row has at most 256 fields and 32 spans with as many.
const MOST: usize = 1 << 30;
/// Values as they are need not be summed up, so another kind has to take less than this share of their bits.
const WORTH_IT: f64 = 0.97;

/// What stands for the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// They themselves.
    Values = 0,
    /// What is to be added to the value before; 0 for the first of a chunk.
    Differences = 1,
    /// How far one is behind the next code that will be given out: a new code is 0, the newest 1. What came up lately
    /// comes again, ids of traces for example.
    Behind = 2,
}

pub(super) fn put(out: &mut Vec<u8>, values: &[i64]) {
    put_as(out, values, &[Kind::Differences]);
}

/// Writes codes, which [`Codes`](super::codes::Codes) reads back. They may be in any order, and are smallest where each
/// new one is one more than the newest.
pub(super) fn put_codes(out: &mut Vec<u8>, codes: &[u32]) {
    let values: Vec<i64> = codes.iter().map(|code| i64::from(*code)).collect();
    put_as(out, &values, &[Kind::Differences, Kind::Behind]);
}

/// Writes the values as they are, or as one of `others` if that is worth it.
fn put_as(out: &mut Vec<u8>, values: &[i64], others: &[Kind]) {
    put_number(out, values.len() as u64);
    if values.is_empty() {
        return;
    }
    let kind = best(values, others);
    let (numbers, starts) = kind.stand_for(values);
    let frame = Frame::of(&numbers);
    out.push(kind as u8);
    put_signed(out, frame.smallest);
    out.push(frame.width);
    if kind != Kind::Values {
        starts.iter().for_each(|start| put_signed(out, *start));
    }
    put_chunks(out, &numbers, &frame);
}

/// The kind that is likely to take least: judged by a chunk in the middle.
fn best(values: &[i64], others: &[Kind]) -> Kind {
    let start = values.len() / 2 / CHUNK * CHUNK;
    let (before, sample) = values.split_at(start);
    let sample = &sample[..sample.len().min(CHUNK)];
    let (mut best, mut least) = (Kind::Values, bits(sample) * WORTH_IT);
    let newest = before.iter().copied().max();
    for kind in others {
        let bits = bits(&kind.stand_for_after(newest, sample).0);
        if bits < least {
            (best, least) = (*kind, bits);
        }
    }
    best
}

/// About how many bits the values take: the entropy of their planes.
pub(super) fn bits(values: &[i64]) -> f64 {
    let frame = Frame::of(values);
    let mut bits = 0.0;
    for byte in 0..frame.width {
        let mut counts = [0_u32; 256];
        values
            .iter()
            .for_each(|value| counts[usize::from(frame.byte(*value, byte))] += 1);
        let seen = counts.iter().filter(|count| **count > 0);
        bits += seen
            .map(|count| f64::from(*count) * (values.len() as f64 / f64::from(*count)).log2())
            .sum::<f64>();
    }
    bits
}

impl Kind {
    /// The numbers that stand for `values`, and what is to be known at the start of each chunk.
    fn stand_for(self, values: &[i64]) -> (Cow<'_, [i64]>, Vec<i64>) {
        self.stand_for_after(None, values)
    }

    /// The same for values before which `newest` was the greatest.
    fn stand_for_after(self, newest: Option<i64>, values: &[i64]) -> (Cow<'_, [i64]>, Vec<i64>) {
        let mut starts = Vec::with_capacity(values.len().div_ceil(CHUNK));
        let numbers = match self {
            Kind::Values => return (Cow::Borrowed(values), starts),
            Kind::Differences => {
                let mut before = 0;
                let difference = |(index, value): (usize, &i64)| {
                    if index % CHUNK == 0 {
                        starts.push(*value);
                        before = *value;
                    }
                    value.wrapping_sub(std::mem::replace(&mut before, *value))
                };
                values.iter().enumerate().map(difference).collect()
            }
            Kind::Behind => {
                let mut newest = newest.unwrap_or(-1);
                let behind = |(index, value): (usize, &i64)| {
                    if index % CHUNK == 0 {
                        starts.push(newest);
                    }
                    let behind = newest.wrapping_add(1).wrapping_sub(*value);
                    newest = newest.max(*value);
                    behind
                };
                values.iter().enumerate().map(behind).collect()
            }
        };
        (Cow::Owned(numbers), starts)
    }

    /// From numbers of a chunk to the values that they stand for.
    fn undo(self, start: i64, numbers: &mut [i64]) {
        match self {
            Kind::Values => {}
            Kind::Differences => {
                let mut value = start;
                for (index, number) in numbers.iter_mut().enumerate() {
                    if index > 0 {
                        value = value.wrapping_add(*number);
                    }
                    *number = value;
                }
            }
            Kind::Behind => {
                let mut newest = start;
                for number in numbers {
                    *number = newest.wrapping_add(1).wrapping_sub(*number);
                    newest = newest.max(*number);
                }
            }
        }
    }
}

/// Where the values lie: what is subtracted, and how many bytes remain.
struct Frame {
    smallest: i64,
    width: u8,
}

impl Frame {
    fn of(values: &[i64]) -> Frame {
        let (smallest, largest) = values
            .iter()
            .fold((i64::MAX, i64::MIN), |(smallest, largest), value| {
                (smallest.min(*value), largest.max(*value))
            });
        let range = largest.wrapping_sub(smallest) as u64;
        Frame {
            smallest,
            width: (64 - range.leading_zeros()).div_ceil(8) as u8,
        }
    }

    /// Byte number `byte` of the value, less the smallest.
    fn byte(&self, value: i64, byte: u8) -> u8 {
        (value.wrapping_sub(self.smallest) as u64 >> (8 * byte)) as u8
    }
}

fn put_chunks(out: &mut Vec<u8>, values: &[i64], frame: &Frame) {
    let (mut lengths, mut body, mut plane) = (Vec::new(), Vec::new(), Vec::with_capacity(CHUNK));
    for chunk in values.chunks(CHUNK) {
        let start = body.len();
        for byte in 0..frame.width {
            plane.clear();
            plane.extend(chunk.iter().map(|value| frame.byte(*value, byte)));
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
    kind: Kind,
    smallest: i64,
    width: u8,
    /// What is to be known at the start of each chunk, if they are not plain values.
    starts: Vec<i64>,
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
            kind: Kind::Values,
            smallest: 0,
            width: 0,
            starts: Vec::new(),
            chunks: Vec::new(),
            decoded: Vec::new(),
            at_hand: 0..0,
            misses: 0,
        };
        if length == 0 {
            return Ok(integers);
        }
        integers.kind = match reader.byte()? {
            0 => Kind::Values,
            1 => Kind::Differences,
            2 => Kind::Behind,
            _ => return Err(damaged("a column of integers is of no known kind")),
        };
        integers.smallest = reader.signed()?;
        integers.width = reader.byte()?;
        if integers.width > 8 {
            return Err(damaged("an integer has more than eight bytes"));
        }
        let chunks = length.div_ceil(CHUNK);
        if integers.kind != Kind::Values {
            integers.starts = (0..chunks).map(|_| reader.signed()).collect::<Result<_, _>>()?;
        }
        if chunks == 1 {
            let mut chunk = *reader;
            for _ in 0..integers.width {
                reader.section()?;
            }
            integers.chunks = vec![chunk.part(chunk.length() - reader.length())?];
            return Ok(integers);
        }
        let lengths: Vec<usize> = (0..chunks)
            .map(|_| reader.count(MOST))
            .collect::<Result<_, _>>()?;
        integers.chunks = lengths
            .into_iter()
            .map(|length| reader.part(length))
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
        self.expect_all()?;
        for chunk in 0..self.chunks.len() {
            self.decode(chunk, &mut values)?;
        }
        Ok(values)
    }

    /// To be called by who is going to read most of it.
    pub(super) fn expect_all(&self) -> Result<(), Damaged> {
        self.chunks.first().map_or(Ok(()), Reader::load_column)
    }

    /// Appends the values of a chunk, none of which is greater than `most`.
    pub(super) fn chunk_codes(&self, chunk: usize, most: usize, codes: &mut Vec<u32>) -> Result<(), Damaged> {
        const NOTHING: Damaged = damaged("a code names nothing");
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let smallest = u32::try_from(self.smallest).ok();
        let Some(smallest) = smallest.filter(|_| self.kind == Kind::Values && self.width <= 3) else {
            let mut values = Vec::with_capacity(CHUNK);
            self.decode(chunk, &mut values)?;
            if values.iter().any(|value| *value as u64 > u64::from(most)) {
                return Err(NOTHING);
            }
            codes.extend(values.iter().map(|value| *value as u32));
            return Ok(());
        };
        // Nearly always: up to three bytes, added to a smallest one that is small.
        let start = codes.len();
        codes.resize(start + self.chunk_length(chunk), smallest);
        let codes = &mut codes[start..];
        let mut reader = Reader::new(self.chunks[chunk].rest()?);
        for shift in (0..8 * self.width).step_by(8) {
            let plane = plane(&mut reader, codes.len())?;
            for (code, byte) in codes.iter_mut().zip(plane.iter()) {
                *code = code.wrapping_add(u32::from(*byte) << shift);
            }
        }
        if codes.iter().all(|code| (smallest..=most).contains(code)) {
            Ok(())
        } else {
            Err(NOTHING)
        }
    }

    fn chunk_length(&self, chunk: usize) -> usize {
        (self.length - chunk * CHUNK).min(CHUNK)
    }

    /// Appends the values of a chunk.
    fn decode(&self, chunk: usize, values: &mut Vec<i64>) -> Result<(), Damaged> {
        let length = self.chunk_length(chunk);
        let start = values.len();
        let mut reader = Reader::new(self.chunks[chunk].rest()?);
        let planes = (0..self.width)
            .map(|_| plane(&mut reader, length))
            .collect::<Result<Vec<_>, _>>()?;
        if planes.is_empty() {
            values.resize(length + start, self.smallest);
        } else {
            planes::weave(&planes, self.smallest, values);
        }
        let first = self.starts.get(chunk).copied().unwrap_or(0);
        self.kind.undo(first, &mut values[start..]);
        Ok(())
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
