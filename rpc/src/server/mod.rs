//! Answers the calls that arrive on one queue.
//!
//! A request is moved (`BLMOVE`) from the queue into a slot, a list of its own, and the slot is deleted behind the
//! reply. So at every moment a request is in the queue or in a slot, and the slots of a worker that died are found
//! through its registration and moved back; a request with which three workers died is given up. What is not promised
//! is that a handler runs only once.
//!
//! Reading order: this file (what a user sees, and the order of start and stop), `request`, `extract` and `handler`
//! (what can answer a request), `stats`, `introspection` (what a server tells about itself), `service` (one request
//! from its text to its reply), `answers` (what a repeat is answered with), `dead_letter`, `fetch` (how requests are
//! taken), `slots`, `worker` (being known to be alive), `reaper` (who died), `recovery` (what becomes of their
//! requests), `process` (is that process still there).

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::connection::{Address, DEFAULT_URL, Endpoint, RedisResult, Shared};
use crate::envelope::MAX_REQUEST;
use crate::keys::Keys;

mod request;
mod extract;
mod handler;
mod stats;
mod introspection;
mod service;
mod answers;
mod dead_letter;
mod fetch;
mod slots;
mod worker;
mod reaper;
mod recovery;
mod process;

use extract::States;
pub use extract::{ByName, ByValue, Extract, Needs, Params, State};
use fetch::Fetch;
use handler::Method;
pub use handler::{Always, Answer, Handler, IntoAnswer, Perhaps};
pub use request::{Context, Request};
use service::{Methods, Service};
pub use stats::Report;
use worker::Worker;

/// How many handlers run at once unless told otherwise.
const DEFAULT_CONCURRENCY: usize = 64;

/// How long running handlers may take after the stop signal unless told otherwise; shorter than the 30 seconds
/// after which most supervisors kill.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often Redis is asked to end the take that is waiting when the server stops.
const WAKE_INTERVAL: Duration = Duration::from_millis(50);

type StartHook =
    Box<dyn FnOnce() -> BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send>;

/// Answers the calls that arrive on one queue; see the crate's page for an example.
pub struct Server {
    endpoint: Endpoint,
    keys: Keys,
    methods: Methods,
    states: States,
    concurrency: usize,
    drain_timeout: Duration,
    max_request: usize,
    start_hook: Option<StartHook>,
    ready: watch::Sender<bool>,
}

/// Configures a [`Server`].
pub struct ServerBuilder {
    queue: String,
    url: String,
    concurrency: usize,
    drain_timeout: Duration,
    max_request: usize,
    start_hook: Option<StartHook>,
    methods: Methods,
    states: States,
    /// Names that were given twice or belong to us.
    unusable: Vec<String>,
}

impl Server {
    /// Starts to configure a server of the queue `queue`, the name that clients use too.
    pub fn builder(queue: impl Into<String>) -> ServerBuilder {
        ServerBuilder {
            queue: queue.into(),
            url: DEFAULT_URL.to_owned(),
            concurrency: DEFAULT_CONCURRENCY,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            max_request: MAX_REQUEST,
            start_hook: None,
            methods: HashMap::new(),
            states: States::default(),
            unusable: Vec::new(),
        }
    }

    /// Resolves to `true` once the server is registered and takes requests, to `false` if it ended before.
    pub fn ready(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut ready = self.ready.subscribe();
        async move { ready.wait_for(|ready| *ready).await.is_ok() }
    }

    /// Whether the server takes requests now: not before it is registered, and not while Redis is away.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves until `stop`. Then it takes nothing more, gives back what arrives late, lets the running handlers
    /// finish within the drain timeout, gives back the requests of those that do not, and removes its traces from
    /// Redis. Redis going away never ends it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] when the start hook fails, and [`Error::Transport`] when Redis refuses us for good: a
    /// wrong password, a missing permission or database.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Report, Error> {
        if let Some(hook) = self.start_hook.take() {
            hook().await.map_err(Error::Start)?;
        }
        let (shared, connecting) = Shared::new(self.endpoint.clone());
        let worker = Arc::new(Worker::new(self.keys.clone(), shared.clone(), self.concurrency));
        let service = Arc::new(Service::new(
            self.methods,
            self.states,
            Arc::clone(&worker),
            self.max_request,
        ));

        let (mut connection, mut background) = (JoinSet::new(), JoinSet::new());
        connection.spawn(connecting);
        background.spawn(Arc::clone(&worker).stay_alive());
        background.spawn(reaper::run(Arc::clone(&service)));

