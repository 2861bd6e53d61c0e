//! A field's value. Keeps its JSON type; integers are exact up to 64 bits, and what is larger stays text.

use std::fmt::Write as _;

use serde::ser::{SerializeMap, Serializer};

use crate::text;

/// A value as JSON knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
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
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Named values.
    Map(Fields),
}

/// Named values in the order they were written; a name appears once.
pub type Fields = Vec<(String, Value)>;

impl Value {
    /// The text that a search sees: text as it is, everything else as JSON writes it.
    pub fn with_text<R>(&self, scratch: &mut String, see: impl FnOnce(&str) -> R) -> R {
        scratch.clear();
        match self {
            Value::Text(text) => return see(text),
            Value::Null => scratch.push_str("null"),
            Value::Bool(true) => scratch.push_str("true"),
            Value::Bool(false) => scratch.push_str("false"),
            Value::Int(number) => write_to(scratch, number),
            Value::UInt(number) => write_to(scratch, number),
            Value::Float(_) | Value::List(_) | Value::Map(_) => {
                scratch.push_str(
                    &serde_json::to_string(self).expect("values serialise without I/O or failing keys"),
                );
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
            Value::Int(number) => Some(*number as f64),
            Value::UInt(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Bytes of text in the value, names included.
    pub fn text_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Value::text_bytes).sum(),
            Value::Map(fields) => fields
                .iter()
                .map(|(name, value)| name.len() + value.text_bytes())
                .sum(),
            // A number's or a literal's share of the limit is its width in memory.
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => 8,
        }
    }

    /// Cuts text so that at most `budget` bytes remain; says whether it did.
    pub(crate) fn cut(&mut self, budget: usize) -> bool {
        match self {
            Value::Text(text) => text::cut(text, budget),
            Value::List(_) | Value::Map(_) if self.text_bytes() > budget => {
                let mut json =
                    serde_json::to_string(self).expect("values serialise without I/O or failing keys");
                text::cut(&mut json, budget);
                *self = Value::Text(json);
                true
            }
            Value::List(_) | Value::Map(_) => false,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => false,
        }
    }
}

fn write_to(scratch: &mut String, number: &impl std::fmt::Display) {
    write!(scratch, "{number}").expect("writing to a String does not fail");
}

impl serde::Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::UInt(number) => serializer.serialize_u64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(fields) => AsObject(fields).serialize(serializer),
        }
    }
}

/// Fields that serialise as a JSON object, in their order.
pub struct AsObject<'a>(pub &'a Fields);

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
