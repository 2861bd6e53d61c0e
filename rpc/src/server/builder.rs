//! How a server is configured.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

use super::Server;
use super::batch::{Batching, batch_method};
use super::extract::{Needs, States};
use super::handler::{Handler, IntoAnswer, Method, Start};
use super::layer::{self, MethodService, Wrap};
use super::meters::Meters;
use super::request::{Context, Request};
use super::stats::MethodStats;
use crate::connection::{Address, DEFAULT_URL, Endpoint};
use crate::envelope::{MAX_REPLY, MAX_REQUEST};
use crate::keys::Keys;
use crate::{Error, Fault};

/// How many handlers run at once unless told otherwise.
const DEFAULT_CONCURRENCY: usize = 64;

/// How long running handlers may take after the stop signal unless told otherwise; shorter than the 30 seconds
/// after which most supervisors kill.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a reply waits for its caller unless told otherwise. Python's client is expected to be there; the rest must
/// not pile up.
const DEFAULT_REPLY_TTL: Duration = Duration::from_secs(300);

/// What is awaited before the first request is taken.
pub(super) type StartHook =
    Box<dyn FnOnce() -> BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send>;

/// Configures a [`Server`].
pub struct ServerBuilder {
    queue: String,
    url: String,
    concurrency: usize,
    drain_timeout: Duration,
    max_request: usize,
    max_reply: usize,
    reply_ttl: Duration,
    start_hook: Option<StartHook>,
    methods: HashMap<Arc<str>, Method>,
    states: States,
    layers: Vec<Wrap>,
    batches: Vec<BoxFuture<'static, ()>>,
    /// Names that were given twice or belong to us.
    unusable: Vec<String>,
}

impl ServerBuilder {
    pub(super) fn new(queue: String) -> Self {
        Self {
            queue,
            url: DEFAULT_URL.to_owned(),
            concurrency: DEFAULT_CONCURRENCY,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            max_request: MAX_REQUEST,
            max_reply: MAX_REPLY,
            reply_ttl: DEFAULT_REPLY_TTL,
            start_hook: None,
            methods: HashMap::new(),
            states: States::default(),
            layers: Vec::new(),
            batches: Vec::new(),
            unusable: Vec::new(),
        }
    }

    /// The Redis to use, as [`Address`] describes; by default `redis://127.0.0.1:6379`. It must have
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

    /// The largest request accepted, in bytes; by default 16 MiB. Larger ones go to the dead-letter list, cut. Redis
    /// hands a request over before anybody can see how large it is, up to 512 MiB, so a server must have the memory for one
    /// such text, or dies of it; the third that does is followed by a reaper that reads only the beginning and gives
    /// it up. Where strangers can write to the queue, the `proto-max-bulk-len` of Redis should not be much larger than
    /// this.
    #[must_use]
    pub fn max_request(self, bytes: usize) -> Self {
        Self {
            max_request: bytes,
            ..self
        }
    }

    /// The largest result sent, in bytes of JSON; by default 16 MiB. The caller of a method whose result is larger gets
    /// code 9 instead.
    #[must_use]
    pub fn max_reply(self, bytes: usize) -> Self {
        Self {
            max_reply: bytes,
            ..self
        }
    }

