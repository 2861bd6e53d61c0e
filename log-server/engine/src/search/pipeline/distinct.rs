//! How many different values there are: exact up to 1,024, and beyond that an estimate whose standard error is 1.6 %.

use xxhash_rust::xxh3::xxh3_64;

/// Hashes that are kept as they are; two values among so few hardly ever share one.
const EXACT: usize = 1_024;
/// The registers' number as a power of two: the error is 1.04 / √4096.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;

/// A set of values of which only the size is remembered. Mergeable.
#[derive(Debug, Clone)]
pub(super) enum Distinct {
    /// The hashes, sorted.
    Few(Vec<u64>),
    /// `HyperLogLog`: per register, the longest run of zeros seen, and one.
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Few(Vec::new())
    }
}

impl Distinct {
    pub(super) fn add(&mut self, value: &str) {
        self.add_hash(xxh3_64(value.as_bytes()));
    }

    pub(super) fn merge(&mut self, other: &Distinct) {
        match other {
            Distinct::Few(hashes) => hashes.iter().for_each(|hash| self.add_hash(*hash)),
            Distinct::Many(theirs) => {
                let ours = self.many();
                for (our, their) in ours.iter_mut().zip(&**theirs) {
                    *our = (*our).max(*their);
                }
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is a positive number far below 2^64"
    )]
    pub(super) fn count(&self) -> u64 {
        match self {
            Distinct::Few(hashes) => hashes.len() as u64,
            Distinct::Many(registers) => estimate(registers).round() as u64,
        }
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Distinct::Few(hashes) => hashes.capacity() * size_of::<u64>(),
            Distinct::Many(_) => REGISTERS,
        }
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Distinct::Few(hashes) => {
                if let Err(place) = hashes.binary_search(&hash) {
                    hashes.insert(place, hash);
                    if hashes.len() > EXACT {
                        self.many();
                    }
                }
            }
            Distinct::Many(registers) => record(registers, hash),
        }
    }

    fn many(&mut self) -> &mut [u8; REGISTERS] {
        if let Distinct::Few(hashes) = self {
            let mut registers = Box::new([0; REGISTERS]);
            hashes.iter().for_each(|hash| record(&mut registers, *hash));
            *self = Distinct::Many(registers);
        }
        match self {
            Distinct::Many(registers) => registers,
            Distinct::Few(_) => unreachable!("it has just been changed"),
        }
    }
}

fn record(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = usize::try_from(hash >> (64 - BITS)).expect("12 bits fit");
    // The guard bit ends the run where the hash does.
    let run = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() + 1;
    let run = u8::try_from(run).expect("at most 64");
    registers[register] = registers[register].max(run);
}

/// Ertl's estimator, which needs no tables and has no bias at any size (arXiv 1702.01284, algorithm 6).
fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    const LONGEST: usize = 64 - BITS as usize;
    #[expect(clippy::cast_precision_loss, reason = "4,096 is exact")]
    const M: f64 = REGISTERS as f64;
    let mut runs = [0_u16; LONGEST + 2];
    registers.iter().for_each(|run| runs[usize::from(*run)] += 1);
    let mut z = M * tau(1.0 - f64::from(runs[LONGEST + 1]) / M);
    for count in runs[1..=LONGEST].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += M * sigma(f64::from(runs[0]) / M);
    M * M / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u64>) -> Distinct {
        let mut distinct = Distinct::default();
        range.for_each(|number| distinct.add(&format!("user-{number}")));
        distinct
    }

    /// Three standard errors.
    #[track_caller]
    fn check(distinct: &Distinct, truth: u64) {
        let off = distinct.count().abs_diff(truth);
        assert!(off * 20 <= truth, "{} instead of {truth}", distinct.count());
    }

    #[test]
    fn few_are_counted_exactly_and_many_within_five_per_cent() {
        assert_eq!(of(0..0).count(), 0);
        let mut few = of(0..1_000);
        few.merge(&of(500..1_024));
        assert_eq!(few.count(), 1_024);
        for truth in [1_025, 3_000, 10_000, 20_000, 100_000, 1_000_000] {
            check(&of(0..truth), truth);
        }
        assert!(of(0..100_000).bytes() <= 4_096);
    }

    #[test]
    fn parts_merge_to_the_whole_whatever_their_sizes() {
        for (one, other, truth) in [
            (0..10, 5..20_000, 20_000),
            (0..50_000, 25_000..75_000, 75_000),
            (0..30_000, 0..7, 30_000),
        ] {
            let whole = of(0..truth).count();
            let mut merged = of(one);
            merged.merge(&of(other));
            assert_eq!(merged.count(), whole);
        }
    }
}
