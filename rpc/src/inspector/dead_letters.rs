//! Reading, retrying and dropping dead letters. A letter is named by its whole text, so that nobody who works on the
//! list at the same time can make it another one.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Inspector;
use crate::Error;
use crate::connection::pipe;

/// `KEYS`: the dead letters, the queue. `ARGV`: the letter, the request. Written before it is removed: Redis may run
/// out of memory in between. Returns whether the letter was there.
const RETRY: &str = r"
if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('LREM', KEYS[1], 1, ARGV[1])
return 1";

/// What was given up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Why it was given up.
    pub reason: String,
    /// When, by the clock of Redis; the epoch if the letter does not say.
    pub at: SystemTime,
    /// What had been in the queue; only the beginning of what was no request.
    pub payload: String,
    /// The letter as it is in Redis.
    text: String,
}

/// What became of a letter that was to be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It is a request at the end of the queue.
    Queued,
    /// Somebody else has retried or dropped it.
    Gone,
    /// It holds no request, so it would only come back.
    NoRequest,
}

#[derive(Deserialize)]
struct Letter {
    reason: String,
    at_ms: u64,
    payload: String,
}

impl DeadLetter {
    /// Reads a letter; what was written by somebody else is shown as it is.
    fn read(text: String) -> Self {
        let letter = serde_json::from_str(&text).unwrap_or_else(|_| Letter {
            reason: "this is no letter of ours".to_owned(),
            at_ms: 0,
            payload: text.clone(),
        });
        Self {
            reason: letter.reason,
            at: UNIX_EPOCH
                .checked_add(Duration::from_millis(letter.at_ms))
                .unwrap_or(UNIX_EPOCH),
            payload: letter.payload,
            text,
        }
    }

    /// The letter as it is in Redis: its name, since nothing else tells it from others.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The method that was called, if the letter holds a request.
    pub fn method(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        serde_json::from_str(&self.payload)
            .ok()
            .map(|Named { name }| name)
    }

    /// The request to carry out now. Nobody waits for its reply any more, and its deadline is over.
    fn request(&self) -> Option<String> {
        let mut request: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&self.payload).ok()?;
        if !["id", "name", "args", "kwargs"]
            .iter()
            .all(|key| request.contains_key(*key))
        {
            return None;
        }
        let meta = request.get("meta").map(|meta| serde_json::from_str(meta.get()));
        let mut meta: BTreeMap<String, Box<RawValue>> = meta.and_then(Result::ok).unwrap_or_default();
        for over in ["reply_to", "deadline", "sent"] {
            meta.remove(over);
        }
        meta.insert("notify".to_owned(), RawValue::TRUE.to_owned());
        request.insert("meta".to_owned(), to_raw_value(&meta).ok()?);
        serde_json::to_string(&request).ok()
    }
}

impl Inspector {
    /// So many dead letters from this position on; the oldest has position 0.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`].
    pub async fn dead_letters(&self, first: u64, count: u64) -> Result<Vec<DeadLetter>, Error> {
        let bound = |position: u64| isize::try_from(position).unwrap_or(isize::MAX);
        let Some(last) = first.saturating_add(count).checked_sub(1) else {
            return Ok(Vec::new());
        };
        let mut commands = pipe();
        commands.lrange(self.keys.dead(), bound(first), bound(last));
        let (letters,): (Vec<Vec<u8>>,) = self.run(&commands).await?;
        let read = |text: Vec<u8>| DeadLetter::read(String::from_utf8_lossy(&text).into_owned());
        Ok(letters.into_iter().map(read).collect())
    }

    /// Puts the letter's request at the end of the queue, as a notification: it is carried out, and nobody is told.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`].
    pub async fn retry(&self, letter: &DeadLetter) -> Result<Retried, Error> {
        let Some(request) = letter.request() else {
            return Ok(Retried::NoRequest);
        };
        let mut commands = pipe();
        commands
            .cmd("EVAL")
            .arg(RETRY)
            .arg(2)
            .arg(self.keys.dead())
            .arg(self.keys.queue())
            .arg(&letter.text)
            .arg(request);
        let (was_there,): (bool,) = self.run(&commands).await?;
        Ok(if was_there { Retried::Queued } else { Retried::Gone })
    }

    /// Removes the letter for good; returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`].
    pub async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, Error> {
        let mut commands = pipe();
        commands.lrem(self.keys.dead(), 1, &letter.text);
        let (removed,): (u64,) = self.run(&commands).await?;
        Ok(removed > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(payload: &str) -> DeadLetter {
        DeadLetter::read(json!({"reason": "no", "at_ms": 1000, "payload": payload}).to_string())
    }

    #[test]
    fn a_retried_request_is_the_same_call_with_nobody_waiting() {
        let request = r#"{"id":"a","name":"f","args":[1180591620717411303424],"kwargs":{},"more":1,
            "meta":{"v":1,"reply_to":"x","deadline":5,"sent":4,"traceparent":"t","other":[1]}}"#;
        let letter = letter(request);
        assert_eq!(
            (letter.method().as_deref(), letter.at),
            (Some("f"), UNIX_EPOCH + Duration::from_secs(1))
        );
        assert_eq!(
            letter.request().unwrap(),
            r#"{"args":[1180591620717411303424],"id":"a","kwargs":{},"meta":{"notify":true,"other":[1],"traceparent":"t","v":1},"more":1,"name":"f"}"#
        );
    }

    #[test]
    fn what_is_no_request_is_not_retried() {
        for payload in ["", "x", "[]", r#"{"id":"a","name":"f","args":[]}"#] {
            assert_eq!(letter(payload).request(), None);
        }
        assert_eq!(DeadLetter::read("foreign".to_owned()).payload, "foreign");
    }
}
