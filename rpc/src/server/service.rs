//! One request from its text to its reply: read, checked, run and answered. Knows nothing of how requests are taken
//! and replies are handed in. Nothing in a request's text and nothing a handler does ends more than that one request.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::value::to_raw_value;
use tracing::Instrument;

use super::answers::{Answers, Claim};
use super::dead_letter;
use super::extract::States;
use super::finish::{Finish, Finished, Inboxes, Outcome};
use super::handler::{Answer, Method};
use super::introspection::BuiltIn;
use super::request::{Context, Request};
use super::running::Running;
use super::stats::Counters;
use super::worker::Worker;
use crate::connection::{Shared, milliseconds};
use crate::envelope::{self, Answerable, Meta, RequestId};
use crate::keys::Keys;
use crate::parent::Parent;
use crate::{Fault, code, repair};

/// How much of a text that is no request is kept for a person to look at.
const DEAD_LETTER_BYTES: usize = 64 * 1024;

/// The parser quotes what it did not expect, and that can be the whole request.
const REASON_BYTES: usize = 256;

/// What stays of a server over all its incarnations.
pub(super) struct Service {
    pub(super) keys: Keys,
    pub(super) shared: Shared,
    pub(super) methods: Methods,
    pub(super) states: Arc<States>,
    pub(super) max_request: usize,
    pub(super) answers: Arc<Answers>,
    pub(super) running: Running,
    pub(super) inboxes: Arc<Inboxes>,
    pub(super) started: Instant,
    pub(super) counters: Counters,
}

/// A server's methods by name.
pub(super) type Methods = HashMap<Arc<str>, Arc<Method>>;

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
    /// Answers the request in `slot` and frees the slot.
    pub(super) async fn serve(self: Arc<Self>, finish: Arc<Finish>, slot: u64, payload: Vec<u8>) {
        let outcome = self.outcome(&finish.worker, payload).await;
        finish.hand_in(Finished { slot, outcome }).await;
    }

    /// What tells the caller of a request that it is given up; none if there is no telling who it is.
    pub(super) fn given_up(&self, payload: &[u8], reason: &str) -> Option<Outcome> {
        let text = String::from_utf8_lossy(payload);
        let repaired = repair::repaired(&text);
        let text = repaired.as_deref().unwrap_or(&text);
        let request: Answerable<'_> = serde_json::from_str(text).ok()?;
        let fault = Fault::app(code::DEAD_LETTERED, reason);
        Some(self.reply(&request.id, &request.meta(), Err(fault)))
    }

    async fn outcome(&self, worker: &Worker, payload: Vec<u8>) -> Outcome {
        let (request, text) = match self.read(payload) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        let answer = match request.target {
            Target::Method(ref method) => {
                let method = Arc::clone(method);
                // In place it would be moved, with all that it may hold, each time that the whole is.
                return Box::pin(self.run(worker, method, request, text)).await;
            }
            Target::BuiltIn(built_in) => {
                return self.written(&request.id, &request.meta, self.describe(worker, built_in));
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
            return Err(self.dead_letter(&reason, &payload));
        }
        let text = String::from_utf8(payload)
            .map_err(|error| self.dead_letter(&error.to_string(), error.as_bytes()))?;
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
            Err(_) => self.dead_letter(&reason, text.as_bytes()),
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
    async fn run(&self, worker: &Worker, method: Arc<Method>, received: Received, text: String) -> Outcome {
        let Received {
            id,
            mut meta,
            target: _,
            args,
            kwargs,
        } = received;
        let now = self.shared.redis_now_ms();
        // A notification has no caller that could have stopped waiting.
        let left = meta.deadline.filter(|_| !meta.notify);
        let left = left.map(|deadline| duration(deadline.saturating_sub(now)));
        if left.is_some_and(|left| left.is_zero()) {
            let fault = Fault::app(
                code::DEADLINE_EXCEEDED,
                "the deadline had passed before the call was started",
            );
            return self.reply(&id, &meta, self.refused(by(worker, fault)));
        }
        let name = id.to_string();
        let Some(call) = self.running.enter(&name) else {
            // The caller has said that it does not listen any more.
            return self.reply(
                &id,
                &Meta { notify: true, ..meta },
                self.refused(Fault::cancelled()),
            );
        };
        let deadline = left.and_then(|left| Instant::now().checked_add(left));
        let context = Context {
            id: name,
            method: Arc::clone(&method.name),
            deadline,
            queued: meta.sent.map(|sent| duration(now.saturating_sub(sent))),
            traceparent: meta.traceparent.take(),
            tracestate: meta.tracestate.take(),
            cancel: call.cancel.clone(),
        };
        let request = Request {
            context,
            text,
            args,
            kwargs,
            states: Arc::clone(&self.states),
        };
        let claim = (meta.idempotent && !meta.notify).then(|| self.answers.claim(&request.context.id));
        let abandoned = call.abandoned(deadline).map(|fault| Err(by(worker, fault)));
        let answer = match claim {
            None => first_of(handle(method, request), abandoned).await,
            Some(Claim::First(run)) => {
                let running = first_of(handle(method, request), abandoned);
                run.remember(running).boxed().await
            }
            Some(Claim::Repeat(answer)) => first_of(answer, abandoned).boxed().await,
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
        let inbox = meta.reply_to.as_ref().filter(|inbox| self.keys.is_inbox(inbox));
        match inbox {
            Some(inbox) => Outcome::Inbox {
                inbox: inbox.clone(),
                text: envelope::reply(Some(id), answer),
            },
            None => Outcome::Reply {
                key: self.keys.reply(id),
                text: envelope::reply(None, answer),
            },
        }
    }

    fn dead_letter(&self, reason: &str, payload: &[u8]) -> Outcome {
        self.counters.dead_lettered.fetch_add(1, Relaxed);
        // The reason may quote the payload.
        tracing::warn!(bytes = payload.len(), "a request goes to the dead-letter list");
        let beginning = &payload[..payload.len().min(DEAD_LETTER_BYTES)];
        Outcome::DeadLetter(dead_letter::text(reason, self.shared.redis_now_ms(), beginning))
    }
}

/// The handler's answer, or why it is not waited for any more. A handler that panics, even while it is dropped,
/// answers all the same.
async fn first_of(handler: impl Future<Output = Answer>, abandoned: impl Future<Output = Answer>) -> Answer {
    let either = async {
        tokio::select! {
            biased;
            answer = handler => answer,
            answer = abandoned => answer,
        }
    };
    let answer = AssertUnwindSafe(either).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(Fault::handler("the handler panicked")))
}

/// Runs the handler, as the parent of the calls that it makes. The request's text is freed before the handler has
/// done anything.
fn handle(method: Arc<Method>, request: Request) -> impl Future<Output = Answer> {
    let context = &request.context;
    let parent = Parent {
        deadline: context.deadline,
        traceparent: context.traceparent.clone(),
        tracestate: context.tracestate.clone(),
    };
    let queued = context.queued;
    let (traceparent, queued_ms) = (&context.traceparent, queued.map(milliseconds));
    let span = tracing::info_span!(target: "rpc", "rpc", method = &*method.name, traceparent, queued_ms);
    let handling = async move {
        let mut handling = method.stats.start(queued);
        let answer = method.start(request).await;
        handling.failed = answer.is_err();
        answer
    };
    parent.of(handling).instrument(span)
}

/// Says which server the fault is from: the caller may want to know who had its request.
fn by(worker: &Worker, fault: Fault) -> Fault {
    let data = to_raw_value(&serde_json::json!({"server": worker.id}));
    Fault {
        data: data.ok(),
        ..fault
    }
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
