//! Arguments bind as Python binds them; the wording is Python's too.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::python::Python;

#[derive(Debug, PartialEq, Deserialize)]
struct Sum {
    x: i64,
    y: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Page {
    q: String,
    #[serde(default)]
    limit: u8,
    cursor: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Color {
    Red,
}

#[track_caller]
fn check<P: DeserializeOwned + PartialEq + std::fmt::Debug>(args: &str, kwargs: &str, expected: P) {
    assert_eq!(bind::<P>("f", args, kwargs).unwrap(), expected);
}

#[track_caller]
fn refused<P: DeserializeOwned + std::fmt::Debug>(args: &str, kwargs: &str, expected: &str) {
    let fault = bind::<P>("sum", args, kwargs).unwrap_err();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (crate::code::INVALID_PARAMS, expected)
    );
}

#[test]
fn arguments_are_bound_by_position_and_by_name() {
    check("[14, 3]", "{}", Sum { x: 14, y: 3 });
    check("[14]", r#"{"y": 3}"#, Sum { x: 14, y: 3 });
    check("[]", r#"{"y": 3, "x": 14}"#, Sum { x: 14, y: 3 });
    check("[]", r#"{"y": 3, "x": 1, "x": 14}"#, Sum { x: 14, y: 3 });
    check(
        r#"["a"]"#,
        "{}",
        Page {
            q: "a".into(),
            limit: 0,
            cursor: None,
        },
    );
    check(
        r#"["a", 5]"#,
        r#"{"cursor": "c"}"#,
        Page {
            q: "a".into(),
            limit: 5,
            cursor: Some("c".into()),
        },
    );
}

#[test]
fn the_type_is_the_signature() {
    check("[]", "{}", ());
    check("[1, 2]", "{}", (1, 2));
    check("[1, 2, 3]", "{}", vec![1, 2, 3]);
    check("[]", "{}", Vec::<u8>::new());
    check("[]", r#"{"a": 1}"#, BTreeMap::from([("a".to_owned(), 1)]));
    check(r#"["é\n"]"#, "{}", "é\n".to_owned());
    check("[1]", "{}", Some(1));
    check("[]", "{}", None::<u8>);
    check("[2.5]", "{}", 2.5);
    check(r#"["Red"]"#, "{}", Color::Red);
    check("[[1]]", "{}", serde_json::json!([1]));
}

#[test]
fn arguments_that_do_not_fit_are_refused_in_the_words_of_python() {
    refused::<Sum>(
        "[1, 2, 3]",
        "{}",
        "sum() takes 2 positional arguments but 3 were given",
    );
    refused::<Sum>(
        "[1]",
        r#"{"z": 2}"#,
        "sum() got an unexpected keyword argument 'z'",
    );
    refused::<Sum>(
        "[1, 2]",
        r#"{"x": 2}"#,
        "sum() got multiple values for argument 'x'",
    );
    refused::<Sum>("[1]", "{}", "sum() missing 1 required positional argument: 'y'");
    refused::<Sum>(
        "[1, 2, 3]",
        r#"{"z": 2}"#,
        "sum() got an unexpected keyword argument 'z'",
    );
    refused::<()>("[1]", "{}", "sum() takes 0 positional arguments but 1 was given");
    refused::<()>(
        "[]",
        r#"{"z": 2}"#,
        "sum() got an unexpected keyword argument 'z'",
    );
    refused::<(u8,)>(
        "[1, 2]",
        "{}",
        "sum() takes 1 positional argument but 2 were given",
    );
    refused::<u8>("[]", "{}", "sum() takes 1 positional argument but 0 were given");
    refused::<Vec<u8>>(
        "[]",
        r#"{"z": 2}"#,
        "sum() got an unexpected keyword argument 'z'",
    );
    refused::<BTreeMap<String, u8>>("[1]", "{}", "sum() takes 0 positional arguments but 1 was given");
}

#[test]
fn parameters_with_a_default_are_not_missed() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "nothing fits")]
    struct Many {
        number: std::num::NonZero<u8>,
        text: Box<RawValue>,
        list: Vec<Color>,
        pair: (f32, char),
        #[serde(default)]
        page: Option<Page>,
        color: Color,
    }
    refused::<Sum>(
        "[]",
        "{}",
        "sum() missing 2 required positional arguments: 'x' and 'y'",
    );
    refused::<Many>(
        "[1]",
        r#"{"pair": [1, "a"]}"#,
        "sum() missing 3 required positional arguments: 'text', 'list', and 'color'",
    );
    refused::<Page>(
        "[1, 2, 3, 4]",
        "{}",
        "sum() takes from 1 to 3 positional arguments but 4 were given",
    );
    // What likes no value that can be thought of is complained of alone.
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "nothing fits")]
    struct Picky {
        address: std::net::IpAddr,
        other: u8,
    }
    refused::<Picky>(
        "[]",
        "{}",
        "sum() missing 1 required positional argument: 'address'",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let fault = bind::<Sum>("sum", r#"[1, "b"]"#, "{}").unwrap_err();
    assert!(
        fault
            .message
            .starts_with("sum() argument 'y': invalid type: string \"b\""),
        "{fault}"
    );
}

#[test]
fn a_parameter_can_stay_text() {
    #[derive(Deserialize)]
    struct Append {
        batch: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        #[serde(borrow)]
        batch: &'a RawValue,
    }
    let batch = r#"{"no": 17.0,  "x":[1180591620717411303424]}"#;
    let args = format!("[{batch}]");
    assert_eq!(bind::<Append>("append", &args, "{}").unwrap().batch.get(), batch);
    assert_eq!(bind::<Box<RawValue>>("append", &args, "{}").unwrap().get(), batch);
    assert_eq!(bind_text::<Borrowed<'_>>(&args, "{}").unwrap().batch.get(), batch);
}

#[test]
fn a_handler_can_bind_the_arguments_itself() {
    let params: RawParams = bind("append", "[1, 2]", r#"{"a": [ ]}"#).unwrap();
    assert_eq!((&*params.args, &*params.kwargs), ("[1, 2]", r#"{"a": [ ]}"#));
}

#[test]
fn half_a_surrogate_pair_is_replaced_where_text_is_needed() {
    check(r#"["a\ud800b"]"#, "{}", "a\u{fffd}b".to_owned());
    check(
        "[]",
        r#"{"q": "\udc00"}"#,
        Page {
            q: "\u{fffd}".into(),
            limit: 0,
            cursor: None,
        },
    );
}

proptest! {
    #[test]
    fn positions_and_names_bind_the_same(x: i64, y: i64, positional in 0usize..=2) {
        let (values, names) = ([x, y], ["x", "y"]);
        let args = serde_json::to_string(&values[..positional]).unwrap();
        let named: BTreeMap<_, _> = names.into_iter().zip(values).skip(positional).collect();
        let kwargs = serde_json::to_string(&named).unwrap();
        prop_assert_eq!(bind::<Sum>("f", &args, &kwargs).unwrap(), Sum { x, y });
    }

    #[test]
    fn no_arguments_make_it_panic(args in r#"\[([0-9]|"a"|null|\[\])?(,([0-9]|"a"|\{\}))?\]"#, name in "[xyz]") {
        if let Ok(args) = serde_json::from_str(&args) {
            let kwargs = format!(r#"{{"{name}":1}}"#);
            let (_, _) = (bind::<Sum>("f", args, &kwargs), bind::<Page>("f", args, &kwargs));
        }
    }
}

/// A function of Python, with the names of its parameters, and how many of them have no default.
#[derive(Debug, Clone)]
struct Signature {
    names: &'static [&'static str],
    required: usize,
}

thread_local! {
    static SIGNATURE: RefCell<Signature> = const { RefCell::new(Signature { names: &[], required: 0 }) };
}

/// Parameters as a struct with the fields of the signature would have them.
#[derive(Debug, PartialEq)]
struct Arguments(BTreeMap<&'static str, Value>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields(Signature);
        impl<'de> Visitor<'de> for Fields {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("arguments")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arguments, A::Error> {
                let Signature { names, required } = self.0;
                let mut bound = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let known = names.iter().find(|known| **known == name).unwrap();
                    bound.insert(*known, map.next_value()?);
                }
                for (place, name) in names.iter().enumerate() {
                    if place >= required {
                        bound.entry(*name).or_insert_with(|| "default".into());
                    } else if !bound.contains_key(name) {
                        return Err(serde::de::Error::missing_field(name));
                    }
                }
                Ok(Arguments(bound))
            }
        }
        let signature = SIGNATURE.with_borrow(Signature::clone);
        deserializer.deserialize_struct("Arguments", signature.names, Fields(signature))
    }
}

/// Calls functions of which it is told; answers with what they got, or with what Python says.
const CALLS: &str = r"
import inspect, json, sys
for line in sys.stdin:
    names, required, args, kwargs = json.loads(line)
    parameters = [name + ('' if at < required else '=\'default\'') for at, name in enumerate(names)]
    scope = {}
    exec('def f(' + ', '.join(parameters) + '): return locals()', scope)
    f = scope['f']
    try:
        answer = f(*args, **kwargs)
    except TypeError as error:
        answer = str(error).split('. Did you mean')[0]
    try:
        bound = inspect.signature(f).bind(*args, **kwargs)
        bound.apply_defaults()
        assert bound.arguments == answer
    except TypeError:
        assert isinstance(answer, str)
    print(json.dumps(answer), flush=True)
";

#[test]
fn any_arguments_bind_to_any_signature_as_python_binds_them() {
    const NAMES: [&[&str]; 5] = [
        &[],
        &["x"],
        &["y", "x"],
        &["x", "y", "z"],
        &["z", "limit", "y", "x"],
    ];
    let python = RefCell::new(Python::start(CALLS));
    let value = prop_oneof![
        any::<u8>().prop_map(Value::from),
        "[a-z]{0,2}".prop_map(Value::from)
    ];
    let args = prop::collection::vec(value.clone(), 0..6);
    let kwargs = prop::collection::vec(("x|y|z|limit|other", value), 0..5);
    let config = ProptestConfig::with_cases(2000);
    proptest!(config, |(at in 0..NAMES.len(), required in 0usize..5, args in args, kwargs in kwargs)| {
        let names = NAMES[at];
        let required = required.min(names.len());
        SIGNATURE.set(Signature { names, required });
        let args = serde_json::to_string(&args).unwrap();
        let pairs: Vec<_> = kwargs.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        let kwargs = format!("{{{}}}", pairs.join(","));
        let names = serde_json::to_string(names).unwrap();
        let expected: Value =
            serde_json::from_str(&python.borrow_mut().ask(&format!("[{names},{required},{args},{kwargs}]"))).unwrap();
        match bind::<Arguments>("f", &args, &kwargs) {
            Ok(Arguments(bound)) => prop_assert_eq!(serde_json::to_value(bound).unwrap(), expected),
            Err(fault) => prop_assert_eq!(Value::from(fault.message), expected),
        }
    });
}
