//! The answers to idempotent calls, kept for a while, so that a repeat of a call is answered and not carried out
//! again. While the call runs, a repeat waits for it.
//!
//! Promise: among all calls of one id for which this server is asked while it remembers, one is carried out. It is
//! a promise of one server: another one, or the next one, knows nothing of it. Knows nothing of requests and replies.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::handler::Answer;
use crate::code;

/// A client that lost a reply asks again within seconds, and stops at its deadline. This is for the patient ones.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// What the answers may cost: so many entries of a hash map, and so much text in their results.
const KEPT_IDS: usize = 100_000;
const KEPT_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Answers {
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// By id, running and finished ones.
    known: HashMap<String, Shared<oneshot::Receiver<Answer>>>,
    /// The oldest first.
    finished: VecDeque<Finished>,
    /// How much text the finished ones hold.
    bytes: usize,
}

struct Finished {
    id: String,
    at: Instant,
    bytes: usize,
}

/// Who carries out a call.
pub(super) enum Claim {
    /// Whoever asked.
    First(Run),
    /// Somebody else, who gave or will give this answer.
    Repeat(BoxFuture<'static, Answer>),
}

/// The right to carry out a call, and the duty to say what came of it.
pub(super) struct Run {
    answers: Arc<Answers>,
    id: String,
    done: oneshot::Sender<Answer>,
}

impl Answers {
    pub(super) fn claim(self: &Arc<Self>, id: &str) -> Claim {
        let (done, answer) = oneshot::channel();
        let mut calls = self.calls();
        calls.forget(Instant::now());
        match calls.known.entry(id.to_owned()) {
            Entry::Occupied(known) => Claim::Repeat(repeat(known.get().clone()).boxed()),
            Entry::Vacant(place) => {
                place.insert(answer.shared());
                Claim::First(Run {
                    answers: Arc::clone(self),
                    id: id.to_owned(),
                    done,
                })
            }
        }
    }

    fn finished(&self, id: String, bytes: usize) {
        let mut calls = self.calls();
        let at = Instant::now();
        calls.bytes += bytes;
        calls.finished.push_back(Finished { id, at, bytes });
        calls.forget(at);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Forgets what is too old and what is too much.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.finished.front() {
            let old = now.saturating_duration_since(oldest.at) >= KEPT_FOR;
            if !old && self.finished.len() <= KEPT_IDS && self.bytes <= KEPT_BYTES {
                return;
            }
            self.bytes -= oldest.bytes;
            self.known.remove(&oldest.id);
            self.finished.pop_front();
        }
    }
}

impl Run {
    /// Waits for the answer, remembers it and gives it to whoever repeated the call meanwhile. That a call ended
    /// early is not remembered: it says nothing of the next one.
    pub(super) async fn remember(self, running: impl Future<Output = Answer>) -> Answer {
        let answer = running.await;
        if let Err(fault) = &answer
            && matches!(fault.code, code::CANCELLED | code::DEADLINE_EXCEEDED)
        {
            self.answers.calls().known.remove(&self.id);
            // An error means that nobody has repeated the call.
            let _ = self.done.send(answer.clone());
            return answer;
        }
        let bytes = match &answer {
            Ok(result) => result.get().len(),
            Err(fault) => fault.message.len() + fault.data.as_ref().map_or(0, |data| data.get().len()),
        };
        // There is no error: the receiver stays known at least until the call counts as finished.
        let _ = self.done.send(answer.clone());
        self.answers.finished(self.id, bytes);
        answer
    }
}

async fn repeat(earlier: Shared<oneshot::Receiver<Answer>>) -> Answer {
    match earlier.await {
        Ok(answer) => answer,
        // Aborted with the server, as this will be in a moment; both requests go back to the queue.
        Err(_) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use serde_json::value::to_raw_value;

    use super::*;

    /// Carries out the call, unless it is a repeat; returns whether it was carried out.
    async fn call(answers: &Arc<Answers>, id: &str, result: &str) -> bool {
        match answers.claim(id) {
            Claim::First(run) => {
                let answer = Ok(to_raw_value(result).unwrap());
                run.remember(ready(answer)).await.unwrap();
                true
            }
            Claim::Repeat(answer) => {
                let answer = answer.await.unwrap();
                assert_eq!(answer.get(), to_raw_value(result).unwrap().get());
                false
            }
        }
    }

    #[tokio::test]
    async fn a_repeat_has_the_answer_of_the_first() {
        let answers = Arc::default();
        assert!(call(&answers, "a", "x").await);
        assert!(call(&answers, "b", "y").await);
        assert!(!call(&answers, "a", "x").await);
        assert!(!call(&answers, "a", "x").await);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let answers = Arc::default();
        for number in 0..=KEPT_IDS {
            assert!(call(&answers, &number.to_string(), "").await);
        }
        assert!(!call(&answers, "1", "").await);
        assert!(call(&answers, "0", "").await, "the oldest is forgotten");
        let long = "x".repeat(KEPT_BYTES / 2);
        assert!(call(&answers, "long", &long).await);
        assert!(!call(&answers, "long", &long).await);
        assert!(call(&answers, "longer", &long).await);
        assert!(call(&answers, "long", &long).await, "two are too much text");
        let calls = answers.calls();
        assert!(calls.bytes <= KEPT_BYTES);
        assert_eq!(calls.known.len(), calls.finished.len());
    }

    #[tokio::test]
    async fn that_a_call_was_cancelled_is_told_and_forgotten() {
        let answers = Arc::default();
        let Claim::First(run) = Answers::claim(&answers, "a") else {
            panic!("there was no earlier call")
        };
        let Claim::Repeat(repeat) = answers.claim("a") else {
            panic!("there was an earlier call")
        };
        let cancelled = || Err(crate::Fault::cancelled());
        assert!(run.remember(ready(cancelled())).await.is_err());
        assert_eq!(repeat.await.unwrap_err().code, code::CANCELLED);
        assert!(call(&answers, "a", "x").await);
    }

    #[tokio::test]
    async fn an_old_answer_is_forgotten() {
        let answers: Arc<Answers> = Arc::default();
        call(&answers, "a", "x").await;
        answers
            .calls()
            .forget(Instant::now() + KEPT_FOR - Duration::from_secs(60));
        assert!(!call(&answers, "a", "x").await);
        answers.calls().forget(Instant::now() + KEPT_FOR);
        assert!(call(&answers, "a", "x").await);
    }
}
