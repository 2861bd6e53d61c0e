//! One request from its text to its reply: read, checked, run, answered and acknowledged. Knows nothing of how
//! requests are taken. Nothing in a request's text and nothing a handler does ends more than that one request.

use std::collections::HashMap;
use std::future::ready;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::answers::{Answers, Claim};
use super::dead_letter;
use super::extract::States;
use super::handler::{Answer, Method};
use super::introspection::BuiltIn;
use super::request::{Context, Request};
use super::slots::Reuse;
use super::stats::Counters;
use super::worker::Worker;
use crate::connection::{Pipeline, milliseconds, pipe, was_carried_out};
use crate::envelope::{self, Answerable, Meta, RequestId};
use crate::{Error, Fault, code, repair};

/// How long a reply waits for its caller. Python's client is expected to be there; the rest must not pile up.
const REPLY_TTL: Duration = Duration::from_secs(300);

/// How much of a text that is no request is kept for a person to look at.
const DEAD_LETTER_BYTES: usize = 64 * 1024;

/// The parser quotes what it did not expect, and that can be the whole request.
const REASON_BYTES: usize = 256;

/// Between two attempts to hand in a reply that Redis did not take, while it is connected.
const FINISH_RETRY: Duration = Duration::from_millis(200);

pub(super) struct Service {
    pub(super) methods: Methods,
    states: Arc<States>,
    answers: Arc<Answers>,
    pub(super) worker: Arc<Worker>,
    max_request: usize,
    pub(super) started: Instant,
    pub(super) counters: Counters,
}

/// A server's methods by name.
pub(super) type Methods = HashMap<Arc<str>, Arc<Method>>;

/// What is to be written to Redis when a request is done with.
enum Outcome {
    Reply {
        key: String,
        text: String,
    },
    /// The caller wants no reply.
    Silence,
    DeadLetter {
        reason: String,
        payload: Vec<u8>,
    },
}

/// A well-formed request.
struct Received {
    id: RequestId,
    meta: Meta,
    target: Target,
    /// Where in the text the arguments are.
    args: Range<usize>,
    kwargs: Range<usize>,
}

/// Who is to answer a request.
enum Target {
    Method(Arc<Method>),
    BuiltIn(BuiltIn),
    Nobody,
}

impl Service {
    pub(super) fn new(methods: Methods, states: States, worker: Arc<Worker>, max_request: usize) -> Self {
        Self {
            methods,
            states: Arc::new(states),
            answers: Arc::default(),
            worker,
            max_request,
            started: Instant::now(),
            counters: Counters::default(),
        }
    }

    /// Answers the request in `slot` and frees the slot.
    pub(super) async fn serve(self: Arc<Self>, slot: u64, payload: Vec<u8>) {
        let outcome = self.outcome(payload).await;
        self.finish(slot, outcome).await;
    }

    /// Lets the handlers finish for so long, and gives back the requests of the others.
    pub(super) async fn drain(&self, mut handlers: JoinSet<()>, limit: Duration) {
        let finished =
            tokio::time::timeout(limit, async { while handlers.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!(
                handlers = handlers.len(),
                "handlers are still running after the drain timeout; aborted"
            );
            handlers.shutdown().await;
        }
        let requeued = self.worker.give_back_all().await;
        self.counters.requeued.fetch_add(requeued, Relaxed);
    }

    /// The commands that tell the caller of a request that it is given up; none if it wants no reply, or if there is
    /// no telling who it is.
    pub(super) fn given_up(&self, payload: &[u8], reason: &str) -> Pipeline {
        let text = String::from_utf8_lossy(payload);
        let repaired = repair::repaired(&text);
        let text = repaired.as_deref().unwrap_or(&text);
        let Ok(request) = serde_json::from_str::<Answerable<'_>>(text) else {
            return pipe();
        };
        let fault = Fault::app(code::DEAD_LETTERED, reason);
        self.commands(self.reply(&request.id, &request.meta(), Err(fault)))
    }

