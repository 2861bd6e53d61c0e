//! Looks for values that a strict JSON parser does not read back as they were logged.
//!
//! `cargo +nightly fuzz run encoder -- -max_total_time=300`, in `log-layer/`, with cargo-fuzz from crates.io.

#![no_main]

#[path = "../property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));
