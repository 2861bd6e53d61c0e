//! One call: from its arguments to its result, with what is known when there is none.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Client, META_VERSION};
use crate::connection::{self, milliseconds, pipe};
use crate::envelope::{Meta, Reply};
use crate::{Arguments, Error, Fault, RawArgs, code, repair};

/// A timeout should say how the queue stands, but not come much later for it.
const ASK_QUEUE: Duration = Duration::from_millis(250);

/// How much of a reply that cannot be decoded is kept for the error.
const RAW_LIMIT: usize = 1024;

/// One call that is being prepared; see [`Client::request`].
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    client: Client,
    method: String,
    args: Result<RawArgs, serde_json::Error>,
    timeout: Option<Duration>,
    traceparent: Option<String>,
    idempotent: bool,
}

/// How far a call has come, for the error of one that ends early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Sent,
}

impl Call {
    pub(super) fn new(client: Client, method: String) -> Self {
        let timeout = Some(client.inner.timeout);
        Self {
            client,
            method,
            args: ().encode(),
            timeout,
            traceparent: None,
            idempotent: false,
        }
    }

    /// The arguments; without this there are none.
    pub fn params(self, params: impl Arguments) -> Self {
        Self {
            args: params.encode(),
            ..self
        }
    }

    /// How long to wait, instead of the client's timeout. The server is told, and does not start a call whose
    /// caller has stopped waiting.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    /// Waits until the reply comes or the future is dropped, and tells the server no deadline. Unless the call is
    /// [idempotent](Self::idempotent), a reply can be lost with the connection that carries it, so the caller needs
    /// a rule of its own for giving up.
    pub fn no_deadline(self) -> Self {
        Self {
            timeout: None,
            ..self
        }
    }

    /// The W3C `traceparent` header to send, instead of what [`trace::set_source`](crate::trace::set_source) gives.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        Self {
            traceparent: Some(traceparent.into()),
            ..self
        }
    }

    /// Says that carrying out this call twice does no harm. Then the request is sent again, with the same id, when
    /// the connection that carried it or could have carried its reply is lost, until the caller stops waiting.
    ///
    /// A server of this crate carries it out once all the same, as long as it remembers the id: for 10 minutes, and
    /// among the last 100,000 idempotent calls and 64 MiB of their results. Another server of the same queue, a
    /// server that was started anew and a Python server carry it out again.
    pub fn idempotent(self) -> Self {
        Self {
            idempotent: true,
            ..self
        }
    }

    /// Sends the request and waits for the result. Dropping the future forgets the call; the server may still
    /// carry it out.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn send<R: DeserializeOwned>(self) -> Result<R, Error> {
        let method = self.method.clone();
        let reply = self.exchange().await?;
        match reply.code {
            code::OK => {
                repair::parse(reply.result.get()).map_err(|source| undecodable(source, reply.result.get()))
            }
            code::UNKNOWN_REMOTE_CALL => Err(Error::UnknownMethod { method }),
            code => Err(Error::Remote(Fault::from_reply(code, &reply.result))),
        }
    }

    /// Sends the request and waits for the reply, whatever it says.
    pub(super) async fn exchange(mut self) -> Result<Reply, Error> {
        self.traceparent = self.traceparent.take().or_else(crate::trace::current);
        let args = std::mem::replace(&mut self.args, ().encode()).map_err(Error::Encode)?;
        let mut progress = Progress::Waiting;
        let deadline = self
            .timeout
            .and_then(|after| Some((after, Instant::now().checked_add(after)?)));
        let Some((after, deadline)) = deadline else {
            return self.attempt(&args, None, &mut progress).await;
        };
        match timeout_at(deadline, self.attempt(&args, Some(deadline), &mut progress)).await {
            Ok(outcome) => outcome,
            Err(_) if progress == Progress::Waiting => Err(self.client.inner.not_sent(&self.method, after)),
            Err(_) => {
                let state = timeout(ASK_QUEUE, self.client.inner.queue_state())
                    .await
                    .ok()
                    .and_then(Result::ok);
                Err(Error::Timeout {
                    method: self.method,
                    after,
                    sent: true,
                    queue_len: state.as_ref().map(|state| state.len),
                    servers: state.map(|state| state.servers),
                })
            }
        }
    }

    async fn attempt(
        &self,
        args: &RawArgs,
        deadline: Option<Instant>,
        progress: &mut Progress,
    ) -> Result<Reply, Error> {
        let inner = &self.client.inner;
        let id = inner.next_id();
        let mut ticket = inner.pending.register(&id).await;
        let mut losses = inner.pending.losses.subscribe();
        loop {
            losses.mark_unchanged();
            self.hand_in(&id, args, deadline, progress).await?;
            tokio::select! {
                reply = ticket.reply() => return reply,
                Ok(()) = losses.changed(), if self.idempotent => {}
            }
        }
    }

    /// Puts the request into the queue.
    async fn hand_in(
        &self,
        id: &str,
        args: &RawArgs,
        deadline: Option<Instant>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let inner = &self.client.inner;
        loop {
            inner.shared.live().await?;
            let meta = Meta {
                v: Some(META_VERSION),
                reply_to: Some(inner.keys.inbox(&inner.name)),
                // The clock of Redis is known only from the first connection on.
                sent: Some(inner.shared.redis_now_ms()),
                deadline: deadline.map(|deadline| inner.shared.redis_now_ms().saturating_add(left(deadline))),
                idempotent: self.idempotent,
                traceparent: self.traceparent.clone(),
                ..Meta::default()
            };
            let body = inner.request_text(id, &self.method, args, &meta)?;
            let before = std::mem::replace(progress, Progress::Sent);
            match inner
                .shared
                .run::<()>(pipe().rpush(inner.keys.queue(), body).ignore())
                .await
            {
                Ok(()) => return Ok(()),
                // Redis itself said no, and will not for ever; or it is no harm to send twice.
                Err(Error::Transport { source, maybe_sent })
                    if connection::is_passing(&source) && (!maybe_sent || self.idempotent) =>
                {
                    if !maybe_sent {
                        *progress = before;
                    }
                }
                Err(error) => return Err(error),
            }
        }
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
