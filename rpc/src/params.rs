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
mod required;
mod misfit;

use misfit::{Misfit, complaint, misfit, unexpected};
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
    let refused = |misfit: &Misfit, args: &str, kwargs: &str| {
        Fault::invalid_params(format!("{method}() {}", complaint::<P>(misfit, args, kwargs)))
    };
    bind_text(args, kwargs).or_else(|misfit| {
        let (args, kwargs) = match (repair::repaired(args), repair::repaired(kwargs)) {
            (None, None) => return Err(refused(&misfit, args, kwargs)),
            (fixed_args, fixed_kwargs) => (
                fixed_args.map_or(Cow::Borrowed(args), Cow::Owned),
                fixed_kwargs.map_or(Cow::Borrowed(kwargs), Cow::Owned),
            ),
        };
        bind_text(&args, &kwargs).map_err(|misfit| refused(&misfit, &args, &kwargs))
    })
}

fn bind_text<'de, P: Deserialize<'de>>(args: &'de str, kwargs: &'de str) -> Result<P, Misfit> {
    // Arguments can be long, and reading them only to hand them on as they are would cost as much as using them.
    if let Ok(raw) = P::deserialize(Raw([args, kwargs])) {
        return Ok(raw);
    }
    let positional = parse(args)?;
    let named = parse(kwargs)?;
    P::deserialize(Bound { positional, named })
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Misfit> {
    serde_json::from_str(text).map_err(|error| Misfit::Other(format!("got malformed arguments: {error}")))
}

/// The arguments by name, each with its place among them. The last of several with one name counts, as in Python.
#[derive(Default)]
struct Named<'de>(BTreeMap<String, (usize, &'de RawValue)>);

impl<'de> Deserialize<'de> for Named<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Named<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<'de>, A::Error> {
                let mut named = Named::default();
                while let Some((name, value)) = map.next_entry()? {
                    let place = named.0.len();
                    named.0.entry(name).or_insert((place, value)).1 = value;
                }
                Ok(named)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The texts of the arguments, of which [`RawParams`] can be made and nothing else.
struct Raw<'de>([&'de str; 2]);

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::Other(String::new()))
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
    named: Named<'de>,
}

impl<'de> Bound<'de> {
    fn no_names(&self) -> Result<(), Misfit> {
        let first = self.named.0.iter().min_by_key(|(_, (place, _))| *place);
        first.map_or(Ok(()), |(name, _)| Err(unexpected(name)))
    }

    fn exactly(&self, parameters: usize) -> Result<(), Misfit> {
        self.no_names()?;
        let given = self.positional.len();
        if given == parameters {
            Ok(())
        } else {
            Err(Misfit::TooMany { parameters, given })
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
        // Python complains of the first that is wrong.
        let mut wrong = None;
        for (name, (place, value)) in self.named.0 {
            let position = names.iter().position(|known| *known == name);
            let why = match position {
                Some(position) if position >= given => {
                    bound.push((Cow::Borrowed(names[position]), value));
                    continue;
                }
                Some(_) => Misfit::Other(format!("got multiple values for argument '{name}'")),
                None => unexpected(&name),
            };
            if wrong.as_ref().is_none_or(|(first, _)| place < *first) {
                wrong = Some((place, why));
            }
        }
        match wrong {
            Some((_, why)) => Err(why),
            None if given > names.len() => Err(Misfit::TooMany {
                parameters: names.len(),
                given,
            }),
            None => Ok(bound),
        }
    }
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
        if self.positional.is_empty() && self.named.0.is_empty() {
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
            return Err(Misfit::TooMany {
                parameters: 0,
                given: self.positional.len(),
            });
        }
        let named = self.named.0.into_iter();
        let named = named.map(|(name, (_, value))| (Cow::Owned(name), value));
        visitor.visit_map(Entries {
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
        visitor.visit_map(Entries {
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

struct Entries<'de, I> {
    values: I,
    current: Option<(Cow<'static, str>, &'de RawValue)>,
}

impl<'de, I: Iterator<Item = (Cow<'static, str>, &'de RawValue)>> MapAccess<'de> for Entries<'de, I> {
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

#[cfg(test)]
mod tests;
