//! The parameters of a method, read off the type that its arguments are bound to, for people who ask what they can
//! call. The type is asked to deserialize itself, tells what it wants, and gets nothing.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Misfit, RAW_PARAMS};

/// What a method can be called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameters {
    /// Positional or by name.
    Named(&'static [&'static str]),
    /// So many, positional only.
    Positional(usize),
    /// `*args`
    AnyPositional,
    /// `**kwargs`
    AnyNamed,
    /// `*args, **kwargs`
    Any,
}

impl Parameters {
    pub(crate) fn of<P: DeserializeOwned>() -> Self {
        let mut wanted = Self::Positional(1);
        // The answer is always an error: all that is asked is the question.
        let _ = P::deserialize(Question(&mut wanted));
        wanted
    }

    /// The names of the parameters, if they have any.
    pub(crate) fn names(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Named(names) => Some(names),
            Self::Positional(0) => Some(&[]),
            Self::Positional(_) | Self::AnyPositional | Self::AnyNamed | Self::Any => None,
        }
    }
}

/// As Python would write it.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => write!(f, "({})", names.join(", ")),
            Self::Positional(0) => f.write_str("()"),
            Self::Positional(count) => {
                f.write_str("(")?;
                (1..=*count).try_for_each(|number| write!(f, "_{number}, "))?;
                f.write_str("/)")
            }
            Self::AnyPositional => f.write_str("(*args)"),
            Self::AnyNamed => f.write_str("(**kwargs)"),
            Self::Any => f.write_str("(*args, **kwargs)"),
        }
    }
}

struct Question<'a>(&'a mut Parameters);

impl Question<'_> {
    fn answer<T>(self, parameters: Parameters) -> Result<T, Misfit> {
        *self.0 = parameters;
        Err(Misfit::Other(String::new()))
    }
}

impl<'de> Deserializer<'de> for Question<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::Positional(1))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::Positional(0))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::Positional(0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::AnyPositional)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::Positional(count))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        _: V,
    ) -> Result<V::Value, Misfit> {
        self.answer(Parameters::Positional(count))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.answer(Parameters::AnyNamed)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Misfit> {
        self.answer(if name == RAW_PARAMS {
            Parameters::Any
        } else {
            Parameters::Named(fields)
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf identifier
        newtype_struct enum ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::super::RawParams;
    use super::*;

    #[track_caller]
    fn check<P: DeserializeOwned>(expected: &str) {
        assert_eq!(Parameters::of::<P>().to_string(), expected);
    }

    #[test]
    fn a_type_tells_the_parameters_it_takes() {
        #[derive(Deserialize)]
        struct Page {
            #[serde(rename = "q", default)]
            _q: String,
            #[serde(rename = "limit")]
            _limit: Option<u8>,
        }
        check::<Page>("(q, limit)");
        check::<Option<Page>>("(q, limit)");
        check::<()>("()");
        check::<(u8, String)>("(_1, _2, /)");
        check::<String>("(_1, /)");
        check::<Value>("(_1, /)");
        check::<Vec<u8>>("(*args)");
        check::<BTreeMap<String, u8>>("(**kwargs)");
        check::<RawParams>("(*args, **kwargs)");
    }
}
