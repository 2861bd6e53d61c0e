//! Whatever is logged is read back as it was, here for random bytes; `fuzz/` looks for such bytes with more cunning.

#[path = "../fuzz/property.rs"]
mod property;

use fastrand::Rng;

/// Bytes that mean something in JSON, in UTF-8 or to a terminal; the others say little.
const TELLING: &[u8] = b"\"\\/{}[]:,\n\r\t\0\x07\x1b\x1f\x7f\x80\xbf\xc3\xa9\xe2\x80\xa8\xed\xa0\x80\xef\xbb\xbf\xf0\x9f\x92\xa9\xff";

#[test]
fn whatever_is_logged_a_strict_parser_reads_it_back() {
    for seed in 0..3000 {
        let mut random = Rng::with_seed(seed);
        let length = random.usize(..2000);
        let byte = |_| {
            if random.bool() {
                random.u8(..)
            } else {
                TELLING[random.usize(..TELLING.len())]
            }
        };
        let bytes: Vec<u8> = (0..length).map(byte).collect();
        let held = std::panic::catch_unwind(|| property::holds(&bytes));
        assert!(held.is_ok(), "seed {seed}: {bytes:?}");
    }
}
