//! A field's value. Keeps its JSON type; integers are exact up to 64 bits, and what is larger stays text.

use std::fmt::Write as _;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::flags::{Flag, Flags};
use crate::{limits, text};

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
    /// Reads one JSON value. Never fails on valid JSON: what cannot be represented is repaired and flagged.
    pub(crate) fn read(raw: &RawValue, depth: usize, flags: &mut Flags) -> Value {
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'"') => Value::Text(text::unquote(json, flags)),
            Some(b'{' | b'[') if depth >= limits::NESTING => {
                flags.set(Flag::Nested);
                Value::Text(json.to_owned())
            }
            Some(b'{') => match read_map(raw) {
                Some(entries) => Value::Map(read_fields(entries, depth + 1, flags)),
                None => Value::Text(json.to_owned()),
            },
            Some(b'[') => match serde_json::from_str::<RawList<'_>>(json) {
                Ok(list) => Value::List(
                    list.0
                        .into_iter()
                        .map(|item| Value::read(item, depth + 1, flags))
                        .collect(),
                ),
                Err(_) => Value::Text(json.to_owned()),
            },
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            _ => read_number(json, flags),
        }
    }

    /// The value that `json` is, if it is what [`Value::to_json`] wrote.
    pub fn from_json(json: &str) -> Option<Value> {
        let raw = serde_json::from_str::<&RawValue>(json).ok()?;
        Some(Value::read(raw, 0, &mut Flags::default()))
    }

    /// The value as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("values serialise without I/O or failing keys")
    }

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
            Value::Int(number) => Some(*number as f64),
            Value::UInt(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Bytes of text in the value, names included.
    pub(crate) fn text_bytes(&self) -> usize {
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

/// Numbers that fit are exact; integers beyond 64 bits and floats beyond f64 stay text.
fn read_number(json: &str, flags: &mut Flags) -> Value {
    let integer = !json.contains(['.', 'e', 'E']);
    if integer && json != "-0" {
        if let Ok(number) = json.parse() {
            return Value::Int(number);
        }
        if let Ok(number) = json.parse() {
            return Value::UInt(number);
        }
    } else if let Some(number) = json.parse().ok().filter(|number: &f64| number.is_finite()) {
        return Value::Float(number);
    }
    flags.set(Flag::BigNumber);
    Value::Text(json.to_owned())
}

/// The entries of a JSON object, values unread. `None` if it is not an object.
pub(crate) fn read_map(raw: &RawValue) -> Option<Vec<(&RawValue, &RawValue)>> {
    serde_json::from_str::<RawMap<'_>>(raw.get())
        .ok()
        .map(|map| map.0)
}

/// Reads named values; of a repeated name the last value stays, at the first one's place.
pub(crate) fn read_fields(entries: Vec<(&RawValue, &RawValue)>, depth: usize, flags: &mut Flags) -> Fields {
    let mut fields = Fields::with_capacity(entries.len().min(limits::FIELDS));
    for (name, value) in entries {
        let mut name = text::unquote(name.get(), flags);
        if text::cut(&mut name, limits::NAME_BYTES) {
            flags.set(Flag::NameTruncated);
        }
        let known = fields.iter().position(|(known, _)| *known == name);
        if known.is_none() && fields.len() == limits::FIELDS {
            flags.set(Flag::FieldsDropped);
            continue;
        }
        let value = Value::read(value, depth, flags);
        match known {
            Some(index) => {
                flags.set(Flag::DuplicateField);
                fields[index].1 = value;
            }
            None => fields.push((name, value)),
        }
    }
    fields
}

struct RawMap<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for RawMap<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawMap<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMap<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawMap(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

struct RawList<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for RawList<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RawList<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawList<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(RawList(items))
            }
        }
        deserializer.deserialize_seq(Items)
    }
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

    fn read(json: &str) -> (Value, Flags) {
        let mut flags = Flags::default();
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        (Value::read(raw, 0, &mut flags), flags)
    }

    #[track_caller]
    fn check(json: &str, expected: Value) {
        let (value, flags) = read(json);
        assert_eq!(value, expected, "{json}");
        assert!(flags.is_empty(), "{json}: {flags:?}");
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }

    #[track_caller]
    fn check_flagged(json: &str, expected: Value, flag: Flag) {
        let (value, flags) = read(json);
        assert_eq!(value, expected, "{json}");
        assert!(flags.has(flag), "{json}: {flags:?}");
    }

    #[test]
    fn values_keep_type_and_exactness() {
        check("null", Value::Null);
        check("true", Value::Bool(true));
        check("9007199254740993", Value::Int(9_007_199_254_740_993));
        check("-9223372036854775808", Value::Int(i64::MIN));
        check("18446744073709551615", Value::UInt(u64::MAX));
        check("3.5", Value::Float(3.5));
        check("-0.0", Value::Float(-0.0));
        check(r#""登录""#, Value::Text("登录".into()));
        check(
            r#"[1,"a",{"b":[]}]"#,
            Value::List(vec![
                Value::Int(1),
                Value::Text("a".into()),
                Value::Map(vec![("b".into(), Value::List(vec![]))]),
            ]),
        );
    }

    #[test]
    fn what_does_not_fit_is_kept_as_text_and_flagged() {
        check_flagged(
            "18446744073709551616",
            Value::Text("18446744073709551616".into()),
            Flag::BigNumber,
        );
        check_flagged("1e400", Value::Text("1e400".into()), Flag::BigNumber);
        check_flagged(
            r#"{"a":1,"b":2,"a":3}"#,
            Value::Map(vec![("a".into(), Value::Int(3)), ("b".into(), Value::Int(2))]),
            Flag::DuplicateField,
        );
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert!(read(&deep).1.has(Flag::Nested));
        let wide = format!(
            "{{{}}}",
            (0..300)
                .map(|i| format!("\"f{i}\":{i}"))
                .collect::<Vec<_>>()
                .join(",")
        );
        let (value, flags) = read(&wide);
        assert!(matches!(value, Value::Map(fields) if fields.len() == limits::FIELDS));
        assert!(flags.has(Flag::FieldsDropped));
    }

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
