//! The integers of templates with few rows: all in one section, of which most searches need none and most pages few.

use std::borrow::Cow;

use super::super::bytes::{Damaged, Reader, Section, damaged};

/// So many are looked for among the bytes; who needs more of them has them decoded, all at once.
const SOUGHT_MOST: usize = 256;
/// Bytes of which the ends of numbers are counted at once.
const STRIDE: usize = 64;

pub(super) struct Rare<'a> {
    count: usize,
    state: State<'a>,
}

enum State<'a> {
    Unread(Section<'a>),
    Sought {
        bytes: Cow<'a, [u8]>,
        /// Where a number begins, and which.
        at: usize,
        index: usize,
        sought: usize,
    },
    Read(Vec<i64>),
}

impl<'a> Rare<'a> {
    pub(super) fn new(count: usize, section: Section<'a>) -> Rare<'a> {
        Rare {
            count,
            state: State::Unread(section),
        }
    }

    /// The number at `index`.
    pub(super) fn at(&mut self, index: usize) -> Result<i64, Damaged> {
        const MISSING: Damaged = damaged("the slots of texts are missing");
        if let State::Unread(section) = &self.state {
            self.state = State::Sought {
                bytes: section.open()?,
                at: 0,
                index: 0,
                sought: 0,
            };
        }
        if let State::Sought { bytes, sought, .. } = &self.state
            && *sought == SOUGHT_MOST
        {
            let mut numbers = Reader::new(bytes);
            let all = (0..self.count).map(|_| numbers.number().map(|number| number as i64));
            self.state = State::Read(all.collect::<Result<_, _>>()?);
        }
        match &mut self.state {
            State::Read(numbers) => numbers.get(index).copied().ok_or(MISSING),
            State::Sought {
                bytes,
                at,
                index: known,
                sought,
            } => {
                *sought += 1;
                if index < *known {
                    (*at, *known) = (0, 0);
                }
                *at += behind(&bytes[*at..], index - *known).ok_or(MISSING)?;
                *known = index;
                Ok(Reader::new(&bytes[*at..]).number()? as i64)
            }
            State::Unread(_) => unreachable!("it was read above"),
        }
    }
}

/// How many bytes so many numbers take, each of which ends with a byte below 128.
fn behind(bytes: &[u8], numbers: usize) -> Option<usize> {
    let (mut at, mut left) = (0, numbers);
    for stride in bytes.chunks(STRIDE) {
        let ends = stride.iter().filter(|byte| **byte < 0x80).count();
        if ends >= left {
            break;
        }
        (at, left) = (at + stride.len(), left - ends);
    }
    while left > 0 {
        left -= usize::from(*bytes.get(at)? < 0x80);
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::super::super::bytes::{put_number, put_section};
    use super::*;

    #[test]
    fn numbers_are_the_same_whether_sought_or_read() {
        let mut random = fastrand::Rng::with_seed(5);
        let numbers: Vec<i64> = (0..3_000).map(|_| random.i64(..) >> random.u32(0..64)).collect();
        let (mut bytes, mut section) = (Vec::new(), Vec::new());
        numbers
            .iter()
            .for_each(|number| put_number(&mut bytes, *number as u64));
        put_section(&mut section, &bytes);
        let mut rare = Rare::new(numbers.len(), Reader::new(&section).section().unwrap());
        for _ in 0..2 * SOUGHT_MOST {
            let index = random.usize(..numbers.len());
            assert_eq!(rare.at(index), Ok(numbers[index]), "number {index}");
        }
        let mut short = Rare::new(4_000, Reader::new(&section).section().unwrap());
        assert!(short.at(3_000).is_err() && short.at(3_001).is_err());
    }
}
