//! Arguments bind as Python binds them; the wording is Python's too.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
    assert_eq!(
        bind_text::<Borrowed<'_>>("append", &args, "{}")
            .unwrap()
            .batch
            .get(),
        batch
    );
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
