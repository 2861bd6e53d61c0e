//! A set of a block's rows, one bit each.

use std::ops::Range;

/// Which of so many rows.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) struct Rows {
    words: Vec<u64>,
    length: usize,
}

impl Rows {
    pub(in crate::store) fn none(length: usize) -> Rows {
        Rows {
            words: vec![0; length.div_ceil(64)],
            length,
        }
    }

    pub(in crate::store) fn all(length: usize) -> Rows {
        let mut rows = Rows {
            words: vec![u64::MAX; length.div_ceil(64)],
            length,
        };
        rows.trim();
        rows
    }

    /// The rows of which `holds` is true.
    pub(super) fn where_true(length: usize, holds: impl FnMut(usize) -> bool) -> Rows {
        let mut rows = Rows::none(length);
        rows.insert_where(0..length, holds);
        rows
    }

    /// Adds the rows within `range` of which `holds` is true, in order; returns how many these are. The range begins with a
    /// multiple of 64, and nothing in it is in the set.
    pub(super) fn insert_where(
        &mut self,
        range: Range<usize>,
        mut holds: impl FnMut(usize) -> bool,
    ) -> usize {
        let words = &mut self.words[range.start / 64..range.end.div_ceil(64)];
        let mut count = 0;
        for (start, word) in range.clone().step_by(64).zip(words) {
            for bit in 0..(range.end - start).min(64) {
                *word |= u64::from(holds(start + bit)) << bit;
            }
            count += word.count_ones() as usize;
        }
        count
    }

    /// Takes out the rows of which `holds` is not true.
    pub(super) fn retain(&mut self, mut holds: impl FnMut(usize) -> bool) {
        for (index, word) in self.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                *word ^= u64::from(!holds(index * 64 + bit as usize)) << bit;
            }
        }
    }

    /// How many rows there are, in the set or not.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn insert(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    pub(in crate::store) fn holds(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(in crate::store) fn is_full(&self) -> bool {
        self.count() == self.length
    }

    pub(in crate::store) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(in crate::store) fn intersect(&mut self, other: &Rows) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    pub(super) fn unite(&mut self, other: &Rows) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    pub(super) fn complement(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
    }

    /// The rows in the set, rising.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (word != 0).then(|| {
                    word &= word - 1;
                    index * 64 + bit
                })
            })
        })
    }

    /// The rows in the set that are within `range`, rising. The range begins with a multiple of 64.
    pub(in crate::store) fn within(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = usize> {
        let first = range.start / 64;
        let words = self.words.get(first..range.end.min(self.length).div_ceil(64));
        let bits = |(index, word): (usize, &u64)| {
            let (word, start) = (*word, index * 64);
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| start + bit)
        };
        let words = words.unwrap_or_default().iter().enumerate();
        let words = words.map(move |(index, word)| (first + index, word));
        words.filter(|(_, word)| **word != 0).flat_map(bits)
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> (self.length.next_multiple_of(64) - self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_rows_do_what_sets_do_at_every_length() {
        for length in [0, 1, 63, 64, 65, 200] {
            let thirds = Rows::where_true(length, |row| row % 3 == 0);
            let mut others = thirds.clone();
            others.complement();
            assert_eq!(thirds.count() + others.count(), length);
            assert!((0..length).all(|row| thirds.holds(row) != others.holds(row)));
            assert_eq!(
                thirds.iter().collect::<Vec<_>>(),
                (0..length).step_by(3).collect::<Vec<_>>()
            );
            for range in [0..length, 64..length, 64..128] {
                let end = range.end.min(length);
                let expected = (0..end).step_by(3).filter(|row| *row >= range.start);
                assert!(thirds.within(range.clone()).eq(expected), "{range:?} of {length}");
            }
            let mut sixths = thirds.clone();
            sixths.retain(|row| row % 2 == 0);
            assert!(sixths == Rows::where_true(length, |row| row % 6 == 0));
            let mut both = thirds.clone();
            both.unite(&others);
            assert!(both == Rows::all(length) && both.is_full());
            both.intersect(&thirds);
            assert!(both == thirds);
            both.intersect(&others);
            assert!(both.is_empty() && both == Rows::none(length));
        }
    }
}
