//! Values and their names.

use log_record::{Fields, Flag, Flags, Value, limits};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text;

/// Reads one JSON value. Never fails on valid JSON: what cannot be represented is repaired and flagged.
pub(super) fn read_value(raw: &RawValue, depth: usize, flags: &mut Flags) -> Value {
    let json = raw.get();
    match json.as_bytes().first() {
        Some(b'"') => Value::Text(text::unquote(json, flags).into()),
        Some(b'{' | b'[') if depth >= limits::NESTING => {
            flags.set(Flag::Nested);
            Value::Text(json.to_owned().into())
        }
        Some(b'{') => match read_map(raw) {
            Some(entries) => Value::Map(read_fields(entries, depth + 1, flags)),
            None => Value::Text(json.to_owned().into()),
        },
        Some(b'[') => match serde_json::from_str::<RawList<'_>>(json) {
            Ok(list) => Value::List(
                list.0
                    .into_iter()
                    .map(|item| read_value(item, depth + 1, flags))
                    .collect(),
            ),
            Err(_) => Value::Text(json.to_owned().into()),
        },
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => read_number(json, flags),
    }
}

/// Bytes of text in the value, names included.
pub(super) fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(text_bytes).sum(),
        Value::Map(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + text_bytes(value))
            .sum(),
        // A number's or a literal's share of the limit is its width in memory.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => 8,
    }
}

/// Cuts text so that at most `budget` bytes remain; says whether it did.
pub(super) fn cut_value(value: &mut Value, budget: usize) -> bool {
    match value {
        Value::Text(text) => text::cut(text.to_mut(), budget),
        Value::List(_) | Value::Map(_) if text_bytes(value) > budget => {
            let mut json =
                serde_json::to_string(value).expect("values serialise without I/O or failing keys");
            text::cut(&mut json, budget);
            *value = Value::Text(json.into());
            true
        }
        Value::List(_) | Value::Map(_) => false,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => false,
    }
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
    Value::Text(json.to_owned().into())
}

/// The entries of a JSON object, values unread. `None` if it is not an object.
pub(super) fn read_map(raw: &RawValue) -> Option<Vec<(&RawValue, &RawValue)>> {
    serde_json::from_str::<RawMap<'_>>(raw.get())
        .ok()
        .map(|map| map.0)
}

/// Reads named values; of a repeated name the last value stays, at the first one's place.
pub(super) fn read_fields(entries: Vec<(&RawValue, &RawValue)>, depth: usize, flags: &mut Flags) -> Fields {
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
        let value = read_value(value, depth, flags);
        match known {
            Some(index) => {
                flags.set(Flag::DuplicateField);
                fields[index].1 = value;
            }
            None => fields.push((name.into(), value)),
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