        let fetch = Fetch::new(self.endpoint, Arc::clone(&service), stop.clone(), self.ready);
        let fetched = tokio::select! {
            fetched = fetch_until(&stop, fetch, &worker) => fetched,
            source = shared.refused() => Err(source),
        };
        // Refused for good: nothing can be answered or given back either.
        let handlers = fetched.map_err(|source| Error::Transport {
            source,
            maybe_sent: false,
        })?;

        service.drain(handlers, self.drain_timeout).await;
        background.shutdown().await;
        worker.leave().await;
        connection.shutdown().await;
        Ok(service.counters.report())
    }
}

/// Takes requests until the stop; a take that waits in Redis is ended there, never dropped here.
async fn fetch_until(stop: &CancellationToken, fetch: Fetch, worker: &Worker) -> RedisResult<JoinSet<()>> {
    let mut fetching = pin!(fetch.run());
    tokio::select! {
        fetched = &mut fetching => return fetched,
        () = stop.cancelled() => {}
    }
    loop {
        tokio::select! {
            fetched = &mut fetching => return fetched,
            () = tokio::time::sleep(WAKE_INTERVAL) => {}
        }
        tokio::select! {
            fetched = &mut fetching => return fetched,
            () = worker.wake_fetch() => {}
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("queue", &self.keys.queue())
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// The Redis to use, as [`Address`](crate::Address) describes; by default `redis://127.0.0.1:6379`. It must have
    /// `maxmemory-policy noeviction`.
    #[must_use]
    pub fn redis(self, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..self
        }
    }

    /// How many handlers run at once; by default 64. Requests beyond that stay in the queue, for other servers too.
    #[must_use]
    pub fn concurrency(self, handlers: usize) -> Self {
        Self {
            concurrency: handlers,
            ..self
        }
    }

    /// How long running handlers may take after the stop signal; by default 20 seconds.
    #[must_use]
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        Self {
            drain_timeout: timeout,
            ..self
        }
    }

    /// The largest request accepted, in bytes; by default 16 MiB. Larger ones go to the dead-letter list, cut.
    #[must_use]
    pub fn max_request(self, bytes: usize) -> Self {
        Self {
            max_request: bytes,
            ..self
        }
    }

    /// What to await before the first request is taken; an error ends [`Server::run`]. It cannot be called from
    /// outside, unlike `on_server_start` of Python's servers.
    #[must_use]
    pub fn on_start<F, Started, E>(self, hook: F) -> Self
    where
        F: FnOnce() -> Started + Send + 'static,
        Started: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let hook: StartHook = Box::new(move || {
            let started = hook();
            Box::pin(async move { started.await.map_err(Into::into) })
        });
        Self {
            start_hook: Some(hook),
            ..self
        }
    }

    /// What handlers find as [`State<S>`](State); another state of the same type replaces it.
    #[must_use]
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.add(state);
        self
    }

    /// Answers calls of `name` with `handler`; see [`Handler`] for the functions that will do.
    #[must_use]
    pub fn method<Shape>(mut self, name: impl Into<String>, handler: impl Handler<Shape>) -> Self {
        let name = name.into();
        let reserved = name == "on_server_start" || name.starts_with("$rpc.");
        if reserved || self.methods.contains_key(&*name) {
            self.unusable.push(name);
        } else {
            let method = Arc::new(Method::new(&name, handler));
            self.methods.insert(Arc::clone(&method.name), method);
        }
        self
    }

    /// Checks the configuration. Nothing is connected or started yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL or queue name that cannot work, for no concurrency, and for a method that was
    /// given twice, has a reserved name (`on_server_start`, `$rpc.…`) or needs a state that is not there.
    pub fn build(self) -> Result<Server, Error> {
        if let Some(name) = self.unusable.first() {
            return Err(Error::Config(format!(
                "the method name {name:?} is taken or reserved"
            )));
        }
        if self.concurrency == 0 {
            return Err(Error::Config(
                "a server needs a concurrency of at least 1".to_owned(),
            ));
        }
        let address: Address = self.url.parse()?;
        let keys = Keys::new(&self.queue)?.at(&address);
        for method in self.methods.values() {
            if let Some(state) = self.states.missing(&method.needs.states) {
                return Err(Error::Config(format!(
                    "the method {:?} needs a state of type {state}",
                    method.name
                )));
            }
        }
        Ok(Server {
            endpoint: Endpoint::new(address, keys.queue()),
            keys,
            methods: self.methods,
            states: self.states,
            concurrency: self.concurrency,
            drain_timeout: self.drain_timeout,
            max_request: self.max_request,
            start_hook: self.start_hook,
            ready: watch::Sender::new(false),
        })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
