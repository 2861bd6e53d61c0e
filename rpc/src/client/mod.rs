//! Calls methods of the servers of one queue.
//!
//! Promises: building never waits for the network; two connections carry any number of calls; a call that is
//! dropped leaves nothing behind in this process; a request is sent at most once, unless its call is idempotent.
//!
//! Reading order: this file (what a user sees), `builder`, `call` (one call from its arguments to its result), `outbox`
//! (how requests are sent), `queue` (how long it is), `pending` (the calls in flight), `peers` (who answers), `inbox`
//! (how replies find their calls), `abandoned` (what becomes of calls that nobody waits for).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::connection::{Shared, pipe};
use crate::envelope::{MAX_REQUEST, Meta};
use crate::keys::Keys;
use crate::parent::Parent;
use crate::{Arguments, Error, RawArgs, envelope};

mod builder;
mod call;
mod outbox;
mod queue;
mod pending;
mod peers;
mod inbox;
mod abandoned;

pub use builder::ClientBuilder;
pub use call::Call;
use outbox::Outbox;
use pending::Pending;
pub use queue::QueueState;

/// The version of the `meta` object that we write.
const META_VERSION: u32 = 1;

/// Calls the methods served on one queue. Clones are cheap and share two connections; the last one dropped, with
/// the last call, ends the client's tasks.
///
/// ```no_run
/// # async fn example() -> Result<(), rpc::Error> {
/// # #[derive(serde::Serialize)] struct Sum { x: i64, y: i64 }
/// use std::time::Duration;
/// use rpc::{Args, Client, Kw};
///
/// let client = Client::builder("math").redis("redis://127.0.0.1:6379").build()?;
/// let total: i64 = client.call("sum", (14, 3)).await?;
/// let total: i64 = client.call("sum", Kw(&Sum { x: 14, y: 3 })).await?;
/// let total: i64 = client.call("sum", Args((14,), Kw(serde_json::json!({"y": 3})))).await?;
/// let total: i64 = client.request("sum").params((14, 3)).timeout(Duration::from_millis(800)).send().await?;
/// client.notify("touch", ("k",)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    shared: Shared,
    pending: Arc<Pending>,
    /// Begins every request's id, so that ids of different clients differ.
    name: String,
    /// The list of replies to it.
    inbox: String,
    outbox: Arc<Outbox>,
    requests: AtomicU64,
    timeout: Duration,
    /// Connects, sends, reads the inbox, looks for Python's replies, cancels. Aborted with the last clone: nobody waits then.
    _tasks: JoinSet<()>,
}

impl Client {
    /// Starts to configure a client of the queue `queue`, the name that servers use too.
    pub fn builder(queue: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(queue.into())
    }

    /// Calls `method` and waits for its result, at most as long as the client's timeout. While Redis is away the
    /// request waits here.
    ///
    /// # Errors
    ///
    /// Everything in [`Error`] but [`Error::Config`] and [`Error::Start`].
    pub async fn call<R: DeserializeOwned>(&self, method: &str, params: impl Arguments) -> Result<R, Error> {
        self.request(method).params(params).send().await
    }

    /// Calls `method` and gives the reply's `error` and `result` as they are, as Python's client does: a failure
    /// of the method is a code other than 0.
    ///
    /// # Errors
    ///
    /// When there is no reply: all of [`call`](Self::call)'s but [`Error::UnknownMethod`] and [`Error::Remote`].
    pub async fn call_raw(
        &self,
        method: &str,
        params: impl Arguments,
    ) -> Result<(i64, Box<RawValue>), Error> {
        let mut call = self.request(method).params(params);
        let reply = call.exchange().await?;
        Ok((reply.code, reply.result))
    }

    /// Calls `method` once with each of these arguments, many calls at once, and gives the results in the same order;
    /// [`Call::send_many`] does it with options.
    pub async fn call_many<R: DeserializeOwned>(
        &self,
        method: &str,
        params: impl IntoIterator<Item = impl Arguments>,
    ) -> Vec<Result<R, Error>> {
        self.request(method).send_many(params).await
    }

    /// Prepares a call with options.
    pub fn request(&self, method: impl Into<String>) -> Call {
        Call::new(self.clone(), method.into())
    }

    /// Sends a request that nobody answers, and returns when it is in the queue. What becomes of it is not known:
    /// it is as durable as Redis.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`], [`Error::TooLarge`], [`Error::Transport`], or [`Error::Timeout`] if Redis does not take
    /// the request within the client's timeout.
    pub async fn notify(&self, method: &str, params: impl Arguments) -> Result<(), Error> {
        let args = params.encode().map_err(Error::Encode)?;
        let inner = &*self.inner;
        let sent = tokio::time::timeout(inner.timeout, async {
            inner.shared.live().await?;
            let parent = Parent::current();
            let traceparent = crate::trace::current().or(parent.traceparent);
            let meta = Meta {
                v: Some(META_VERSION),
                notify: true,
                sent: Some(inner.shared.redis_now_ms()),
                tracestate: traceparent.as_ref().and(parent.tracestate),
                traceparent,
                ..Meta::default()
            };
            // Python answers even this. All those replies go to one key, which the next notification empties.
            let id = format!("{}-n", inner.name);
            let body = inner.request_text(&id, method, &args, &meta)?;
            let mut commands = pipe();
            commands
                .unlink(inner.keys.reply(&id))
                .ignore()
                .rpush(inner.keys.queue(), body)
                .ignore();
            inner.shared.run::<()>(&commands).await
        });
        sent.await
            .unwrap_or_else(|_| Err(inner.not_sent(method, inner.timeout)))
    }

    /// How many calls wait for their replies at this moment, of this client and its clones: those that were sent, and those
    /// that are to be. There are never more than 10,000; further calls wait until others have ended.
    pub fn in_flight(&self) -> usize {
        self.inner.pending.len()
    }

    /// Asks Redis for the state of the queue, waiting for a connection at most as long as the client's timeout.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], [`Error::Timeout`] or [`Error::Closed`].
    pub async fn queue_state(&self) -> Result<QueueState, Error> {
        let asked = tokio::time::timeout(self.inner.timeout, self.inner.queue_state()).await;
        asked.unwrap_or_else(|_| Err(self.inner.not_sent("queue state", self.inner.timeout)))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("queue", &self.inner.keys.queue())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    fn request_text(&self, id: &str, method: &str, args: &RawArgs, meta: &Meta) -> Result<Vec<u8>, Error> {
        let text = envelope::request(id, method, args, meta);
        if text.len() > MAX_REQUEST {
            return Err(Error::TooLarge {
                bytes: text.len(),
                limit: MAX_REQUEST,
            });
        }
        Ok(text)
    }

    /// Why a request never left this process.
    fn not_sent(&self, method: &str, after: Duration) -> Error {
        self.shared.why_down().map_or_else(
            || Error::Timeout {
                method: method.to_owned(),
                after,
                sent: false,
                queue_len: None,
                servers: None,
                taken_by: None,
            },
            |source| Error::Transport {
                source,
                maybe_sent: false,
            },
        )
    }
}