    /// How long a reply that its caller does not fetch stays in Redis; by default 5 minutes, and in the inbox of a client
    /// that is gone some seconds longer.
    #[must_use]
    pub fn reply_ttl(self, ttl: Duration) -> Self {
        Self {
            reply_ttl: ttl,
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

    /// What handlers find as [`State<S>`](crate::State); another state of the same type replaces it.
    #[must_use]
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.add(state);
        self
    }

    /// Answers calls of `name` with `handler`; see [`Handler`] for the functions that will do.
    #[must_use]
    pub fn method<Shape>(mut self, name: impl Into<String>, handler: impl Handler<Shape>) -> Self {
        let needs = handler.needs();
        self.add(
            name.into(),
            needs,
            Arc::new(move |request| handler.start(request)),
        );
        self
    }

    /// Answers calls of `name` many at a time: `handler` gets the parameters and contexts of the requests that wait,
    /// and gives an answer to each, in the same order. While it works on one batch the next one gathers, so it is never
    /// run twice at once, and a lone request does not wait for others. Requests whose arguments do not fit are
    /// answered without it.
    ///
    /// One transaction for many requests, say:
    ///
    /// ```
    /// use rpc::{Batching, Context, Fault, Server};
    ///
    /// # struct Database;
    /// # impl Database {
    /// #     async fn insert(&self, _: &[&str]) -> Result<(), std::io::Error> { Ok(()) }
    /// # }
    /// # fn main() -> Result<(), rpc::Error> {
    /// # let database = Database;
    /// let database = std::sync::Arc::new(database);
    /// let append = move |batch: Vec<((String,), Context)>| {
    ///     let database = database.clone();
    ///     async move {
    ///         let lines: Vec<&str> = batch.iter().map(|((line,), _)| line.as_str()).collect();
    ///         let stored = database.insert(&lines).await;
    ///         let answer = |line: &&str| match &stored {
    ///             Ok(()) => Ok(line.len()),
    ///             Err(error) => Err(Fault::unavailable(error.to_string())),
    ///         };
    ///         lines.iter().map(answer).collect()
    ///     }
    /// };
    /// let server = Server::builder("lines").batch_method("append", Batching::default(), append).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn batch_method<P, F, Running, R, Via>(
        mut self,
        name: impl Into<String>,
        batching: Batching,
        handler: F,
    ) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        F: Fn(Vec<(P, Context)>) -> Running + Send + Sync + 'static,
        Running: Future<Output = Vec<R>> + Send + 'static,
        R: IntoAnswer<Via> + Send + 'static,
        Via: 'static,
    {
        let method = batch_method(batching, handler);
        self.batches.push(method.run);
        self.add(name.into(), method.needs, method.start);
        self
    }

    /// Puts a tower layer around every handler; one that is added later is further outside. What the layer's service
    /// fails with becomes a [`Fault`]; an error without a code of its own has code 2.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<MethodService> + Send + 'static,
        L::Service: Service<Request, Response = Box<RawValue>> + Clone + Send + 'static,
        <L::Service as Service<Request>>::Error: Into<Fault>,
        <L::Service as Service<Request>>::Future: Send,
    {
        self.layers.push(layer::wrap(layer));
        self
    }

    fn add(&mut self, name: String, needs: Needs, start: Start) {
        let reserved = name == "on_server_start" || name.starts_with("$rpc.");
        if reserved || self.methods.contains_key(&*name) {
            self.unusable.push(name);
        } else {
            let method = Method::new(&name, needs, start);
            self.methods.insert(Arc::clone(&method.name), method);
        }
    }

    /// Checks the configuration. Nothing is connected or started yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL or queue name that cannot work, for no concurrency, for replies that expire at once, and for a method that was
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
        if self.reply_ttl < Duration::from_millis(1) {
            return Err(Error::Config(
                "replies that expire at once reach nobody".to_owned(),
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
        let wrap = |mut method: Method| {
            method.stats = Arc::new(MethodStats::telling(Meters::new(&self.queue, &method.name)));
            method.wrapped(&self.layers)
        };
        let methods = self
            .methods
            .into_iter()
            .map(|(name, method)| (name, Arc::new(wrap(method))))
            .collect();
        Ok(Server {
            endpoint: Endpoint::new(address, keys.queue()),
            keys,
            methods,
            states: self.states,
            concurrency: self.concurrency,
            drain_timeout: self.drain_timeout,
            max_request: self.max_request,
            max_reply: self.max_reply,
            reply_ttl: self.reply_ttl,
            start_hook: self.start_hook,
            batches: self.batches,
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
