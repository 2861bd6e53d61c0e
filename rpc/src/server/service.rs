//! One request from its text to its reply: read, checked, run, answered and acknowledged. Knows nothing of how
//! requests are taken. Nothing in a request's text and nothing a handler does ends more than that one request.

use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::answers::{Answers, Claim};
use super::dead_letter;
use super::handler::{Answer, Context, Methods};
use super::slots::Reuse;
use super::worker::Worker;
use crate::connection::{Pipeline, milliseconds, pipe, was_carried_out};
use crate::envelope::{self, Answerable, Meta, Request, RequestId};
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
    methods: Methods,
    answers: Arc<Answers>,
    pub(super) worker: Arc<Worker>,
    max_request: usize,
    pub(super) requeued: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
}

/// What a server did from start to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Requests that a handler carried out, and repeats of them.
    pub handled: u64,
    /// Requests that failed: unknown, malformed, late, refused by a handler, or a handler's panic.
    pub failed: u64,
    /// What went to the dead-letter list: texts that were no requests, and requests of servers that died that were
    /// given up because they had been through it too often.
    pub dead_lettered: u64,
    /// Requests given back to the queue, this server's or a dead one's.
    pub requeued: u64,
}

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

/// A request whose handler has been started.
struct Running {
    id: RequestId,
    meta: Meta,
    running: BoxFuture<'static, Answer>,
}

impl Service {
    pub(super) fn new(methods: Methods, worker: Arc<Worker>, max_request: usize) -> Self {
        Self {
            methods,
            answers: Arc::default(),
            worker,
            max_request,
            requeued: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
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
        self.requeued
            .fetch_add(self.worker.give_back_all().await, Relaxed);
    }

    pub(super) fn report(&self) -> Report {
        Report {
            handled: self.handled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            requeued: self.requeued.load(Relaxed),
        }
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
        match self.open(payload) {
            Ok(call) => {
                let answer = call.running.await;
                self.reply(&call.id, &call.meta, answer)
            }
            Err(outcome) => outcome,
        }
    }

    /// Reads a request and starts its handler. The text is freed here, before the handler has done anything.
    fn open(&self, payload: Vec<u8>) -> Result<Running, Outcome> {
        if payload.len() > self.max_request {
            let reason = format!("{} bytes, more than {}", payload.len(), self.max_request);
            return Err(Outcome::DeadLetter { reason, payload });
        }
        let text = String::from_utf8(payload).map_err(|error| Outcome::DeadLetter {
            reason: error.to_string(),
            payload: error.into_bytes(),
        })?;
        let repaired: String;
        let request = match serde_json::from_str::<Request<'_>>(&text) {
            Ok(request) => Ok(request),
            Err(error) => {
                repaired = repair::repaired(&text).unwrap_or_default();
                serde_json::from_str(&repaired).map_err(|_| shortened(&error))
            }
        };
        match request {
            Ok(request) => {
                let (started, meta) = (self.start(&request), request.meta.unwrap_or_default());
                let running = started.unwrap_or_else(|fault| ready(Err(fault)).boxed());
                Ok(Running {
                    id: request.id,
                    meta,
                    running,
                })
            }
            Err(reason) => Err(match serde_json::from_str::<Answerable<'_>>(&text) {
                Ok(request) => self.reply(&request.id, &request.meta(), Err(bad_request(reason))),
                Err(_) => Outcome::DeadLetter {
                    reason,
                    payload: text.into_bytes(),
                },
            }),
        }
    }

    fn start(&self, request: &Request<'_>) -> Result<BoxFuture<'static, Answer>, Fault> {
        let Request {
            id,
            name,
            args,
            kwargs,
            meta,
        } = request;
        if !args.get().starts_with('[') || !kwargs.get().starts_with('{') {
            return Err(bad_request("args must be an array and kwargs an object"));
        }
        let Some(handler) = self.methods.get(&**name) else {
            tracing::debug!(%id, "a call of an unknown method");
            return Err(Fault::app(code::UNKNOWN_REMOTE_CALL, "no such method"));
        };
        let notify = meta.as_ref().is_some_and(|meta| meta.notify);
        let deadline = meta.as_ref().and_then(|meta| meta.deadline);
        let left = deadline.map(|deadline| deadline.saturating_sub(self.worker.shared.redis_now_ms()));
        // A notification has no caller that could have stopped waiting.
        if left.is_some_and(|left| left <= 0) && !notify {
            return Err(Fault::app(
                code::DEADLINE_EXCEEDED,
                "the deadline had passed before the call was started",
            ));
        }
        let idempotent = meta.as_ref().is_some_and(|meta| meta.idempotent);
        let run = match (idempotent && !notify).then(|| self.answers.claim(&id.to_string())) {
            Some(Claim::Repeat(answer)) => return Ok(answer),
            Some(Claim::First(run)) => Some(run),
            None => None,
        };
        let left = left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or_default()));
        let traceparent = meta.as_ref().and_then(|meta| meta.traceparent.clone());
        let method = name.to_string();
        let span = tracing::info_span!(target: "rpc", "rpc", method, traceparent);
        let deadline = left.and_then(|left| Instant::now().checked_add(left));
        let context = Context {
            id: id.to_string(),
            method,
            deadline,
            traceparent,
        };
        let panicked = |_| Err(Fault::handler("the handler panicked"));
        let start = AssertUnwindSafe(|| span.in_scope(|| handler(args, kwargs, context)));
        let running = std::panic::catch_unwind(start).unwrap_or_else(|panic| ready(panicked(panic)).boxed());
        let running = AssertUnwindSafe(running).catch_unwind().instrument(span);
        let running = running.map(move |answer| answer.unwrap_or_else(panicked)).boxed();
        Ok(match run {
            Some(run) => run.remember(running).boxed(),
            None => running,
        })
    }

    fn reply(&self, id: &RequestId, meta: &Meta, answer: Answer) -> Outcome {
        let counter = if answer.is_ok() {
            &self.handled
        } else {
            &self.failed
        };
        counter.fetch_add(1, Relaxed);
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
                self.dead_lettered.fetch_add(1, Relaxed);
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

/// What was wrong with a text, at a length that does not repeat the text.
fn shortened(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    reason[..reason.floor_char_boundary(REASON_BYTES)].to_owned()
}

fn bad_request(message: impl Into<String>) -> Fault {
    Fault::app(code::BAD_REQUEST, message)
}
