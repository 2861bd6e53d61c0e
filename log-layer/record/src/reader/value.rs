//! Values and their names.

use super::Reader;
use crate::flags::{Flag, Flags};
use crate::json::{Number, Stop};
use crate::value::{BorrowedFields, BorrowedValue};
use crate::{limits, text};

impl<'a> Reader<'a> {
    /// A value. Whatever is JSON can be read: what cannot be represented is repaired and flagged.
    #[inline]
    pub(super) fn value(&mut self, depth: usize, flags: &mut Flags) -> Result<BorrowedValue<'a>, Stop> {
        match self.json.peek() {
            Some(b'"') => Ok(BorrowedValue::Text(self.json.string()?.text(flags))),
            Some(b'{' | b'[') if depth >= limits::NESTING => {
                flags.set(Flag::Nested);
                Ok(BorrowedValue::Text(self.json.skip()?.into()))
            }
            Some(b'{') => self.fields(depth + 1, flags).map(BorrowedValue::Map),
            Some(b'[') => self.list(depth + 1, flags).map(BorrowedValue::List),
            Some(b't') => self.json.word("true").map(|()| BorrowedValue::Bool(true)),
            Some(b'f') => self.json.word("false").map(|()| BorrowedValue::Bool(false)),
            Some(b'n') => self.json.word("null").map(|()| BorrowedValue::Null),
            _ => self.json.number().map(|number| exact(&number, flags)),
        }
    }

    fn list(&mut self, depth: usize, flags: &mut Flags) -> Result<Vec<BorrowedValue<'a>>, Stop> {
        let mut items = Vec::new();
        let mut more = self.json.first_item()?;
        while more {
            items.push(self.value(depth, flags)?);
            more = self.json.next_item()?;
        }
        items.shrink_to_fit();
        Ok(items)
    }

    /// An object's entries; of a repeated name the last value stays, at the first one's place.
    pub(super) fn fields(&mut self, depth: usize, flags: &mut Flags) -> Result<BorrowedFields<'a>, Stop> {
        if !self.keeps {
            self.json.skip()?;
            return Ok(Vec::new());
        }
        let start = self.open_fields.len();
        let mut next = self.json.first_name()?;
        while let Some(literal) = next {
            let mut name = literal.text(flags);
            if text::cut(&mut name, limits::NAME_BYTES) {
                flags.set(Flag::NameTruncated);
            }
            let known = self.open_fields[start..]
                .iter()
                .position(|(known, _)| *known == name);
            match known {
                Some(index) => {
                    flags.set(Flag::DuplicateField);
                    self.open_fields[start + index].1 = self.value(depth, flags)?;
                }
                None if self.open_fields.len() - start == limits::FIELDS => {
                    flags.set(Flag::FieldsDropped);
                    self.json.skip()?;
                }
                None => {
                    let value = self.value(depth, flags)?;
                    self.open_fields.push((name, value));
                }
            }
            next = self.json.next_name()?;
        }
        Ok(self.open_fields.drain(start..).collect())
    }
}

/// Numbers that fit are exact; integers beyond 64 bits and floats beyond all floats stay text.
#[inline]
fn exact<'a>(number: &Number<'a>, flags: &mut Flags) -> BorrowedValue<'a> {
    if let Some(number) = number.as_i64() {
        return BorrowedValue::Int(number);
    }
    if let Some(number) = number.as_u64() {
        return BorrowedValue::UInt(number);
    }
    let float = number.as_f64();
    if float.is_finite() && !number.is_integer() {
        return BorrowedValue::Float(float);
    }
    flags.set(Flag::BigNumber);
    BorrowedValue::Text(number.text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn read(json: &str) -> (Value, Flags) {
        let mut flags = Flags::default();
        let value = Reader::new(json).value(0, &mut flags).unwrap();
        (value.into_owned(), flags)
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
}
