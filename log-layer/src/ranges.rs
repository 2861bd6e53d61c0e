//! Sets of numbers that mostly follow each other: records that are not settled, batches on disk.
//!
//! Promises: memory goes with the gaps, not with the numbers.

use std::ops::Range;

/// In order, none of them empty, and no two that touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    pub(crate) fn insert(&mut self, numbers: Range<u64>) {
        if numbers.is_empty() {
            return;
        }
        let from = self.0.partition_point(|known| known.end < numbers.start);
        let to = self.0.partition_point(|known| known.start <= numbers.end);
        let whole = self.0[from..to].iter().fold(numbers, |whole, known| {
            whole.start.min(known.start)..whole.end.max(known.end)
        });
        self.0.splice(from..to, [whole]);
    }

    pub(crate) fn remove(&mut self, numbers: Range<u64>) {
        if numbers.is_empty() {
            return;
        }
        let from = self.0.partition_point(|known| known.end <= numbers.start);
        let to = self.0.partition_point(|known| known.start < numbers.end);
        let rest: Vec<Range<u64>> = self.0[from..to]
            .iter()
            .flat_map(|known| [known.start..numbers.start, numbers.end..known.end])
            .filter(|rest| !rest.is_empty())
            .collect();
        self.0.splice(from..to, rest);
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|known| known.end <= number);
        self.0.get(at).is_some_and(|known| known.contains(&number))
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.0.first().map(|first| first.start)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|known| known.end - known.start).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().cloned()
    }
}

impl From<Range<u64>> for Ranges {
    fn from(numbers: Range<u64>) -> Ranges {
        let mut ranges = Ranges::default();
        ranges.insert(numbers);
        ranges
    }
}
