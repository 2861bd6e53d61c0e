//! One call: from its arguments to its result, with what is known when there is none.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::inbox::call_id;
use super::outbox::{Attempt, Waiting};
use super::pending::{Outcome, Ticket};
use super::{Client, META_VERSION, QueueState, abandoned};
use crate::connection::{self, milliseconds};
use crate::envelope::{Meta, Reply};
use crate::parent::Parent;
use crate::{Arguments, Error, Fault, RawArgs, code, repair, trace};

/// How long a call waits that has no deadline.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A timeout should say how the queue stands, but not come much later for it.
const ASK_QUEUE: Duration = Duration::from_millis(250);

/// How long the server that has the request may take to say so.
const ASK_SERVER: Duration = Duration::from_millis(150);

/// How much of a reply that cannot be decoded is kept for the error.
const RAW_LIMIT: usize = 1024;

/// So many calls of [`Call::send_many`] are in flight at once.
const WINDOW: usize = 512;

/// One call that is being prepared; see [`Client::request`].
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    client: Client,
    method: String,
    /// Without this there are none.
    args: Option<Result<RawArgs, serde_json::Error>>,
    options: Options,
}

#[derive(Clone)]
struct Options {
    timeout: Option<Duration>,
    traceparent: Option<String>,
    idempotent: bool,
}

impl Call {
    pub(super) fn new(client: Client, method: String) -> Self {
        let options = Options {
            timeout: Some(client.inner.timeout),
            traceparent: None,
            idempotent: false,
        };
        Self {
            client,
            method,
            args: None,
            options,
        }
    }

    /// The arguments; without this there are none.
    pub fn params(self, params: impl Arguments) -> Self {
        Self {
            args: Some(params.encode()),
            ..self
        }
    }

    /// How long to wait, instead of the client's timeout, and never longer than the caller of the handler that makes
    /// the call, if one does. The server is told: it does not start a call whose caller has stopped waiting, and
    /// drops one that is running then.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Waits until the reply comes or the future is dropped, and tells the server no deadline. Unless the call is
    /// [idempotent](Self::idempotent), a reply can be lost with the connection that carries it, so the caller needs
    /// a rule of its own for giving up.
    pub fn no_deadline(mut self) -> Self {
        self.options.timeout = None;
        self
    }

