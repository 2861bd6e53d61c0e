//! Which parameters of a struct have no default, for the wording of complaints. Serde does not tell; so the type is
//! given values of its own liking for all of its fields but one, and does or does not complain that this one is missing.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Misfit;

/// The parameters without a default. None if that cannot be found out, because the type likes no value that could be
/// thought of.
pub(super) fn required<P: DeserializeOwned>(names: &'static [&'static str]) -> Option<Vec<&'static str>> {
    let mut required = Vec::new();
    for name in names {
        let others = names
            .iter()
            .filter(|other| *other != name)
            .copied()
            .collect::<Vec<_>>();
        match P::deserialize(Wish::Fields(others)) {
            Ok(_) => {}
            Err(Misfit::Missing(missing)) if missing == *name => required.push(*name),
            Err(Misfit::Missing(_) | Misfit::TooMany { .. } | Misfit::Other(_)) => return None,
        }
    }
    Some(required)
}

/// Gives whatever is asked for.
enum Wish {
    /// A struct with these fields, of which each has what it wishes.
    Fields(Vec<&'static str>),
    /// The simplest value.
    Any,
}

macro_rules! simplest {
    ($($kind:ident => $visit:ident($($value:expr)?))+) => {$(
        fn $kind<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            visitor.$visit($($value)?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Wish {
    type Error = Misfit;

    simplest! {
        deserialize_bool => visit_bool(false)
        deserialize_i8 => visit_u64(1)
        deserialize_i16 => visit_u64(1)
        deserialize_i32 => visit_u64(1)
        deserialize_i64 => visit_u64(1)
        deserialize_i128 => visit_u64(1)
        deserialize_u8 => visit_u64(1)
        deserialize_u16 => visit_u64(1)
        deserialize_u32 => visit_u64(1)
        deserialize_u64 => visit_u64(1)
        deserialize_u128 => visit_u64(1)
        deserialize_f32 => visit_f64(1.0)
        deserialize_f64 => visit_f64(1.0)
        deserialize_char => visit_char('0')
        deserialize_str => visit_borrowed_str("")
        deserialize_string => visit_borrowed_str("")
        deserialize_bytes => visit_borrowed_bytes(&[])
        deserialize_byte_buf => visit_borrowed_bytes(&[])
        deserialize_any => visit_unit()
        deserialize_seq => visit_seq(Elements(0))
        deserialize_map => visit_map(Fields(Vec::new()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Self::Fields(_) => visitor.visit_some(self),
            Self::Any => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        // Text that stays text asks for it by a name that only its own deserializer knows.
        if name.starts_with('$') {
            let mut null = serde_json::Deserializer::from_str("null");
            return null
                .deserialize_newtype_struct(name, visitor)
                .map_err(serde::de::Error::custom);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Elements(count))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Elements(count))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_map(Fields(match self {
            Self::Fields(names) => names,
            Self::Any => names.to_vec(),
        }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let first: StrDeserializer<'_, Misfit> = variants.first().unwrap_or(&"").into_deserializer();
        visitor.visit_enum(first)
    }

    forward_to_deserialize_any! { unit unit_struct identifier ignored_any }
}

struct Elements(usize);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(left) = self.0.checked_sub(1) else {
            return Ok(None);
        };
        self.0 = left;
        seed.deserialize(Wish::Any).map(Some)
    }
}

struct Fields(Vec<&'static str>);

impl<'de> MapAccess<'de> for Fields {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(name) = self.0.pop() else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Misfit> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        seed.deserialize(Wish::Any)
    }
}
