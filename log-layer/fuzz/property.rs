//! What must hold whatever is logged: a strict parser reads every value back as it was, with its type.

use std::error::Error;
use std::fmt;

use log_layer::testing::capture;
use serde_json::{Value, json};
use tracing::field::{Empty, display};
use tracing::{info, info_span};

/// Logs values that are made of the bytes, and compares what a strict parser makes of them.
pub(crate) fn holds(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (text, shown, printed, message) = (input.text(), input.text(), input.text(), input.text());
    let (around, late, secret) = (input.text(), input.text(), input.text());
    let (unsigned, signed, float) = (
        input.number(),
        input.number().cast_signed(),
        f64::from_bits(input.number()),
    );
    let wide = i128::from(signed) * i128::from(unsigned);
    let flag = unsigned.is_multiple_of(2);
    let error = Chain(input.text(), Some(Box::new(Chain(input.text(), None))));

    let logged = capture(|| {
        let span = info_span!("span", around, late = Empty);
        span.record("late", display(&late));
        let _inside = span.entered();
        info!(
            text,
            shown = display(&shown),
            printed = debug(&printed),
            password = secret,
            unsigned,
            signed,
            float,
            wide,
            flag,
            error = &error as &(dyn Error + 'static),
            "{message}"
        );
    });

    let [record] = &logged[..] else {
        panic!("not one record: {logged:?}")
    };
    assert_eq!(record.message.as_deref(), Some(&*message));
    let expected = json!({
        "text": text,
        "shown": shown,
        "printed": format!("{printed:?}"),
        "password": "[redacted]",
        "unsigned": unsigned,
        "signed": signed,
        "float": read_back(float),
        "wide": wide.to_string(),
        "flag": flag,
        "error": {"message": error.0, "chain": [error.1.as_ref().map(|cause| &cause.0)]},
    });
    assert_eq!(Value::Object(record.fields.clone()), expected);
    assert_eq!(
        Value::Object(record.spans[0].fields.clone()),
        json!({"around": around, "late": late})
    );
}

/// What no number of JSON's is arrives as text.
fn read_back(float: f64) -> Value {
    if float.is_finite() {
        return json!(float);
    }
    let text = if float.is_nan() {
        "NaN"
    } else if float > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    json!(text)
}

/// Bytes from which values are taken; there are always more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| {
            let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
            self.0 = rest;
            *first
        })
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let [length] = self.take();
        let (text, rest) = self.0.split_at(usize::from(length).min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

#[derive(Debug)]
struct Chain(String, Option<Box<Chain>>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Chain {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &dyn Error)
    }
}
