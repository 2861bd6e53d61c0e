//! Values of the crate valuable as JSON, in the shapes that serde gives them: structs and maps as objects, lists and
//! tuples as arrays, a struct of one unnamed field as that field, a variant as its name or as an object of one entry.
//!
//! Promises: one valid JSON value, at most [`DEPTH`] deep and a little longer than its limit; what has no place is left
//! out and marked as cut; entries named like secrets are redacted, however deep. Knows nothing of events.

use std::error::Error;

use valuable::{Enumerable, Fields, NamedValues, Value, Visit};

use crate::encode::Json;
use crate::redact::{REDACTED, is_secret};

/// Structures inside each other beyond this are cut.
const DEPTH: usize = 16;

const ARRAY: (&str, &str) = ("[", "]");
const OBJECT: (&str, &str) = ("{", "}");

/// Writes the value.
pub(crate) fn write(json: &mut Json<'_>, value: Value<'_>) {
    Inside::new(json, DEPTH).any(value);
}

/// The inside of an object or an array.
struct Inside<'j, 'o> {
    json: &'j mut Json<'o>,
    /// How many more structures may be inside this one.
    depth: usize,
    /// Nothing is in it yet.
    empty: bool,
}

impl<'j, 'o> Inside<'j, 'o> {
    fn new(json: &'j mut Json<'o>, depth: usize) -> Inside<'j, 'o> {
        Inside {
            json,
            depth,
            empty: true,
        }
    }

    /// Writes a value, whatever is around it.
    fn any(&mut self, value: Value<'_>) {
        let json = &mut *self.json;
        match value {
            Value::Bool(value) => json.plain(value),
            Value::I8(value) => json.plain(value),
            Value::I16(value) => json.plain(value),
            Value::I32(value) => json.plain(value),
            Value::I64(value) => json.plain(value),
            Value::Isize(value) => json.plain(value),
            Value::U8(value) => json.plain(value),
            Value::U16(value) => json.plain(value),
            Value::U32(value) => json.plain(value),
            Value::U64(value) => json.plain(value),
            Value::Usize(value) => json.plain(value),
            Value::F32(value) => json.float(value.into()),
            Value::F64(value) => json.float(value),
            Value::I128(value) => json.quoted(format_args!("{value}")),
            Value::U128(value) => json.quoted(format_args!("{value}")),
            Value::Char(value) => json.quoted(format_args!("{value}")),
            Value::String(value) => json.text(value),
            Value::Path(value) => json.quoted(format_args!("{}", value.display())),
            Value::Unit => json.plain(()),
            Value::Error(value) => json.error(value, causes(value)),
            _ if self.depth == 0 => json.left_out(),
            Value::Listable(value) => _ = self.nested(ARRAY, |inside| value.visit(inside)),
            Value::Tuplable(value) => _ = self.nested(ARRAY, |inside| value.visit(inside)),
            Value::Mappable(value) => _ = self.nested(OBJECT, |inside| value.visit(inside)),
            Value::Structable(value) => {
                let around = brackets(value.definition().fields());
                _ = self.nested(around, |inside| value.visit(inside));
            }
            Value::Enumerable(value) => self.variant(value),
            _ => json.quoted(format_args!("{value:?}")),
        }
    }

    /// Writes a structure; returns whether it is empty.
    fn nested(&mut self, (open, close): (&str, &str), visit: impl FnOnce(&mut dyn Visit)) -> bool {
        self.json.punctuation(open);
        let mut inside = Inside::new(self.json, self.depth - 1);
        visit(&mut inside);
        let empty = inside.empty;
        if empty && open.is_empty() {
            // There was no room for the only one.
            self.json.left_out();
            return false;
        }
        self.json.punctuation(close);
        empty
    }

    fn variant(&mut self, value: &dyn Enumerable) {
        let variant = value.variant();
        let Some(mark) = self.json.room_for(variant.name().len()) else {
            return self.json.left_out();
        };
        self.json.punctuation("{");
        self.json.text(variant.name());
        self.json.punctuation(":");
        if self.nested(brackets(variant.fields()), |inside| value.visit(inside)) {
            self.json.back_to(mark);
            self.json.text(variant.name());
        } else {
            self.json.punctuation("}");
        }
    }

    /// One entry of an object, or of an array if it has no name.
    fn entry(&mut self, name: Option<&str>, value: Value<'_>) {
        if self.json.room_for(name.map_or(0, str::len)).is_none() {
            return;
        }
        if !self.empty {
            self.json.punctuation(",");
        }
        self.empty = false;
        if let Some(name) = name {
            self.json.text(name);
            self.json.punctuation(":");
            if is_secret(name) {
                return self.json.text(REDACTED);
            }
        }
        self.any(value);
    }
}

