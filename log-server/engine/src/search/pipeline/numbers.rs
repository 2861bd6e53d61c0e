//! What many numbers add up to, and the least and the greatest of them.

use crate::query::Number;

/// Sum, mean, minimum and maximum at once: they cost little, and are asked for together. Mergeable.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Numbers {
    count: u64,
    /// The integers among them, exactly.
    integers: i128,
    /// The others, with what rounding lost of them: the sum hardly depends on their order.
    fractions: f64,
    lost: f64,
    /// Whether there are others.
    fractional: bool,
    least: Option<Number>,
    greatest: Option<Number>,
}

impl Numbers {
    pub(super) fn add(&mut self, number: Number) {
        self.count += 1;
        self.extend(Some(number), Some(number));
        match number {
            Number::Int(integer) => self.add_integer(integer),
            Number::Float(fraction) => self.add_fraction(fraction),
        }
    }

    pub(super) fn merge(&mut self, other: &Numbers) {
        self.count += other.count;
        self.extend(other.least, other.greatest);
        self.add_integer(other.integers);
        if other.fractional {
            self.add_fraction(other.fractions);
            self.lost += other.lost;
        }
    }

    /// `None` of no numbers; so are the others.
    pub(super) fn sum(&self) -> Option<Number> {
        if self.count == 0 {
            return None;
        }
        Some(if self.fractional {
            Number::Float(Number::Int(self.integers).float() + self.fractions + self.lost)
        } else {
            Number::Int(self.integers)
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of more than 2^53 numbers is approximate"
    )]
    pub(super) fn mean(&self) -> Option<f64> {
        Some(self.sum()?.float() / self.count as f64)
    }

    pub(super) fn least(&self) -> Option<Number> {
        self.least
    }

    pub(super) fn greatest(&self) -> Option<Number> {
        self.greatest
    }

    fn extend(&mut self, least: Option<Number>, greatest: Option<Number>) {
        if let Some(least) = least
            && self.least.is_none_or(|known| least.order(known).is_lt())
        {
            self.least = Some(least);
        }
        if let Some(greatest) = greatest
            && self.greatest.is_none_or(|known| greatest.order(known).is_gt())
        {
            self.greatest = Some(greatest);
        }
    }

    fn add_integer(&mut self, integer: i128) {
        match self.integers.checked_add(integer) {
            Some(sum) => self.integers = sum,
            // Beyond 128 bits nobody counts units.
            None => self.add_fraction(Number::Int(integer).float()),
        }
    }

    /// Neumaier's sum.
    fn add_fraction(&mut self, fraction: f64) {
        self.fractional = true;
        let sum = self.fractions + fraction;
        self.lost += if self.fractions.abs() >= fraction.abs() {
            (self.fractions - sum) + fraction
        } else {
            (fraction - sum) + self.fractions
        };
        self.fractions = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(texts: &[&str]) -> Numbers {
        let mut numbers = Numbers::default();
        for text in texts {
            numbers.add(Number::parse(text).unwrap());
        }
        numbers
    }

    #[test]
    fn sums_are_exact_where_numbers_are() {
        let exact = numbers(&["9007199254740993", "1", "-2"]);
        assert_eq!(exact.sum(), Some(Number::Int(9_007_199_254_740_992)));
        assert_eq!(numbers(&["1e16", "1.5", "-1e16"]).sum(), Some(Number::Float(1.5)));
        assert_eq!(numbers(&["1", "2", "4.5"]).mean(), Some(2.5));
        let huge = "170141183460469231731687303715884105727";
        assert!(matches!(numbers(&[huge, huge]).sum(), Some(Number::Float(_))));
        assert_eq!(numbers(&[]).sum(), None);
        assert_eq!(numbers(&[]).mean(), None);
    }

    #[test]
    fn halves_merge_to_the_whole() {
        let mut merged = numbers(&["3", "0.5"]);
        merged.merge(&numbers(&["-7", "9", "1e3"]));
        merged.merge(&Numbers::default());
        assert_eq!(merged, numbers(&["3", "0.5", "-7", "9", "1e3"]));
        assert_eq!(
            (merged.least(), merged.greatest()),
            (Some(Number::Int(-7)), Some(Number::Float(1000.0)))
        );
    }
}
