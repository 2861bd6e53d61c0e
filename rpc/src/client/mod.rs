//! Calls methods of the servers of one queue.
//!
//! Promises: building never waits for the network; two connections carry any number of calls; a call that is
//! dropped leaves nothing behind in this process; a request is sent at most once, unless its call is idempotent. Reading order: this file (what a
//! user sees), `call` (one call from its arguments to its result), `pending` (the calls in flight), `inbox` (how
//! replies find them).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::connection::{Address, DEFAULT_URL, Endpoint, Shared, pipe};
use crate::envelope::{MAX_REQUEST, Meta};
use crate::keys::Keys;
use crate::{Arguments, Error, RawArgs, envelope};

mod call;
mod pending;
mod inbox;

pub use call::Call;
use pending::Pending;

/// How long a call waits unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

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
    requests: AtomicU64,
    timeout: Duration,
    /// Connects, reads the inbox, looks for Python's replies. Aborted with the last clone: nobody waits then.
    _tasks: JoinSet<()>,
}

/// Configures a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    queue: String,
    url: String,
    timeout: Duration,
}

/// What Redis knows of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// How many requests wait to be taken.
    pub len: u64,
    /// How many servers of this crate are alive. Python servers do not show themselves.
    pub servers: u64,
    /// Changes whenever Redis starts anew.
    pub redis_run_id: String,
}

impl Client {
    /// Starts to configure a client of the queue `queue`, the name that servers use too.
    pub fn builder(queue: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            queue: queue.into(),
            url: DEFAULT_URL.to_owned(),
            timeout: DEFAULT_TIMEOUT,
        }
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
        let reply = self.request(method).params(params).exchange().await?;
        Ok((reply.code, reply.result))
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
            let meta = Meta {
                v: Some(META_VERSION),
                notify: true,
                sent: Some(inner.shared.redis_now_ms()),
                traceparent: crate::trace::current(),
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

impl ClientBuilder {
    /// The Redis to use, as [`Address`](crate::Address) describes; by default `redis://127.0.0.1:6379`.
    #[must_use]
    pub fn redis(self, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..self
        }
    }

    /// How long a call waits for its reply unless it says otherwise; by default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Starts the client. It does not wait for the network: Redis may come later.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the URL or the queue's name cannot work, or outside of a Tokio runtime.
    pub fn build(self) -> Result<Client, Error> {
        let address: Address = self.url.parse()?;
        let keys = Keys::new(&self.queue)?.at(&address);
        let endpoint = Endpoint::new(address, keys.queue());
        let runtime = Handle::try_current()
            .map_err(|_| Error::Config("a client must be built inside a Tokio runtime".to_owned()))?;
        let name = format!("{:012x}", fastrand::u64(..1 << 48));
        let pending = Arc::new(Pending::default());
        let (shared, connecting) = Shared::new(endpoint.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn_on(connecting, &runtime);
        tasks.spawn_on(
            inbox::read(endpoint, keys.inbox(&name), Arc::clone(&pending)),
            &runtime,
        );
        tasks.spawn_on(
            inbox::sweep(shared.clone(), keys.clone(), Arc::clone(&pending)),
            &runtime,
        );
        let requests = AtomicU64::new(0);
        let inner = Inner {
            keys,
            shared,
            pending,
            name,
            requests,
            timeout: self.timeout,
            _tasks: tasks,
        };
        Ok(Client {
            inner: Arc::new(inner),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn next_id(&self) -> String {
        format!("{}-{}", self.name, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    fn request_text(&self, id: &str, method: &str, args: &RawArgs, meta: &Meta) -> Result<String, Error> {
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
            },
            |source| Error::Transport {
                source,
                maybe_sent: false,
            },
        )
    }

    async fn queue_state(&self) -> Result<QueueState, Error> {
        let mut commands = pipe();
        commands
            .llen(self.keys.queue())
            .hkeys(self.keys.workers())
            .cmd("INFO")
            .arg("server");
        let (len, workers, info): (u64, Vec<String>, String) = self.shared.run(&commands).await?;
        let servers = if workers.is_empty() {
            0
        } else {
            let heartbeats: Vec<String> = workers.iter().map(|worker| self.keys.heartbeat(worker)).collect();
            let (alive,) = self.shared.run(pipe().exists(heartbeats)).await?;
            alive
        };
        let run_id = info
            .lines()
            .find_map(|line| line.strip_prefix("run_id:"))
            .unwrap_or_default();
        Ok(QueueState {
            len,
            servers,
            redis_run_id: run_id.to_owned(),
        })
    }
}
