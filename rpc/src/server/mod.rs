//! Answers the calls that arrive on one queue.
//!
//! A request is moved (`BLMOVE`) from the queue into a slot, a list of its own, and the slot is deleted behind the
//! reply. So at every moment a request is in the queue or in a slot, and the slots of a worker that died are found
//! through its registration and moved back; a request with which three workers died is given up. What is not promised
//! is that a handler runs only once.
//!
//! Reading order: this file (the order of start and stop), `builder`, `request`, `extract` and `handler`
//! (what can answer a request), `batch` and `layer`, `stats`, `introspection` (what a server tells about itself), `service` (one request
//! from its text to its reply), `running` (what ends it early), `answers` (what a repeat is answered with), `finish`
//! (how replies are handed in), `dead_letter`, `incarnation` (from registration to the end), `worker` (being known to
//! be alive), `heartbeat`, `slots`, `fetch` (how requests are taken), `reaper` (who died), `recovery` (what becomes of
//! their requests), `process` (is that process still there).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::connection::{Endpoint, Shared, Subscription};
use crate::keys::Keys;

mod builder;
mod request;
mod extract;
mod handler;
mod meters;
mod stats;
mod introspection;
mod batch;
mod layer;
mod service;
mod running;
mod answers;
mod finish;
mod dead_letter;
mod incarnation;
mod worker;
mod heartbeat;
mod slots;
mod fetch;
mod reaper;
mod recovery;
mod process;

pub use batch::Batching;
pub use builder::ServerBuilder;
use builder::StartHook;
use extract::States;
pub use extract::{ByName, ByValue, Extract, Needs, Params, State};
use finish::Inboxes;
pub use handler::{Always, Answer, Handler, IntoAnswer, Perhaps};
use incarnation::Plan;
pub use layer::MethodService;
pub use request::{Context, Request};
use running::Running;
use service::{Methods, Service};
use stats::Counters;
pub use stats::Report;

/// So many orders of clients wait at most to be carried out; more are dropped.
const ORDERS: usize = 1024;

/// How long a stopping server waits for Redis.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answers the calls that arrive on one queue; see the crate's page for an example.
pub struct Server {
    endpoint: Endpoint,
    keys: Keys,
    methods: Methods,
    states: States,
    concurrency: usize,
    drain_timeout: Duration,
    max_request: usize,
    max_reply: usize,
    reply_ttl: Duration,
    start_hook: Option<StartHook>,
    /// What works on the batches of the methods that take many requests at once.
    batches: Vec<BoxFuture<'static, ()>>,
    ready: watch::Sender<bool>,
}

impl Server {
    /// Starts to configure a server of the queue `queue`, the name that clients use too.
    pub fn builder(queue: impl Into<String>) -> ServerBuilder {
        ServerBuilder::new(queue.into())
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
        let (messages, orders) = mpsc::channel(ORDERS);
        let channel = self.keys.control();
        let (shared, connecting) =
            Shared::new(self.endpoint.clone(), Some(Subscription { channel, messages }));
        let service = Arc::new(Service {
            keys: self.keys,
            shared: shared.clone(),
            methods: self.methods,
            states: Arc::new(self.states),
            max_request: self.max_request,
            max_reply: self.max_reply,
            answers: Arc::default(),
            running: Running::default(),
            inboxes: Arc::new(Inboxes::new(self.reply_ttl)),
            started: Instant::now(),
            counters: Counters::default(),
        });
        let (mut connection, mut background) = (JoinSet::new(), JoinSet::new());
        connection.spawn(connecting);
        background.spawn(Arc::clone(&service.inboxes).expire_for_ever(shared.clone()));
        let obedient = Arc::clone(&service);
        background.spawn(async move { obedient.running.obey(orders).await });
        self.batches
            .into_iter()
            .for_each(|batches| drop(background.spawn(batches)));
        let plan = Plan {
            service: Arc::clone(&service),
            endpoint: self.endpoint,
            concurrency: self.concurrency,
            drain_timeout: self.drain_timeout,
            ready: self.ready,
            stop,
        };
        let mut serving = JoinSet::new();
        // On the main thread of a runtime it would have to be woken there for each take.
        serving.spawn(async move {
            while !plan.live().await? {}
            Ok(())
        });
        ended(serving).await?;
        background.shutdown().await;
        // If Redis is away, there is nothing that could expire.
        let _ = tokio::time::timeout(FAREWELL, service.inboxes.expire(&shared)).await;
        connection.shutdown().await;
        Ok(service.counters.report())
    }
}

/// What the one task returns. If it panics, so do we; it is aborted only with the runtime.
async fn ended(mut task: JoinSet<Result<(), Error>>) -> Result<(), Error> {
    match task.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Err(Error::Closed),
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("queue", &self.keys.queue())
            .finish_non_exhaustive()
    }
}
