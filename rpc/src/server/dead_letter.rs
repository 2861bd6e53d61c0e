//! What a person finds in the dead-letter list: texts that are no requests, and requests that were given up.
//! Knows nothing of why.

use serde::Serialize;

use crate::connection::Pipeline;
use crate::keys::Keys;

/// How many letters are kept; the oldest go first.
pub(super) const KEPT: isize = 10_000;

#[derive(Serialize)]
struct DeadLetter<'a> {
    reason: &'a str,
    at_ms: i64,
    payload: &'a str,
}

/// The letter's text. A payload that is not UTF-8 is made so, because the letter is JSON.
pub(super) fn text(reason: &str, at_ms: i64, payload: &[u8]) -> String {
    let payload = &String::from_utf8_lossy(payload);
    let letter = DeadLetter {
        reason,
        at_ms,
        payload,
    };
    serde_json::to_string(&letter).expect("text and a number can be written as JSON")
}

/// Adds the two commands that put the letter into the list.
pub(super) fn add<'a>(commands: &'a mut Pipeline, keys: &Keys, letter: &str) -> &'a mut Pipeline {
    let dead = keys.dead();
    commands
        .rpush(&dead, letter)
        .ignore()
        .ltrim(dead, -KEPT, -1)
        .ignore()
}
