//! A field's value. Keeps its JSON type; integers are exact up to 64 bits, and what is larger stays text.
//!
//! Everything here exists once, as [`BorrowedValue`] and the like, whose texts may stand in the JSON that they were read
//! from: who only looks at a record copies none of them. [`Value`] and the like stand by themselves.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::ser::{SerializeMap, Serializer};

use crate::text;

/// A value that stands by itself.
pub type Value = BorrowedValue<'static>;

/// A value as JSON knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum BorrowedValue<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within `i64`.
    Int(i64),
    /// An integer beyond `i64` and within `u64`.
    UInt(u64),
    /// A number with a fraction or an exponent; always finite.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<BorrowedValue<'a>>),
    /// Named values.
    Map(BorrowedFields<'a>),
}

/// Fields that stand by themselves.
pub type Fields = BorrowedFields<'static>;

/// Named values in the order they were written; a name appears once.
pub type BorrowedFields<'a> = Vec<(Cow<'a, str>, BorrowedValue<'a>)>;

impl Value {
    /// The value that `json` is, if it is what [`BorrowedValue::to_json`] wrote.
    pub fn from_json(json: &str) -> Option<Value> {
        crate::reader::value(json).map(BorrowedValue::into_owned)
    }
}

/// The fields with texts of their own.
pub(crate) fn owned_fields(fields: BorrowedFields<'_>) -> Fields {
    let owned = |(name, value): (Cow<'_, str>, BorrowedValue<'_>)| (owned_text(name), value.into_owned());
    fields.into_iter().map(owned).collect()
}

/// The text itself.
pub(crate) fn owned_text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl BorrowedValue<'_> {
    /// The value with texts of its own.
    pub fn into_owned(self) -> Value {
        match self {
            BorrowedValue::Null => Value::Null,
            BorrowedValue::Bool(value) => Value::Bool(value),
            BorrowedValue::Int(number) => Value::Int(number),
            BorrowedValue::UInt(number) => Value::UInt(number),
            BorrowedValue::Float(number) => Value::Float(number),
            BorrowedValue::Text(text) => Value::Text(owned_text(text)),
            BorrowedValue::List(items) => {
                Value::List(items.into_iter().map(BorrowedValue::into_owned).collect())
            }
            BorrowedValue::Map(fields) => Value::Map(owned_fields(fields)),
        }
    }

    /// The value as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("values serialise without I/O or failing keys")
    }

    /// The text that a search sees: text as it is, everything else as JSON writes it.
    pub fn with_text<R>(&self, scratch: &mut String, see: impl FnOnce(&str) -> R) -> R {
        scratch.clear();
        match self {
            BorrowedValue::Text(text) => return see(text),
            BorrowedValue::Null => scratch.push_str("null"),
            BorrowedValue::Bool(true) => scratch.push_str("true"),
            BorrowedValue::Bool(false) => scratch.push_str("false"),
            BorrowedValue::Int(number) => write_to(scratch, number),
            BorrowedValue::UInt(number) => write_to(scratch, number),
            BorrowedValue::Float(_) | BorrowedValue::List(_) | BorrowedValue::Map(_) => {
                scratch.push_str(&self.to_json());
            }
        }
        see(scratch)
    }

    /// The value as a number, if it is one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "comparisons of huge integers with fractions are approximate"
    )]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            BorrowedValue::Int(number) => Some(*number as f64),
            BorrowedValue::UInt(number) => Some(*number as f64),
            BorrowedValue::Float(number) => Some(*number),
            BorrowedValue::Null
            | BorrowedValue::Bool(_)
            | BorrowedValue::Text(_)
            | BorrowedValue::List(_)
            | BorrowedValue::Map(_) => None,
        }
    }

    /// Bytes of text in the value, names included.
    pub fn text_bytes(&self) -> usize {
        match self {
            BorrowedValue::Text(text) => text.len(),
            BorrowedValue::List(items) => items.iter().map(BorrowedValue::text_bytes).sum(),
            BorrowedValue::Map(fields) => fields
                .iter()
                .map(|(name, value)| name.len() + value.text_bytes())
                .sum(),
            // A number's or a literal's share of the limit is its width in memory.
            BorrowedValue::Null
            | BorrowedValue::Bool(_)
            | BorrowedValue::Int(_)
            | BorrowedValue::UInt(_)
            | BorrowedValue::Float(_) => 8,
        }
    }

    /// Cuts text so that at most `budget` bytes remain; says whether it did.
    pub(crate) fn cut(&mut self, budget: usize) -> bool {
        match self {
            BorrowedValue::Text(text) => text::cut(text, budget),
            BorrowedValue::List(_) | BorrowedValue::Map(_) if self.text_bytes() > budget => {
                let mut json =
                    serde_json::to_string(self).expect("values serialise without I/O or failing keys");
                text::cut_string(&mut json, budget);
                *self = BorrowedValue::Text(json.into());
                true
            }
            BorrowedValue::List(_) | BorrowedValue::Map(_) => false,
            BorrowedValue::Null
            | BorrowedValue::Bool(_)
            | BorrowedValue::Int(_)
            | BorrowedValue::UInt(_)
            | BorrowedValue::Float(_) => false,
        }
    }
}

fn write_to(scratch: &mut String, number: &impl std::fmt::Display) {
    write!(scratch, "{number}").expect("writing to a String does not fail");
}

impl serde::Serialize for BorrowedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            BorrowedValue::Null => serializer.serialize_unit(),
            BorrowedValue::Bool(value) => serializer.serialize_bool(*value),
            BorrowedValue::Int(number) => serializer.serialize_i64(*number),
            BorrowedValue::UInt(number) => serializer.serialize_u64(*number),
            BorrowedValue::Float(number) => serializer.serialize_f64(*number),
            BorrowedValue::Text(text) => serializer.serialize_str(text),
            BorrowedValue::List(items) => serializer.collect_seq(items),
            BorrowedValue::Map(fields) => AsObject(fields).serialize(serializer),
        }
    }
}

/// Fields that serialise as a JSON object, in their order.
pub struct AsObject<'a>(pub &'a BorrowedFields<'a>);

impl serde::Serialize for AsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_sees_numbers_as_json_writes_them() {
        let mut scratch = String::new();
        for (value, text) in [
            (Value::Int(42), "42"),
            (Value::Float(3.5), "3.5"),
            (Value::Bool(true), "true"),
        ] {
            value.with_text(&mut scratch, |seen| assert_eq!(seen, text));
        }
    }
}
