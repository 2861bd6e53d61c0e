//! Batches of records: any text is refused or read, and what was read is written as a text that reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use log_record::{Batch, Timestamp};

const ARRIVED: Timestamp = Timestamp::from_nanos(1_790_000_000_000_000_000);

fuzz_target!(|text: &str| {
    let Ok(batch) = Batch::parse(text, ARRIVED) else {
        return;
    };
    let written = batch.to_json();
    let again = Batch::parse(&written, ARRIVED).unwrap_or_else(|error| panic!("{written}: {error}"));
    // What could not be read is not written.
    assert_eq!(again, Batch { rejected: Vec::new(), ..batch }, "{written}");
});
