//! Numbers: the digits are summed up while they are found, and what does not fit is read again by the standard library.

use super::{Scanner, Stop};

/// A number as it stands, and what its digits amount to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    /// As it stands.
    pub(crate) text: &'a str,
    /// All digits before an exponent as one integer.
    digits: u64,
    /// How many of them stand after the point.
    places: usize,
    negative: bool,
    /// Neither a point nor an exponent.
    whole: bool,
    /// Nothing but `digits` and `places` makes the number: there is no exponent, and all digits found room.
    complete: bool,
}

/// Powers of ten, each exact; one digit at least stands before the point.
const POWERS: [f64; Number::DIGITS] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
];

impl<'a> Scanner<'a> {
    /// The number that comes next.
    pub(crate) fn number(&mut self) -> Result<Number<'a>, Stop> {
        let text = &self.text[self.place()..];
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let first = usize::from(negative);
        let (digits, end) = sum_digits(bytes, first, 0)?;
        let count = end - first;
        if count > 1 && bytes[first] == b'0' {
            return Err(Stop::Syntax);
        }
        let integer = Number {
            text: &text[..end],
            digits,
            places: 0,
            negative,
            whole: true,
            complete: count <= Number::DIGITS,
        };
        if let Some(b'.' | b'e' | b'E') = bytes.get(end) {
            return self.fraction(text, integer, count);
        }
        self.at += end;
        Ok(integer)
    }

    /// The number that begins with `integer`, a whole part of `count` digits.
    #[inline(never)]
    fn fraction(&mut self, text: &'a str, integer: Number<'a>, count: usize) -> Result<Number<'a>, Stop> {
        let bytes = text.as_bytes();
        let (mut digits, mut places, mut end) = (integer.digits, 0, integer.text.len());
        if bytes.get(end) == Some(&b'.') {
            let point = end + 1;
            (digits, end) = sum_digits(bytes, point, digits)?;
            places = end - point;
        }
        let scaled = matches!(bytes.get(end), Some(b'e' | b'E'));
        if scaled {
            let signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
            (_, end) = sum_digits(bytes, end + 1 + usize::from(signed), 0)?;
        }
        self.at += end;
        Ok(Number {
            text: &text[..end],
            digits,
            places,
            whole: false,
            complete: count + places <= Number::DIGITS && !scaled,
            ..integer
        })
    }
}

/// The digits from `at` on, at least one, appended to those of `sum`; and where they end.
#[inline]
fn sum_digits(bytes: &[u8], at: usize, mut sum: u64) -> Result<(u64, usize), Stop> {
    let mut end = at;
    for byte in bytes.get(at..).unwrap_or_default() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    if end == at {
        Err(Stop::Syntax)
    } else {
        Ok((sum, end))
    }
}

impl Number<'_> {
    /// As many digits as a `u64` holds whatever they are.
    const DIGITS: usize = 19;

    /// Whether it is written without a fraction and an exponent. `-0` is not: only a float has a negative zero.
    pub(crate) fn is_integer(&self) -> bool {
        self.whole && !(self.negative && self.text == "-0")
    }

    /// The integer, if it is one and fits.
    #[inline]
    pub(crate) fn as_i64(&self) -> Option<i64> {
        if !self.is_integer() {
            return None;
        }
        match i64::try_from(self.digits) {
            Ok(number) if self.complete => Some(if self.negative { -number } else { number }),
            _ => self.text.parse().ok(),
        }
    }

    /// The integer, if it is one and fits.
    #[inline]
    pub(crate) fn as_u64(&self) -> Option<u64> {
        if !self.is_integer() || self.negative {
            return None;
        }
        if self.complete {
            return Some(self.digits);
        }
        self.text.parse().ok()
    }

    /// The nearest float; infinite if the number is beyond all floats.
    #[expect(
        clippy::cast_precision_loss,
        reason = "only integers that a float holds exactly"
    )]
    #[inline]
    pub(crate) fn as_f64(&self) -> f64 {
        // Both operands are exact, so one division rounds once, to the nearest. (Clinger's fast path.)
        if self.complete && self.digits < 1 << f64::MANTISSA_DIGITS {
            let number = self.digits as f64 / POWERS[self.places];
            return if self.negative { -number } else { number };
        }
        self.text.parse().expect("a JSON number is a Rust number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(json: &str) {
        let number = Scanner::new(json).number().unwrap();
        let integer = !json.contains(['.', 'e', 'E']) && json != "-0";
        let signed = integer.then(|| json.parse::<i64>().ok()).flatten();
        let unsigned = integer.then(|| json.parse::<u64>().ok()).flatten();
        assert_eq!((number.text, number.is_integer()), (json, integer));
        assert_eq!((number.as_i64(), number.as_u64()), (signed, unsigned), "{json}");
        let float: f64 = json.parse().unwrap();
        assert_eq!(number.as_f64().to_bits(), float.to_bits(), "{json}");
    }

    #[test]
    fn numbers_at_the_edges_are_the_standard_librarys() {
        for json in [
            "0",
            "-0",
            "-0.0",
            "0.0",
            "-1",
            "1e0",
            "1E5",
            "1.5e-7",
            "-0e0",
            "0.1",
            "0.3",
            "1e400",
            "-1e400",
            "1e-400",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.0",
            "900719925474099.3",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "9999999999999999999",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999",
            "340282366920938463463374607431768211456",
            "0.0000000000000000000001",
            "0.00000000000000000000001",
            "0.0000000000000000001",
            "123456789.0123456789",
            "123456789.01234567890",
            "179769313486231580e291",
            "2.2250738585072014e-308",
            "4.9406564584124654e-324",
            "1.00000000000000011102230246251565404",
        ] {
            check(json);
        }
    }

    proptest! {
        #[test]
        fn every_number_is_the_standard_librarys(json in "-?(0|[1-9][0-9]{0,21})([.][0-9]{1,24})?([eE][+-]?[0-9]{1,3})?") {
            check(&json);
        }

        #[test]
        fn every_float_is_read_as_it_was_written(number in any::<f64>().prop_filter("JSON has finite numbers", |n| n.is_finite())) {
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(Scanner::new(&json).number().unwrap().as_f64().to_bits(), number.to_bits());
        }
    }
}