impl Visit for Inside<'_, '_> {
    fn visit_value(&mut self, value: Value<'_>) {
        self.entry(None, value);
    }

    fn visit_entry(&mut self, key: Value<'_>, value: Value<'_>) {
        match key.as_str() {
            Some(name) => self.entry(Some(name), value),
            None => self.entry(Some(&format!("{key:?}")), value),
        }
    }

    fn visit_named_fields(&mut self, named: &NamedValues<'_>) {
        for (field, value) in named {
            self.entry(Some(field.name()), *value);
        }
    }

    fn visit_unnamed_fields(&mut self, values: &[Value<'_>]) {
        for value in values {
            self.entry(None, *value);
        }
    }
}

fn brackets(fields: &Fields<'_>) -> (&'static str, &'static str) {
    match fields {
        Fields::Named(_) => OBJECT,
        Fields::Unnamed(1) => ("", ""),
        Fields::Unnamed(_) => ARRAY,
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use valuable::Valuable;

    use super::*;
    use crate::encode;

    #[derive(Valuable)]
    struct User<'a> {
        name: &'a str,
        id: Id,
        password: &'a str,
        roles: Vec<Role>,
        limits: BTreeMap<u16, Option<f64>>,
        place: (i8, bool),
    }

    #[derive(Valuable)]
    struct Id(u64);

    #[derive(Valuable)]
    enum Role {
        Reader,
        Owner { since: u32 },
        Other(char),
        Range(u8, u8),
    }

    /// So many lists inside each other.
    struct Deep(usize);

    impl Valuable for Deep {
        fn as_value(&self) -> Value<'_> {
            Value::Listable(self)
        }

        fn visit(&self, visit: &mut dyn Visit) {
            if self.0 > 1 {
                visit.visit_value(Deep(self.0 - 1).as_value());
            }
        }
    }

    impl valuable::Listable for Deep {
        fn size_hint(&self) -> (usize, Option<usize>) {
            (1, None)
        }
    }

    fn written(value: &dyn Valuable, stop: usize) -> (String, bool) {
        let mut out = Vec::new();
        let cut = encode::value(&mut out, stop, |json| write(json, value.as_value()));
        (String::from_utf8(out).unwrap(), cut)
    }

    #[track_caller]
    fn check(value: &dyn Valuable, expected: &str) {
        assert_eq!(written(value, usize::MAX), (expected.to_owned(), false));
    }

    fn user(name: &str) -> User<'_> {
        User {
            name,
            id: Id(u64::MAX),
            password: "hunter2",
            roles: vec![
                Role::Reader,
                Role::Owner { since: 7 },
                Role::Other('x'),
                Role::Range(1, 2),
            ],
            limits: BTreeMap::from([(1, Some(f64::NAN)), (2, None)]),
            place: (-1, true),
        }
    }

    #[test]
    fn structures_are_what_serde_makes_of_them_and_secrets_inside_are_redacted() {
        check(
            &user("a\"b"),
            concat!(
                r#"{"name":"a\"b","id":18446744073709551615,"password":"[redacted]","#,
                r#""roles":["Reader",{"Owner":{"since":7}},{"Other":"x"},{"Range":[1,2]}],"#,
                r#""limits":{"1":"NaN","2":null},"place":[-1,true]}"#
            ),
        );
        check(&Vec::<u8>::new(), "[]");
        check(&7_u8, "7");
    }

    #[test]
    fn what_is_too_deep_is_left_out() {
        check(
            &Deep(DEPTH),
            &format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        );
        let (deeper, cut) = written(&Deep(1000), usize::MAX);
        assert_eq!(deeper, format!("{}\"…\"{}", "[".repeat(DEPTH), "]".repeat(DEPTH)));
        assert!(cut);
    }

    #[test]
    fn wherever_it_is_cut_it_is_one_value_and_hardly_longer() {
        let user = user("somebody");
        let whole = written(&user, usize::MAX).0.len();
        for stop in 0..whole {
            let (text, cut) = written(&user, stop);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            assert!(cut, "{stop}: {text}");
            assert!(text.len() <= stop + 40, "{stop}: {text}");
        }
        let (text, cut) = written(&vec!["x"; 1_000_000], 1000);
        assert!(cut && text.len() < 1040, "{}", text.len());
    }
}
