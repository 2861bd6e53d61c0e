//! One request from its text to its reply: read, checked, run and answered. Knows nothing of how requests are taken
//! and replies are handed in. Nothing in a request's text and nothing a handler does ends more than that one request.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::{RawValue, to_raw_value};
use tracing::Instrument;

use super::answers::{Answers, Claim};
use super::dead_letter;
use super::extract::States;
use super::finish::{Finish, Finished, Inboxes, Outcome};
use super::handler::{Answer, Method};
use super::introspection::BuiltIn;
use super::request::{Context, Request};
use super::running::{Call, Running};
use super::stats::{Counters, MethodStats};
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
    pub(super) max_reply: usize,
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

/// Who gets the reply, and where.
struct Caller {
    id: RequestId,
    /// Whether it wants none.
    silent: bool,
    inbox: Option<String>,
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
        let outcome = match self.begin(&finish.worker, payload) {
            Ok((caller, answer)) => self.reply(caller, answer.await),
            Err(outcome) => outcome,
        };
        finish.hand_in(Finished { slot, outcome }).await;
    }

    /// What tells the caller of a request that it is given up; none if there is no telling who it is.
    pub(super) fn given_up(&self, payload: &[u8], reason: &str) -> Option<Outcome> {
        let text = String::from_utf8_lossy(payload);
        let repaired = repair::repaired(&text);
        let text = repaired.as_deref().unwrap_or(&text);
        let request: Answerable<'_> = serde_json::from_str(text).ok()?;
        let fault = Fault::app(code::DEAD_LETTERED, reason);
        Some(self.reply(self.caller(request.id.clone(), request.meta()), Err(fault)))
    }

    /// Reads the request and starts what answers it, if anything does. What is put together here is not carried along
    /// by the task that waits for the answer.
    fn begin<'a>(
        &'a self,
        worker: &'a Worker,
        payload: Vec<u8>,
    ) -> Result<(Caller, BoxFuture<'a, Answer>), Outcome> {
        let (request, text) = self.read(payload)?;
        match request.target {
            Target::Method(ref method) => {
                let method = Arc::clone(method);
                self.start(worker, method, request, text)
            }
            Target::BuiltIn(built_in) => {
                let caller = self.caller(request.id, request.meta);
                Err(self.written(caller, self.describe(worker, built_in)))
            }
            Target::Nobody => {
                tracing::debug!(id = %request.id, "a call of an unknown method");
                let fault = self.refused(Fault::app(code::UNKNOWN_REMOTE_CALL, "no such method"));
                Err(self.reply(self.caller(request.id, request.meta), fault))
            }
        }
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
                self.reply(self.caller(request.id.clone(), request.meta()), fault)
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

    /// Starts the method's handler, unless that makes no sense any more or somebody else has answered already.
    fn start<'a>(
        &'a self,
        worker: &'a Worker,
        method: Arc<Method>,
        received: Received,
        text: String,
    ) -> Result<(Caller, BoxFuture<'a, Answer>), Outcome> {
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
            let fault = self.refused(by(worker, fault));
            return Err(self.reply(self.caller(id, meta), fault));
        }
        let name = id.to_string();
        let Some(call) = self.running.enter(&name) else {
            // The caller has said that it does not listen any more.
            let silent = self.caller(id, Meta { notify: true, ..meta });
            return Err(self.reply(silent, self.refused(Fault::cancelled())));
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
        let answer = match claim {
            None => first_of(handle(&method, request), call, deadline, worker).boxed(),
            Some(Claim::First(run)) => {
                let running = first_of(handle(&method, request), call, deadline, worker);
                run.remember(running).boxed()
            }
            Some(Claim::Repeat(answer)) => first_of(answer, call, deadline, worker).boxed(),
        };
        Ok((self.caller(id, meta), answer))
    }

    fn caller(&self, id: RequestId, meta: Meta) -> Caller {
        Caller {
            id,
            silent: meta.notify,
            // Any other key would let a caller write wherever it likes.
            inbox: meta.reply_to.filter(|inbox| self.keys.is_inbox(inbox)),
        }
    }

    /// Counts a request that no handler is started for.
    fn refused(&self, fault: Fault) -> Answer {
        self.counters.refused.fetch_add(1, Relaxed);
        Err(fault)
    }

    fn reply(&self, caller: Caller, answer: Answer) -> Outcome {
        let answer = answer.and_then(|result| self.of_bearable_size(result));
        let counter = if answer.is_ok() {
            &self.counters.handled
        } else {
            &self.counters.failed
        };
        counter.fetch_add(1, Relaxed);
        self.written(caller, answer)
    }

    fn of_bearable_size(&self, result: Box<RawValue>) -> Answer {
        let bytes = result.get().len();
        if bytes <= self.max_reply {
            return Ok(result);
        }
        let why = format!("the result has {bytes} bytes, more than {}", self.max_reply);
        Err(Fault::app(code::BAD_RESULT, why))
    }

    fn written(&self, caller: Caller, answer: Answer) -> Outcome {
        if caller.silent {
            return Outcome::Silence;
        }
        let answer = answer.map_err(Fault::into_reply);
        let answer = answer.as_deref().map_err(|(code, result)| (*code, &**result));
        match caller.inbox {
            Some(inbox) => Outcome::Inbox {
                inbox,
                text: envelope::reply(Some(&caller.id), answer),
            },
            None => Outcome::Reply {
                key: self.keys.reply(caller.id),
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
async fn first_of(
    handler: impl Future<Output = Answer>,
    call: Call<'_>,
    deadline: Option<Instant>,
    worker: &Worker,
) -> Answer {
    let mut handler = pin!(Some(handler));
    // Most handlers never wait, and need no clock.
    let mut abandoned = None;
    poll_fn(|context| {
        let polled = AssertUnwindSafe(|| {
            let running = handler.as_mut().as_pin_mut();
            let mut answer = running.map_or(Poll::Pending, |handler| handler.poll(context));
            if answer.is_pending() {
                let abandoned = abandoned.get_or_insert_with(|| call.abandoned(deadline).boxed());
                answer = abandoned.poll_unpin(context).map(|fault| Err(by(worker, fault)));
            }
            if answer.is_ready() {
                handler.set(None);
            }
            answer
        });
        let panicked = || Poll::Ready(Err(Fault::handler("the handler panicked")));
        catch_unwind(polled).unwrap_or_else(|_| panicked())
    })
    .await
}

/// Starts the handler, as the parent of the calls that it makes. The request's text is freed before the handler has
/// done anything.
fn handle(method: &Method, request: Request) -> impl Future<Output = Answer> + Send + use<> {
    let context = &request.context;
    let parent = Parent {
        deadline: context.deadline,
        traceparent: context.traceparent.clone(),
        tracestate: context.tracestate.clone(),
    };
    let queued = context.queued;
    let (traceparent, queued_ms) = (&context.traceparent, queued.map(milliseconds));
    let span = tracing::info_span!(target: "rpc", "rpc", method = &*method.name, traceparent, queued_ms);
    let handling = MethodStats::start(&method.stats, queued);
    let start = AssertUnwindSafe(|| method.start(request));
    let started = span.in_scope(|| parent.clone().of_start(|| catch_unwind(start)));
    let handling = async move {
        let mut handling = handling;
        let answer = match started {
            Ok(running) => running.await,
            Err(_) => Err(Fault::handler("the handler panicked")),
        };
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
