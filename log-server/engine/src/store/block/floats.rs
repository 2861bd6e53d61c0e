//! Columns of fractions. Where all of them are short decimals, they are kept as integers of the last decimal; otherwise
//! as their bits.
//!
//! Format: decimals (0 to 4; 255: bits) · a column of integers.

use super::bytes::{Damaged, Reader, damaged};
use super::integers::{self, Integers};

const POWERS: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
const BITS: u8 = 255;
/// Up to here every integer is a float of its own.
const EXACT: f64 = 9e15;

pub(super) fn put(out: &mut Vec<u8>, values: &[f64]) {
    let decimals =
        (0..POWERS.len()).find(|decimals| values.iter().all(|value| is_decimal(*value, *decimals)));
    let integers: Vec<i64> = match decimals {
        Some(decimals) => {
            out.push(decimals as u8);
            values
                .iter()
                .map(|value| (value * POWERS[decimals]).round() as i64)
                .collect()
        }
        None => {
            out.push(BITS);
            values.iter().map(|value| value.to_bits() as i64).collect()
        }
    };
    integers::put(out, &integers);
}

fn is_decimal(value: f64, decimals: usize) -> bool {
    let scaled = (value * POWERS[decimals]).round();
    scaled.abs() < EXACT && scaled / POWERS[decimals] == value && !(scaled == 0.0 && value.is_sign_negative())
}

/// A column of fractions.
pub(super) struct Floats<'a> {
    power: Option<f64>,
    integers: Integers<'a>,
}

impl<'a> Floats<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Floats<'a>, Damaged> {
        let power = match reader.byte()? {
            BITS => None,
            decimals => Some(
                *POWERS
                    .get(usize::from(decimals))
                    .ok_or(damaged("a fraction has too many decimals"))?,
            ),
        };
        let integers = Integers::read(reader)?;
        Ok(Floats { power, integers })
    }

    pub(super) fn at(&mut self, index: usize) -> Result<f64, Damaged> {
        let integer = self.integers.at(index)?;
        self.float(integer)
    }

    pub(super) fn all(&self) -> Result<Vec<f64>, Damaged> {
        self.integers
            .all()?
            .into_iter()
            .map(|integer| self.float(integer))
            .collect()
    }

    fn float(&self, integer: i64) -> Result<f64, Damaged> {
        let float = self
            .power
            .map_or_else(|| f64::from_bits(integer as u64), |power| integer as f64 / power);
        // JSON has no others, and comparisons count on it.
        if float.is_finite() {
            Ok(float)
        } else {
            Err(damaged("a fraction is not finite"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64]) {
        let mut bytes = Vec::new();
        put(&mut bytes, values);
        let mut floats = Floats::read(&mut Reader::new(&bytes)).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&floats.all().unwrap()), bits(values));
        assert_eq!(floats.at(0).unwrap().to_bits(), values[0].to_bits());
    }

    #[test]
    fn fractions_come_back_to_the_bit() {
        check(&[1.5, 2.25, -3.125]);
        check(&[0.1, 0.2, 0.1 + 0.2]);
        check(&[0.0, -0.0]);
        check(&[1e300, 5e-324, f64::MAX, 9_007_199_254_740_993.0]);
        let mut random = fastrand::Rng::with_seed(5);
        check(
            &(0..5_000)
                .map(|_| f64::from(random.u32(..)) / 1e3)
                .collect::<Vec<_>>(),
        );
    }
}
