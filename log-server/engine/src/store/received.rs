//! Which of a run's record numbers have arrived. Senders number what they accept without holes, so what is missing
//! between two numbers is a loss, or late.
//!
//! Kept as ranges, and only so many: a run with more numbers its records in another way, and says nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::ledger;
use super::{Store, StoreError};

/// Ranges of a run, 16 bytes each in the file.
const RANGES: usize = 256;

/// The numbers of a run's records that have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// From first to last number; never touching each other. `None`: too many to keep.
    ranges: Option<BTreeMap<u64, u64>>,
}

impl Default for Received {
    fn default() -> Received {
        Received {
            ranges: Some(BTreeMap::new()),
        }
    }
}

impl Received {
    /// Adds numbers.
    pub fn insert(&mut self, numbers: RangeInclusive<u64>) {
        let Some(ranges) = &mut self.ranges else { return };
        let (mut first, mut last) = numbers.into_inner();
        if first > last {
            return;
        }
        // What touches it becomes one with it.
        while let Some((&start, &end)) = ranges.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        ranges.insert(first, last);
        if ranges.len() > RANGES {
            self.ranges = None;
        }
    }

    /// Those of `numbers` that have arrived.
    pub fn arrived(&self, numbers: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (first, last) = numbers.into_inner();
        let touching = self
            .ranges()
            .filter(|range| *range.end() >= first && *range.start() <= last);
        touching
            .map(|range| first.max(*range.start())..=last.min(*range.end()))
            .collect()
    }

    /// Those of `numbers` that have not arrived; none if there are too many ranges to tell.
    pub fn missing(&self, numbers: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (mut next, last) = (Some(*numbers.start()), *numbers.end());
        let mut missing = Vec::new();
        if self.ranges.is_none() {
            return missing;
        }
        for range in self.arrived(numbers) {
            if let Some(first) = next.filter(|first| first < range.start()) {
                missing.push(first..=*range.start() - 1);
            }
            next = range.end().checked_add(1);
        }
        missing.extend(next.filter(|first| *first <= last).map(|first| first..=last));
        missing
    }

    /// What is missing between the lowest and the highest number.
    pub fn holes(&self) -> Vec<RangeInclusive<u64>> {
        let first = self.ranges().next().map(|range| *range.start());
        let last = self.highest();
        first
            .zip(last)
            .map_or_else(Vec::new, |(first, last)| self.missing(first..=last))
    }

    /// The ranges, lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let ranges = self.ranges.iter().flatten();
        ranges.map(|(first, last)| *first..=*last)
    }

    /// The highest number.
    pub fn highest(&self) -> Option<u64> {
        let (_, last) = self.ranges.as_ref()?.last_key_value()?;
        Some(*last)
    }

    /// Whether there are too many ranges to keep.
    pub fn is_beyond(&self) -> bool {
        self.ranges.is_none()
    }

    /// Adds what stands in the row of a batch; nothing for one that does not say.
    pub(super) fn insert_row(&mut self, first: Option<i64>, last: Option<i64>) {
        if let Some((first, last)) = first.zip(last) {
            self.insert(first.cast_unsigned()..=last.cast_unsigned());
        }
    }

    /// As it is written: `None` for no numbers, and no bytes at all if there are too many ranges.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.ranges.as_ref().is_some_and(BTreeMap::is_empty) {
            return None;
        }
        let numbers = self.ranges().flat_map(|range| [*range.start(), *range.end()]);
        Some(numbers.flat_map(u64::to_le_bytes).collect())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Received {
        let (numbers, _) = bytes.as_chunks();
        let numbers: Vec<u64> = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let (pairs, _) = numbers.as_chunks();
        let ranges = pairs.iter().map(|[first, last]| (*first, *last)).collect();
        Received {
            ranges: (!bytes.is_empty()).then_some(ranges),
        }
    }
}

impl Store {
    /// Which of the run's record numbers have arrived, in the batches that said which they have. Blocks: call it off the
    /// async threads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn received(&self, boot: &str) -> Result<Received, StoreError> {
        let live = self.inner.contents.live();
        live.with_reader(|reader| ledger::received(reader, boot))
    }

    /// Runs of which it is worth asking [`Store::received`]: those with holes, and those whose batches are not sealed
    /// yet; the latest, so many of them. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn unsettled_runs(&self, most: usize) -> Result<Vec<String>, StoreError> {
        let live = self.inner.contents.live();
        live.with_reader(|reader| ledger::unsettled(reader, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_list_of_numbers_also_after_being_written() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..500 {
            let (mut received, mut list) = (Received::default(), [false; 80]);
            for _ in 0..random.usize(0..20) {
                let first = random.usize(0..70);
                let last = first + random.usize(0..6);
                received.insert(first as u64..=last as u64);
                list[first..=last].fill(true);
            }
            if let Some(bytes) = received.to_bytes() {
                received = Received::from_bytes(&bytes);
            }
            let first = random.usize(0..80);
            let last = random.usize(first..80);
            let mut seen = [None; 80];
            let within = first as u64..=last as u64;
            for (parts, arrived) in [
                (received.arrived(within.clone()), true),
                (received.missing(within), false),
            ] {
                for number in parts.into_iter().flatten() {
                    let place = &mut seen[usize::try_from(number).unwrap()];
                    assert_eq!(*place, None, "{number} is told twice");
                    *place = Some(arrived);
                }
            }
            for (number, arrived) in list.iter().enumerate() {
                let expected = (first..=last).contains(&number).then_some(*arrived);
                assert_eq!(seen[number], expected, "{number} of {list:?}");
            }
            let holes: u64 = received
                .holes()
                .iter()
                .map(|hole| hole.end() - hole.start() + 1)
                .sum();
            let span = list.iter().position(|arrived| *arrived).map_or(0, |first| {
                let last = list.iter().rposition(|arrived| *arrived);
                (first..=last.unwrap()).filter(|number| !list[*number]).count()
            });
            assert_eq!(holes, span as u64);
        }
    }

    #[test]
    fn the_highest_numbers_there_are_and_too_many_ranges_break_nothing() {
        let mut received = Received::default();
        received.insert(u64::MAX..=u64::MAX);
        received.insert(0..=3);
        received.insert(u64::MAX - 1..=u64::MAX);
        assert_eq!(received.holes(), [4..=u64::MAX - 2]);
        for number in 0..RANGES as u64 {
            received.insert(number * 10..=number * 10);
        }
        assert!(received.is_beyond() && received.holes().is_empty());
        assert!(Received::from_bytes(&received.to_bytes().unwrap()).is_beyond());
        assert!(received.missing(1..=2).is_empty());
    }
}