    /// The W3C `traceparent` header to send, instead of what [`trace::set_source`] gives or the handler that makes the
    /// call was called with.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.options.traceparent = Some(traceparent.into());
        self
    }

    /// Says that carrying out this call twice does no harm. Then the request is sent again, with the same id, when
    /// the connection that carried it or could have carried its reply is lost, until the caller stops waiting.
    ///
    /// A server of this crate carries it out once all the same, as long as it remembers the id: for 10 minutes, and
    /// among the last 100,000 idempotent calls and 64 MiB of their results. Another server of the same queue, a
    /// server that was started anew and a Python server carry it out again.
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }

    /// Sends the request and waits for the result. Dropping the future cancels the call: servers of this crate do not
    /// start it any more, and drop it if it is running (see [`Context::cancelled`](crate::Context::cancelled)).
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn send<R: DeserializeOwned>(mut self) -> Result<R, Error> {
        let reply = self.exchange().await?;
        match reply.code {
            code::OK => {
                repair::parse(reply.result.get()).map_err(|source| undecodable(source, reply.result.get()))
            }
            code::UNKNOWN_REMOTE_CALL => Err(Error::UnknownMethod { method: self.method }),
            code => Err(Error::Remote(Fault::from_reply(code, &reply.result))),
        }
    }

    /// Makes one call with each of these arguments, many of them at once, and gives their results in the same order.
    /// Every call has its own timeout, from when it is sent.
    pub async fn send_many<R: DeserializeOwned>(
        self,
        params: impl IntoIterator<Item = impl Arguments>,
    ) -> Vec<Result<R, Error>> {
        let calls: Vec<_> = params
            .into_iter()
            .map(|params| Self {
                client: self.client.clone(),
                method: self.method.clone(),
                args: Some(params.encode()),
                options: self.options.clone(),
            })
            .map(Self::send)
            .collect();
        stream::iter(calls).buffered(WINDOW).collect().await
    }

    /// Sends the request and waits for the reply, whatever it says.
    pub(super) async fn exchange(&mut self) -> Result<Reply, Error> {
        let parent = Parent::current();
        let source = || trace::current().or(parent.traceparent.clone());
        self.options.traceparent = self.options.traceparent.take().or_else(source);
        let args = self
            .args
            .take()
            .unwrap_or_else(|| ().encode())
            .map_err(Error::Encode)?;
        let left = parent.left();
        let after = self
            .options
            .timeout
            .map(|timeout| left.map_or(timeout, |left| left.min(timeout)));
        let now = Instant::now();
        let deadline = after.and_then(|after| now.checked_add(after));
        let inner = &*self.client.inner;
        let number = inner.next_number();
        let request = Sending {
            method: &self.method,
            id: call_id(&inner.name, number),
            args: Some(args),
            body: None,
            deadline,
            tracestate: parent.tracestate,
            options: &self.options,
            client: &self.client,
        };
        let (after, deadline) = (after.unwrap_or(FOR_EVER), deadline.unwrap_or(now + FOR_EVER));
        // What is rare is boxed: in place it would be moved along with every call.
        let mut ticket = match inner.pending.register_now(number) {
            Some(ticket) => ticket,
            None => match timeout_at(deadline, inner.pending.register(number)).boxed().await {
                Ok(ticket) => ticket,
                Err(_) => return Err(inner.not_sent(&self.method, after)),
            },
        };
        match timeout_at(deadline, request.exchange(&mut ticket)).await {
            Ok(Ok(reply)) => match gave_up(&reply) {
                Some(server) if left.is_none() => Err(self.given_up(after, Some(server)).boxed().await),
                Some(server) => Err(self.timed_out(after, Some(server), None)),
                None => Ok(reply),
            },
            Ok(Err(error)) => Err(error),
            Err(_) if !ticket.sent => Err(inner.not_sent(&self.method, after)),
            Err(_) => self.too_late(ticket, after).boxed().await,
        }
    }

    /// Finds out what became of a request whose reply did not come in time. It may even come now.
    async fn too_late(&self, mut ticket: Ticket, after: Duration) -> Result<Reply, Error> {
        let inner = &self.client.inner;
        // A handler that waits for this call has something better to do with the time it has left.
        if Parent::current().deadline.is_some() {
            return Err(self.timed_out(after, None, None));
        }
        let ask_server = async {
            let ids = [call_id(&inner.name, ticket.number)];
            let (listening,): (u64,) = inner
                .shared
                .run(&abandoned::cancel(&inner.keys, &ids))
                .await
                .ok()?;
            if listening == 0 {
                return None;
            }
            Some(ticket.outcome().await)
        };
        match timeout(ASK_SERVER, ask_server).await.ok().flatten() {
            Some(Outcome::Answered(Ok(reply))) => match gave_up(&reply) {
                Some(server) => Err(self.given_up(after, Some(server)).await),
                None => Ok(reply),
            },
            Some(Outcome::Answered(Err(_)) | Outcome::Unsent(..)) | None => {
                Err(self.given_up(after, None).await)
            }
        }
    }

    /// The error for a request of which at most its server is known, with what Redis says of the queue.
    async fn given_up(&self, after: Duration, taken_by: Option<String>) -> Error {
        let state = timeout(ASK_QUEUE, self.client.inner.queue_state()).await;
        self.timed_out(after, taken_by, state.ok().and_then(Result::ok))
    }

    fn timed_out(&self, after: Duration, taken_by: Option<String>, state: Option<QueueState>) -> Error {
        Error::Timeout {
            method: self.method.clone(),
            after,
            sent: true,
            queue_len: state.as_ref().map(|state| state.len),
            servers: state.map(|state| state.servers),
            taken_by,
        }
    }
}

/// The server that says in its reply that it does not carry out the call any more.
fn gave_up(reply: &Reply) -> Option<String> {
    #[derive(Deserialize)]
    struct By {
        server: String,
    }
    if !matches!(reply.code, code::CANCELLED | code::DEADLINE_EXCEEDED) {
        return None;
    }
    let fault = Fault::from_reply(reply.code, &reply.result);
    let By { server } = serde_json::from_str(fault.data?.get()).ok()?;
    Some(server)
}

