//! Arguments bound to a handler's parameter exactly as Python binds `f(*args, **kwargs)`, and refused in Python's
//! words. The parameter's type is the signature:
//!
//! | type | as in Python |
//! |---|---|
//! | struct | `def f(x, y)`; a field with `#[serde(default)]` or of type `Option` has a default |
//! | tuple | positional only |
//! | sequence | `*args` |
//! | map, struct with `#[serde(flatten)]` | `**kwargs` |
//! | `()` | no parameter |
//! | anything else | one positional parameter |
//!
//! Arguments stay text until the field that takes them is known. A field with an alias counts as two here, since
//! serde lists both names, so parameter structs have none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use crate::{Fault, repair};

mod signature;

pub(crate) use signature::Parameters;

/// All arguments of a call as the JSON text they came as, for a handler that binds them itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename = "$rpc::RawParams")]
pub struct RawParams {
    /// A JSON array: the positional arguments.
    pub args: Box<str>,
    /// A JSON object: the arguments by name.
    pub kwargs: Box<str>,
}

/// The name by which [`RawParams`] asks for all arguments, as serde tells it.
const RAW_PARAMS: &str = "$rpc::RawParams";

/// Binds the arguments of a call of `method`; half surrogate pairs are repaired if they are all that is wrong.
///
/// # Errors
///
/// A fault with code 3.
pub(crate) fn bind<P: DeserializeOwned>(method: &str, args: &str, kwargs: &str) -> Result<P, Fault> {
    bind_text(method, args, kwargs).or_else(|fault| {
        let (args, kwargs) = match (repair::repaired(args), repair::repaired(kwargs)) {
            (None, None) => return Err(fault),
            (fixed_args, fixed_kwargs) => (
                fixed_args.map_or(Cow::Borrowed(args), Cow::Owned),
                fixed_kwargs.map_or(Cow::Borrowed(kwargs), Cow::Owned),
            ),
        };
        bind_text(method, &args, &kwargs)
    })
}

fn bind_text<'de, P: Deserialize<'de>>(method: &str, args: &'de str, kwargs: &'de str) -> Result<P, Fault> {
    // Arguments can be long, and reading them only to hand them on as they are would cost as much as using them.
    if let Ok(raw) = P::deserialize(Raw([args, kwargs])) {
        return Ok(raw);
    }
    let bound = parse(args).and_then(|positional| {
        let named = parse(kwargs)?;
        P::deserialize(Bound { positional, named })
    });
    bound.map_err(|Misfit(text)| Fault::invalid_params(format!("{method}() {text}")))
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Misfit> {
    serde_json::from_str(text).map_err(|error| Misfit(format!("got malformed arguments: {error}")))
}

/// Why the arguments do not fit, without the method's name.
#[derive(Debug)]
struct Misfit(String);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("missing 1 required positional argument: '{field}'"))
    }
}

/// The texts of the arguments, of which [`RawParams`] can be made and nothing else.
struct Raw<'de>([&'de str; 2]);

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit(String::new()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == RAW_PARAMS {
            visitor.visit_seq(SeqDeserializer::new(self.0.into_iter()))
        } else {
            self.deserialize_any(visitor)
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf identifier
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum ignored_any
    }
}

struct Bound<'de> {
    positional: Vec<&'de RawValue>,
    named: BTreeMap<String, &'de RawValue>,
}

impl<'de> Bound<'de> {
    fn no_names(&self) -> Result<(), Misfit> {
        self.named
            .keys()
            .next()
            .map_or(Ok(()), |name| Err(unexpected(name)))
    }

    fn exactly(&self, parameters: usize) -> Result<(), Misfit> {
        self.no_names()?;
        let given = self.positional.len();
        if given == parameters {
            Ok(())
        } else {
            Err(wrong_number(parameters, given))
        }
    }

    /// The JSON of the only argument.
    fn only(self) -> Result<serde_json::Deserializer<serde_json::de::StrRead<'de>>, Misfit> {
        self.exactly(1)?;
        Ok(serde_json::Deserializer::from_str(self.positional[0].get()))
    }

    /// The arguments under the names of the parameters, in Python's order of complaints.
    fn fields(
        self,
        names: &'static [&'static str],
    ) -> Result<Vec<(Cow<'static, str>, &'de RawValue)>, Misfit> {
        let given = self.positional.len();
        let mut bound: Vec<(Cow<'static, str>, &RawValue)> = names
            .iter()
            .map(|name| Cow::Borrowed(*name))
            .zip(self.positional)
            .collect();
        for (name, value) in self.named {
            let position = names
                .iter()
                .position(|known| *known == name)
                .ok_or_else(|| unexpected(&name))?;
            if position < given {
                return Err(Misfit(format!("got multiple values for argument '{name}'")));
            }
            bound.push((Cow::Borrowed(names[position]), value));
        }
        if given > names.len() {
            Err(wrong_number(names.len(), given))
        } else {
            Ok(bound)
        }
    }
}

fn unexpected(name: &str) -> Misfit {
    Misfit(format!("got an unexpected keyword argument '{name}'"))
}

fn wrong_number(parameters: usize, given: usize) -> Misfit {
    let plural = if parameters == 1 { "" } else { "s" };
    let were = if given == 1 { "was" } else { "were" };
    Misfit(format!(
        "takes {parameters} positional argument{plural} but {given} {were} given"
    ))
}

impl<'de> Deserializer<'de> for Bound<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.only()?
            .deserialize_any(visitor)
            .map_err(|error| misfit("1", &error))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.only()?
            .deserialize_newtype_struct(name, visitor)
            .map_err(|error| misfit("1", &error))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.only()?
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| misfit("1", &error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.positional.is_empty() && self.named.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.exactly(0)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.no_names()?;
        visitor.visit_seq(Positional {
            values: self.positional.into_iter(),
            position: 0,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, parameters: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.exactly(parameters)?;
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        parameters: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_tuple(parameters, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if !self.positional.is_empty() {
            return Err(wrong_number(0, self.positional.len()));
        }
        let named = self
            .named
            .into_iter()
            .map(|(name, value)| (Cow::Owned(name), value));
        visitor.visit_map(Named {
            values: named,
            current: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_map(Named {
            values: self.fields(fields)?.into_iter(),
            current: None,
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf identifier
    }
}

struct Positional<'de> {
    values: std::vec::IntoIter<&'de RawValue>,
    position: usize,
}

impl<'de> SeqAccess<'de> for Positional<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.position += 1;
        self.values
            .next()
            .map(|value| decode(&self.position, value, seed))
            .transpose()
    }
}

struct Named<'de, I> {
    values: I,
    current: Option<(Cow<'static, str>, &'de RawValue)>,
}

impl<'de, I: Iterator<Item = (Cow<'static, str>, &'de RawValue)>> MapAccess<'de> for Named<'de, I> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        self.current = self.values.next();
        let Some((name, _)) = &self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Misfit> = name.as_ref().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, value) = self
            .current
            .take()
            .expect("serde asks for a value only after its key");
        decode(&format_args!("'{name}'"), value, seed)
    }
}

fn decode<'de, S: DeserializeSeed<'de>>(
    argument: &dyn fmt::Display,
    value: &'de RawValue,
    seed: S,
) -> Result<S::Value, Misfit> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    seed.deserialize(&mut json)
        .map_err(|error| misfit(argument, &error))
}

fn misfit(argument: impl fmt::Display, error: &serde_json::Error) -> Misfit {
    Misfit(format!("argument {argument}: {error}"))
}

#[cfg(test)]
mod tests;
