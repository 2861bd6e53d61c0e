//! The query language: any text is read, and what it was read as prints as a text that reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use log_engine::query;

fuzz_target!(|text: &str| {
    let read = query::read(text).query;
    let printed = read.to_string();
    match query::parse(&printed) {
        Ok(again) => assert_eq!(again, read, "{printed:?}"),
        Err(error) => panic!("{printed:?} does not parse: {error}"),
    }
    if let Err(error) = query::parse(text) {
        assert!(text.get(error.at.clone()).is_some(), "{error:?} is no place in {text:?}");
    }
});
