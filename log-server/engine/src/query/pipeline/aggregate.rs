//! What can be computed from many records.

use super::column::Column;

/// One number, or moment, or level, of all records of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregate {
    /// How many records.
    Count,
    /// A function of the values that they have of a column.
    Of(Function, Column),
}

/// A function of many values. All but [`Function::Distinct`] see numbers only, and texts that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// How many different ones.
    Distinct,
    /// The value that so many tenths of a per cent of them do not exceed; 1 to 999.
    Percentile(u16),
}

impl Function {
    /// The functions with a name of their own.
    pub(super) const NAMED: [(&str, Function); 5] = [
        ("sum", Function::Sum),
        ("avg", Function::Avg),
        ("min", Function::Min),
        ("max", Function::Max),
        ("distinct", Function::Distinct),
    ];

    /// The function of that name: one of five, or a percentile such as `p50` or `p99.9`.
    pub(super) fn named(name: &str) -> Option<Function> {
        let known = Function::NAMED
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, function)) = known {
            return Some(*function);
        }
        let (whole, tenth) = match name.strip_prefix(['p', 'P'])?.split_once('.') {
            Some((whole, tenth)) => (whole, tenth),
            None => (&name[1..], "0"),
        };
        let digits =
            |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 2) || !digits(tenth, 1) {
            return None;
        }
        let tenths = whole.parse::<u16>().ok()? * 10 + tenth.parse::<u16>().ok()?;
        (tenths > 0).then_some(Function::Percentile(tenths))
    }

    /// The name that [`Function::named`] reads back.
    pub(super) fn name(self) -> String {
        if let Function::Percentile(tenths) = self {
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 {
                format!("p{whole}")
            } else {
                format!("p{whole}.{tenth}")
            };
        }
        let known = Function::NAMED.iter().find(|(_, known)| *known == self);
        known
            .map(|(name, _)| (*name).to_owned())
            .expect("all functions but percentiles are in the table")
    }
}

impl Aggregate {
    /// The column whose values it sees.
    pub fn column(&self) -> Option<&Column> {
        match self {
            Aggregate::Count => None,
            Aggregate::Of(_, column) => Some(column),
        }
    }
}
