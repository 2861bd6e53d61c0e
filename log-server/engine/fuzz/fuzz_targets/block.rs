//! Blocks whose checksums fit and whose content need not: reading one ends with an error or with some records.

#![no_main]

use libfuzzer_sys::fuzz_target;
use log_engine::store::read_edited;

const QUERIES: [&str; 8] = [
    "",
    "order",
    "user_id:42",
    "latency_ms>3 OR user_id:4*",
    "message:/user \\d/ -span.path:/live",
    "trace:4bf9* thread:main",
    "登录 level:error",
    "tags:(a OR b) map.k:*",
];

fuzz_target!(|data: &[u8]| {
    let Some((query, edits)) = data.split_first() else {
        return;
    };
    read_edited(QUERIES[usize::from(*query) % QUERIES.len()], edits);
});
