//! A number as JSON writes it, in a query or in a record.

use std::cmp::Ordering;

use log_record::Value;

/// A finite number. Two integers compare exactly; an integer and a fraction as 64-bit floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Written without fraction and exponent.
    Int(i128),
    /// Any other.
    Float(f64),
}

impl Number {
    /// The number that `text` is, written as JSON writes numbers: no `+`, no leading zero, no bare point, no `NaN`.
    pub fn parse(text: &str) -> Option<Number> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 || (whole > 1 && digits.starts_with('0')) {
            return None;
        }
        let mut rest = &digits[whole..];
        // Beyond 128 bits an integer is compared as a float.
        if rest.is_empty()
            && let Ok(number) = text.parse()
        {
            return Some(Number::Int(number));
        }
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = without_digits(fraction)?;
        }
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            rest = without_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?;
        }
        if !rest.is_empty() {
            return None;
        }
        text.parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Number::Float)
    }

    /// The number that `value` is, if it is one.
    pub fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Int(number) => Some(Number::Int(i128::from(*number))),
            Value::UInt(number) => Some(Number::Int(i128::from(*number))),
            Value::Float(number) => Some(Number::Float(*number)),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// How it compares with `other`.
    pub fn order(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Int(one), Number::Int(other)) => one.cmp(&other),
            (one, other) => one
                .float()
                .partial_cmp(&other.float())
                .expect("numbers are finite"),
        }
    }

    /// The nearest 64-bit float.
    #[expect(
        clippy::cast_precision_loss,
        reason = "comparisons of huge integers with fractions are approximate"
    )]
    pub fn float(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

fn without_digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Number>) {
        assert_eq!(Number::parse(text), expected, "{text:?}");
    }

    #[test]
    fn numbers_are_what_json_writes() {
        check("0", Some(Number::Int(0)));
        check("-42", Some(Number::Int(-42)));
        check("18446744073709551616", Some(Number::Int(1 << 64)));
        check("42.0", Some(Number::Float(42.0)));
        check("-1.5e-3", Some(Number::Float(-0.0015)));
        check("1E+2", Some(Number::Float(100.0)));
        check(&"9".repeat(40), Some(Number::Float(1e40)));
        for text in [
            "", "-", "+1", "007", ".5", "5.", "1e", "1e400", "0x1f", "NaN", "inf", "1_000", " 1", "１",
            "1.2.3",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn integers_compare_exactly_beyond_what_floats_can_tell_apart() {
        let [small, large] =
            ["9007199254740992", "9007199254740993"].map(|text| Number::parse(text).unwrap());
        assert_eq!(small.order(large), Ordering::Less);
        assert_eq!(Number::Float(42.0).order(Number::Int(42)), Ordering::Equal);
        assert_eq!(Number::Int(3).order(Number::Float(3.5)), Ordering::Less);
    }
}