/// A request on its way into the queue.
struct Sending<'a> {
    method: &'a str,
    id: String,
    /// Until the body is made of them.
    args: Option<RawArgs>,
    /// Until it is in the queue, or longer if it may have to be sent again.
    body: Option<Vec<u8>>,
    deadline: Option<Instant>,
    tracestate: Option<String>,
    options: &'a Options,
    client: &'a Client,
}

impl Sending<'_> {
    /// Puts the request into the queue and waits for its reply.
    async fn exchange(mut self, ticket: &mut Ticket) -> Result<Reply, Error> {
        let inner = &self.client.inner;
        let idempotent = self.options.idempotent;
        let mut losses = idempotent.then(|| inner.pending.losses.subscribe());
        loop {
            // The clock of Redis is known only from the first connection on.
            if !inner.shared.is_live() {
                inner.shared.live().boxed().await?;
            }
            if let Some(losses) = &mut losses {
                losses.mark_unchanged();
            }
            let before = self.hand_in(ticket)?;
            let outcome = match &mut losses {
                None => ticket.outcome().await,
                Some(losses) => tokio::select! {
                    outcome = ticket.outcome() => outcome,
                    Ok(()) = losses.changed() => continue,
                },
            };
            let (body, error) = match outcome {
                Outcome::Answered(reply) => return reply,
                Outcome::Unsent(body, error) => (body, error),
            };
            self.body = Some(body);
            self.may_try_again(before, error, ticket)?;
            ticket.wait_again();
        }
    }

    /// Hands the request to the outbox; returns whether it had been before.
    fn hand_in(&mut self, ticket: &mut Ticket) -> Result<bool, Error> {
        let outbox = &self.client.inner.outbox;
        if !ticket.sent {
            outbox.limit.check()?;
        }
        let body = self.body()?;
        self.body = self.options.idempotent.then(|| body.clone());
        let before = std::mem::replace(&mut ticket.sent, true);
        outbox.hand_in(Waiting {
            number: ticket.number,
            body,
            attempt: if before { Attempt::Again } else { Attempt::First },
        });
        Ok(before)
    }

    /// Whether a request that was not sent, as far as is known, is handed in again; the error, if not.
    fn may_try_again(&self, before: bool, error: Error, ticket: &mut Ticket) -> Result<(), Error> {
        match error {
            // Redis itself said no, and will not for ever; or it is no harm to send twice.
            Error::Transport { source, maybe_sent }
                if connection::is_passing(&source) && (!maybe_sent || self.options.idempotent) =>
            {
                if !maybe_sent {
                    ticket.sent = before;
                }
                Ok(())
            }
            Error::Transport { source, .. } if connection::had_no_memory(&source, 0) => {
                ticket.sent = before;
                Err(self.client.inner.outbox.limit.overloaded(None))
            }
            Error::Overloaded { .. } => {
                ticket.sent = before;
                Err(error)
            }
            error => Err(error),
        }
    }

    /// The request's text. The arguments are dropped as soon as they are in it.
    fn body(&mut self) -> Result<Vec<u8>, Error> {
        if let Some(body) = self.body.take() {
            return Ok(body);
        }
        let inner = &self.client.inner;
        let now = inner.shared.redis_now_ms();
        let meta = Meta {
            v: Some(META_VERSION),
            reply_to: Some(inner.inbox.clone()),
            sent: Some(now),
            deadline: self.deadline.map(|deadline| now.saturating_add(left(deadline))),
            idempotent: self.options.idempotent,
            tracestate: self.options.traceparent.as_ref().and(self.tracestate.take()),
            traceparent: self.options.traceparent.clone(),
            ..Meta::default()
        };
        let args = self
            .args
            .take()
            .expect("the text that was made of them is kept until it is sent");
        inner.request_text(&self.id, self.method, &args, &meta)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

fn left(deadline: Instant) -> i64 {
    milliseconds(deadline.saturating_duration_since(Instant::now()))
}

/// The error for a reply that has another form than expected.
pub(super) fn undecodable(source: serde_json::Error, text: &str) -> Error {
    Error::Decode {
        source,
        raw: text[..text.floor_char_boundary(RAW_LIMIT)].to_owned(),
    }
}
