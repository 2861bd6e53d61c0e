//! How a caller gives arguments: positional as a tuple, by name through [`Kw`], both through [`Args`], or as
//! ready-made JSON text through [`RawArgs`].

use serde::Serialize;
use serde::ser::Error as _;

/// Arguments in the two forms that Python's `f(*args, **kwargs)` knows, as JSON text.
///
/// Implemented by `()`, by tuples of up to eight values (positional), [`Kw`] (by name), [`Args`] (both) and
/// [`RawArgs`] (ready-made).
pub trait Arguments {
    /// Writes the arguments as JSON.
    ///
    /// # Errors
    ///
    /// When a value cannot be written as JSON, or [`Kw`] holds something that has no named fields.
    fn encode(self) -> Result<RawArgs, serde_json::Error>;
}

/// Arguments by name: the fields of a struct, or the entries of a map.
#[derive(Debug, Clone, Copy)]
pub struct Kw<T>(
    /// A struct or a map with text keys, or a reference to one.
    pub T,
);

/// Positional arguments followed by arguments by name: `Args((1,), Kw(&rest))`.
#[derive(Debug, Clone, Copy)]
pub struct Args<A, T>(
    /// The positional arguments: a tuple.
    pub A,
    /// The arguments by name.
    pub Kw<T>,
);

/// Arguments that are JSON text already. They are sent as they are and not checked: text that is not a JSON
/// array and a JSON object makes a request that servers refuse.
#[derive(Debug, Clone)]
pub struct RawArgs {
    /// A JSON array, such as `[14, 3]`.
    pub args: String,
    /// A JSON object, such as `{"y": 3}`.
    pub kwargs: String,
}

impl Arguments for RawArgs {
    fn encode(self) -> Result<RawArgs, serde_json::Error> {
        Ok(self)
    }
}

impl<T: Serialize> Arguments for Kw<T> {
    fn encode(self) -> Result<RawArgs, serde_json::Error> {
        Args((), self).encode()
    }
}

impl<A: Arguments, T: Serialize> Arguments for Args<A, T> {
    fn encode(self) -> Result<RawArgs, serde_json::Error> {
        let kwargs = serde_json::to_string(&self.1.0)?;
        if !kwargs.starts_with('{') {
            return Err(serde_json::Error::custom(
                "arguments by name must be a struct or a map",
            ));
        }
        Ok(RawArgs {
            kwargs,
            ..self.0.encode()?
        })
    }
}

impl Arguments for () {
    fn encode(self) -> Result<RawArgs, serde_json::Error> {
        Ok(positional("[]".to_owned()))
    }
}

macro_rules! tuples {
    ($(($($value:ident),+))+) => {$(
        impl<$($value: Serialize),+> Arguments for ($($value,)+) {
            fn encode(self) -> Result<RawArgs, serde_json::Error> {
                serde_json::to_string(&self).map(positional)
            }
        }
    )+};
}

tuples! {
    (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

fn positional(args: String) -> RawArgs {
    RawArgs {
        args,
        kwargs: "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(arguments: impl Arguments, args: &str, kwargs: &str) {
        let text = arguments.encode().unwrap();
        assert_eq!((text.args.as_str(), text.kwargs.as_str()), (args, kwargs));
    }

    #[test]
    fn arguments_are_written_as_python_would_pass_them() {
        let named = BTreeMap::from([("y", 3)]);
        check((), "[]", "{}");
        check((14,), "[14]", "{}");
        check((14, "é", None::<u8>), r#"[14,"é",null]"#, "{}");
        check(Kw(&named), "[]", r#"{"y":3}"#);
        check(Args((14,), Kw(&named)), "[14]", r#"{"y":3}"#);
        check(
            RawArgs {
                args: "[1 ]".into(),
                kwargs: "{ }".into(),
            },
            "[1 ]",
            "{ }",
        );
    }

    #[test]
    fn arguments_by_name_need_names() {
        assert!(Kw(3).encode().is_err());
        assert!(Args((1,), Kw((2, 3))).encode().is_err());
    }
}
