//! How a client is configured.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::outbox::Outbox;
use super::pending::Pending;
use super::queue::Limit;
use super::{Client, Inner, abandoned, inbox};
use crate::Error;
use crate::connection::{Address, DEFAULT_URL, Endpoint, Shared};
use crate::keys::Keys;

/// How long a call waits unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Configures a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    queue: String,
    url: String,
    timeout: Duration,
    max_queue_len: Option<u64>,
}

impl ClientBuilder {
    pub(super) fn new(queue: String) -> Self {
        Self {
            queue,
            url: DEFAULT_URL.to_owned(),
            timeout: DEFAULT_TIMEOUT,
            max_queue_len: None,
        }
    }

    /// The Redis to use, as [`Address`] describes; by default `redis://127.0.0.1:6379`.
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

    /// How many requests may wait in the queue; by default any number. What is beyond does not get into it, and the call
    /// fails with [`Error::Overloaded`]; where Redis allows no scripts it is taken out again, unless a server was
    /// quicker. Of the calls that follow most fail without asking Redis, until the queue is shorter.
    #[must_use]
    pub fn max_queue_len(self, requests: u64) -> Self {
        Self {
            max_queue_len: Some(requests),
            ..self
        }
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
        let (abandoned, numbers) = mpsc::unbounded_channel();
        let pending = Arc::new(Pending::new(abandoned));
        let (shared, connecting) = Shared::new(endpoint.clone(), None);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(connecting, &runtime);
        let read = inbox::read(endpoint, keys.clone(), name.clone(), Arc::clone(&pending));
        tasks.spawn_on(read, &runtime);
        let look = inbox::look(shared.clone(), keys.clone(), name.clone(), Arc::clone(&pending));
        tasks.spawn_on(look, &runtime);
        let see_to = abandoned::see_to(shared.clone(), keys.clone(), name.clone(), numbers);
        tasks.spawn_on(see_to, &runtime);
        let inbox = keys.inbox(&name);
        let limit = Limit::new(self.max_queue_len);
        let outbox = Outbox::new(shared.clone(), &keys, inbox.clone(), Arc::clone(&pending), limit);
        let outbox = Arc::new(outbox);
        tasks.spawn_on(Arc::clone(&outbox).work(), &runtime);
        let requests = AtomicU64::new(0);
        let inner = Inner {
            inbox,
            outbox,
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