    async fn outcome(&self, payload: Vec<u8>) -> Outcome {
        let (request, text) = match self.read(payload) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        let answer = match request.target {
            Target::Method(ref method) => {
                let method = Arc::clone(method);
                return self.run(method, request, text).await;
            }
            Target::BuiltIn(built_in) => {
                return self.written(&request.id, &request.meta, self.describe(built_in));
            }
            Target::Nobody => {
                tracing::debug!(id = %request.id, "a call of an unknown method");
                self.refused(Fault::app(code::UNKNOWN_REMOTE_CALL, "no such method"))
            }
        };
        self.reply(&request.id, &request.meta, answer)
    }

    /// Reads a request. What comes with it is the text in which its arguments are found.
    fn read(&self, payload: Vec<u8>) -> Result<(Received, String), Outcome> {
        if payload.len() > self.max_request {
            let reason = format!("{} bytes, more than {}", payload.len(), self.max_request);
            return Err(Outcome::DeadLetter { reason, payload });
        }
        let text = String::from_utf8(payload).map_err(|error| Outcome::DeadLetter {
            reason: error.to_string(),
            payload: error.into_bytes(),
        })?;
        let error = match self.parse(&text) {
            Ok(request) => return Ok((request, text)),
            Err(error) => error,
        };
        let repaired = repair::repaired(&text);
        if let Some(repaired) = repaired
            && let Ok(request) = self.parse(&repaired)
        {
            return Ok((request, repaired));
        }
        let reason = shortened(&error);
        Err(match serde_json::from_str::<Answerable<'_>>(&text) {
            Ok(request) => {
                let fault = self.refused(Fault::app(code::BAD_REQUEST, reason));
                self.reply(&request.id, &request.meta(), fault)
            }
            Err(_) => Outcome::DeadLetter {
                reason,
                payload: text.into_bytes(),
            },
        })
    }

    fn parse(&self, text: &str) -> Result<Received, serde_json::Error> {
        let request: envelope::Request<'_> = serde_json::from_str(text)?;
        let target = match self.methods.get(&*request.name) {
            Some(method) => Target::Method(Arc::clone(method)),
            None => BuiltIn::named(&request.name).map_or(Target::Nobody, Target::BuiltIn),
        };
        let (args, kwargs) = request.arguments()?;
        Ok(Received {
            args: place(text, args),
            kwargs: place(text, kwargs),
            id: request.id,
            meta: request.meta.unwrap_or_default(),
            target,
        })
    }

    /// Has the method's handler answer, unless that makes no sense any more or somebody else has answered already.
    async fn run(&self, method: Arc<Method>, received: Received, text: String) -> Outcome {
        let Received {
            id,
            meta,
            target: _,
            args,
            kwargs,
        } = received;
        let now = self.worker.shared.redis_now_ms();
        let left = meta
            .deadline
            .map(|deadline| duration(deadline.saturating_sub(now)));
        // A notification has no caller that could have stopped waiting.
        if left.is_some_and(|left| left.is_zero()) && !meta.notify {
            let fault = Fault::app(
                code::DEADLINE_EXCEEDED,
                "the deadline had passed before the call was started",
            );
            return self.reply(&id, &meta, self.refused(fault));
        }
        let context = Context {
            id: id.to_string(),
            method: Arc::clone(&method.name),
            deadline: left.and_then(|left| Instant::now().checked_add(left)),
            queued: meta.sent.map(|sent| duration(now.saturating_sub(sent))),
            traceparent: meta.traceparent.clone(),
            tracestate: meta.tracestate.clone(),
        };
        let states = Arc::clone(&self.states);
        let request = Request {
            context,
            text,
            args,
            kwargs,
            states,
        };
        let claim = (meta.idempotent && !meta.notify).then(|| self.answers.claim(&request.context.id));
        let answer = match claim {
            None => handle(method, request).await,
            Some(Claim::First(run)) => run.remember(handle(method, request).boxed()).await,
            Some(Claim::Repeat(answer)) => answer.await,
        };
        self.reply(&id, &meta, answer)
    }

    /// Counts a request that no handler is started for.
    fn refused(&self, fault: Fault) -> Answer {
        self.counters.refused.fetch_add(1, Relaxed);
        Err(fault)
    }

    fn reply(&self, id: &RequestId, meta: &Meta, answer: Answer) -> Outcome {
        let counter = if answer.is_ok() {
            &self.counters.handled
        } else {
            &self.counters.failed
        };
        counter.fetch_add(1, Relaxed);
        self.written(id, meta, answer)
    }

    fn written(&self, id: &RequestId, meta: &Meta, answer: Answer) -> Outcome {
        if meta.notify {
            return Outcome::Silence;
        }
        let answer = answer.map_err(Fault::into_reply);
        let answer = answer.as_deref().map_err(|(code, result)| (*code, &**result));
        // Any other key would let a caller write wherever it likes.
        let inbox = meta
            .reply_to
            .as_ref()
            .filter(|inbox| inbox.starts_with(&self.worker.keys.inboxes()));
        match inbox {
            Some(inbox) => Outcome::Reply {
                key: inbox.clone(),
                text: envelope::reply(Some(id), answer),
            },
            None => Outcome::Reply {
                key: self.worker.keys.reply(id),
                text: envelope::reply(None, answer),
            },
        }
    }

    /// Writes the outcome, then deletes the slot, until Redis has done both. A broken connection can leave a reply
    /// without the acknowledgement, never the reverse.
    async fn finish(&self, slot: u64, outcome: Outcome) {
        let mut commands = self.commands(outcome);
        let acknowledgement = commands.len();
        commands.del(self.worker.slot_key(slot)).ignore();
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.worker.shared.run::<()>(&commands).await {
                Ok(()) => break,
                Err(Error::Transport { source, .. }) if was_carried_out(&source, acknowledgement) => {
                    tracing::warn!(error = %source, "Redis refused a reply");
                    break;
                }
                Err(Error::Closed) => return,
                Err(error) => tracing::debug!(%error, "a reply is handed in again"),
            }
            tokio::time::sleep(FINISH_RETRY).await;
        }
        // A first DEL that is still on its way must not meet another request in the same slot.
        self.worker
            .slots
            .release(slot, if attempts == 1 { Reuse::Again } else { Reuse::Never });
    }

    fn commands(&self, outcome: Outcome) -> Pipeline {
        let mut commands = pipe();
        match outcome {
            Outcome::Reply { key, text } => {
                let ttl = milliseconds(REPLY_TTL);
                commands.rpush(&key, text).ignore().pexpire(key, ttl).ignore();
            }
            Outcome::Silence => {}
            Outcome::DeadLetter { reason, payload } => {
                self.counters.dead_lettered.fetch_add(1, Relaxed);
                // The reason may quote the payload.
                tracing::warn!(bytes = payload.len(), "a request goes to the dead-letter list");
                let beginning = &payload[..payload.len().min(DEAD_LETTER_BYTES)];
                let letter = dead_letter::text(&reason, self.worker.shared.redis_now_ms(), beginning);
                dead_letter::add(&mut commands, &self.worker.keys, letter);
            }
        }
        commands
    }
}

/// Runs the handler. The request's text is freed before the handler has done anything.
async fn handle(method: Arc<Method>, request: Request) -> Answer {
    let Context {
        queued, traceparent, ..
    } = &request.context;
    let queued_ms = queued.map(milliseconds);
    let span = tracing::info_span!(target: "rpc", "rpc", method = &*method.name, traceparent, queued_ms);
    let started = Instant::now();
    method.stats.started(*queued);
    let panicked = |_| Err(Fault::handler("the handler panicked"));
    let start = AssertUnwindSafe(|| span.in_scope(|| method.start(request)));
    let running = std::panic::catch_unwind(start).unwrap_or_else(|panic| ready(panicked(panic)).boxed());
    let answer = AssertUnwindSafe(running).catch_unwind().instrument(span).await;
    let answer = answer.unwrap_or_else(panicked);
    method.stats.ended(started.elapsed(), answer.is_err());
    answer
}

/// Where in the text this part of it is.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

/// What was wrong with a text, at a length that does not repeat the text.
fn shortened(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    reason[..reason.floor_char_boundary(REASON_BYTES)].to_owned()
}
