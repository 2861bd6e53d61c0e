//! Percentiles of many numbers: exact up to 256 of them, and beyond that within 1 %.
//!
//! Beyond, numbers are counted in buckets whose width grows with the number (`DDSketch`), so that the middle of a bucket
//! is never further than 1 % from anything in it. Where that would take more than [`BUCKETS`], the numbers next to
//! minus infinity share one.

use std::collections::BTreeMap;

/// Numbers that are kept as they are.
const EXACT: usize = 256;
/// Buckets: enough for numbers that differ by a factor of 10^17.
const BUCKETS: usize = 2_048;
/// How much wider a bucket is than the one before it, for 1 %.
const GAMMA: f64 = 1.01 / 0.99;
/// Beyond the index of the smallest float, so that a bucket's index has the sign of its numbers.
const OFFSET: i32 = 40_000;

/// Numbers of which percentiles can be asked. Mergeable.
#[derive(Debug, Clone)]
pub(super) enum Sample {
    Few(Vec<f64>),
    Many {
        count: u64,
        /// By a number that rises with the numbers in the bucket.
        buckets: BTreeMap<i32, u64>,
    },
}

impl Default for Sample {
    fn default() -> Sample {
        Sample::Few(Vec::new())
    }
}

impl Sample {
    pub(super) fn add(&mut self, number: f64) {
        match self {
            Sample::Few(numbers) => {
                numbers.push(number);
                if numbers.len() > EXACT {
                    self.count_at(&[]);
                }
            }
            Sample::Many { .. } => self.count_at(&[(bucket(number), 1)]),
        }
    }

    pub(super) fn merge(&mut self, other: &Sample) {
        match other {
            Sample::Few(numbers) => numbers.iter().for_each(|number| self.add(*number)),
            Sample::Many { buckets, .. } => {
                let counts: Vec<_> = buckets.iter().map(|(bucket, count)| (*bucket, *count)).collect();
                self.count_at(&counts);
            }
        }
    }

    /// The number that `tenths` of a per cent of the numbers do not exceed; `None` of no numbers.
    pub(super) fn percentile(&self, tenths: u16) -> Option<f64> {
        let rank = |count: u64| (u128::from(count) * u128::from(tenths)).div_ceil(1000).max(1);
        match self {
            Sample::Few(numbers) => {
                let mut sorted = numbers.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let place =
                    usize::try_from(rank(sorted.len() as u64) - 1).expect("a rank among few is small");
                sorted.get(place).copied()
            }
            Sample::Many { count, buckets } => {
                let wanted = rank(*count);
                let mut seen = 0;
                let found = buckets.iter().find(|(_, count)| {
                    seen += u128::from(**count);
                    seen >= wanted
                });
                found.map(|(bucket, _)| middle(*bucket))
            }
        }
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Sample::Few(numbers) => numbers.capacity() * size_of::<f64>(),
            // A leaf of the tree is about two thirds full.
            Sample::Many { buckets, .. } => buckets.len() * 20,
        }
    }

    /// Counts numbers by bucket, from now on for good.
    fn count_at(&mut self, counts: &[(i32, u64)]) {
        if let Sample::Few(numbers) = self {
            let mut buckets = BTreeMap::new();
            for number in &*numbers {
                *buckets.entry(bucket(*number)).or_default() += 1;
            }
            let count = numbers.len() as u64;
            *self = Sample::Many { count, buckets };
        }
        let Sample::Many { count, buckets } = self else {
            unreachable!("it has just been changed")
        };
        for (bucket, more) in counts {
            *buckets.entry(*bucket).or_default() += more;
            *count += more;
        }
        while buckets.len() > BUCKETS
            && let Some((_, lowest)) = buckets.pop_first()
            && let Some(mut next) = buckets.first_entry()
        {
            *next.get_mut() += lowest;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithm of any float is below the offset"
)]
fn bucket(number: f64) -> i32 {
    let index = |size: f64| (size.ln() / GAMMA.ln()).ceil() as i32 + OFFSET;
    if number > 0.0 {
        index(number)
    } else if number < 0.0 {
        -index(-number)
    } else {
        0
    }
}

/// The number in the middle of a bucket, to four digits: more would pretend.
fn middle(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let size = 2.0 * GAMMA.powi(bucket.abs() - OFFSET) / (GAMMA + 1.0);
    let rounded: f64 = format!("{size:.3e}")
        .parse()
        .expect("a float that was just written");
    rounded.copysign(f64::from(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64]) -> Sample {
        let mut sample = Sample::default();
        numbers.iter().for_each(|number| sample.add(*number));
        sample
    }

    /// Every percentile lies within 1 % of the number at its rank, and a little for the rounding.
    #[track_caller]
    fn check(sample: &Sample, numbers: &[f64]) {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        for tenths in [1, 10, 250, 500, 900, 950, 990, 999] {
            let place = (sorted.len() * usize::from(tenths)).div_ceil(1000).max(1) - 1;
            let (truth, found) = (sorted[place], sample.percentile(tenths).unwrap());
            assert!(
                (found - truth).abs() <= truth.abs() * 0.0106,
                "{found} instead of {truth} at {tenths}"
            );
        }
    }

    #[test]
    fn few_are_exact_and_many_within_one_per_cent() {
        let mut random = fastrand::Rng::with_seed(7);
        assert_eq!(of(&[]).percentile(500), None);
        assert_eq!(of(&[3.0]).percentile(1), Some(3.0));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]).percentile(500), Some(2.0));
        for count in [256, 257, 5_000, 50_000] {
            let wide: Vec<f64> = (0..count)
                .map(|_| (random.f64() * 20.0 - 5.0).exp() - 1.0)
                .collect();
            check(&of(&wide), &wide);
        }
        let signed: Vec<f64> = (-500..500).map(f64::from).collect();
        check(&of(&signed), &signed);
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let numbers: Vec<f64> = (1..=10_000).map(f64::from).collect();
        for cut in [0, 5, 200, 300, 9_900] {
            let mut merged = of(&numbers[..cut]);
            merged.merge(&of(&numbers[cut..]));
            check(&merged, &numbers);
        }
    }

    #[test]
    fn memory_is_bounded_and_the_greatest_stay_right() {
        let numbers: Vec<f64> = (0..30_000).map(|power| 1.02_f64.powi(power - 15_000)).collect();
        let sample = of(&numbers);
        assert!(sample.bytes() <= 2_048 * 20);
        let found = sample.percentile(999).unwrap();
        assert!((found / numbers[29_969] - 1.0).abs() < 0.0106, "{found}");
        assert!(
            of(&[f64::MAX; 300])
                .percentile(500)
                .is_some_and(|found| found > 1e308)
        );
    }
}
