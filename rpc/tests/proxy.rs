//! A way to Redis that breaks: when a certain thing is said on it, on one side only, or without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::redis_server::Redis;

pub(crate) struct Proxy {
    pub(crate) url: String,
    /// So many times more a connection breaks when Redis says the text.
    pub(crate) breaks: Arc<AtomicU32>,
    /// Whether a command was held back.
    pub(crate) held: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    troubles: watch::Sender<Troubles>,
}

/// What is wrong with the connections that have smaller numbers.
#[derive(Clone, Copy, Default)]
struct Troubles {
    /// Nothing arrives, and nobody is told.
    silent: u64,
    /// The client hung up, and Redis has not heard of it.
    ghosts: u64,
}

/// One connection through the proxy.
struct Way {
    number: u64,
    troubles: watch::Receiver<Troubles>,
    breaks_at: &'static [u8],
    breaks: Arc<AtomicU32>,
    holds: Option<&'static str>,
    held: Arc<AtomicBool>,
}

impl Proxy {
    /// Breaks when Redis says this, as often as it is told to.
    pub(crate) async fn start(redis: &Redis, breaks_at: &'static [u8]) -> Self {
        Self::listen(redis, breaks_at, None).await
    }

    /// Lets everything pass until it is told otherwise.
    pub(crate) async fn open(redis: &Redis) -> Self {
        Self::listen(redis, b"nothing says this", None).await
    }

    /// Lets everything pass up to this command, and nothing that follows on the same connection.
    pub(crate) async fn holding(redis: &Redis, command: &'static str) -> Self {
        Self::listen(redis, b"nothing says this", Some(command)).await
    }

    async fn listen(redis: &Redis, breaks_at: &'static [u8], holds: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = redis.port();
        let (troubles, told) = watch::channel(Troubles::default());
        let proxy = Self {
            url: format!("redis://{}", listener.local_addr().unwrap()),
            breaks: Arc::default(),
            held: Arc::default(),
            connections: Arc::default(),
            troubles,
        };
        let (breaks, held) = (Arc::clone(&proxy.breaks), Arc::clone(&proxy.held));
        let made = Arc::clone(&proxy.connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let way = Way {
                    number: made.fetch_add(1, SeqCst),
                    troubles: told.clone(),
                    breaks_at,
                    breaks: Arc::clone(&breaks),
                    holds,
                    held: Arc::clone(&held),
                };
                tokio::spawn(way.pass_on(client, server));
            }
        });
        proxy
    }

    /// From now on nothing arrives on the connections there are, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        let silent = self.connections.load(SeqCst);
        self.troubles.send_modify(|troubles| troubles.silent = silent);
    }

    /// The connections there are end, and Redis is not told.
    pub(crate) fn leave_ghosts(&self) {
        let ghosts = self.connections.load(SeqCst);
        self.troubles.send_modify(|troubles| troubles.ghosts = ghosts);
    }
}

impl Way {
    async fn pass_on(self, client: TcpStream, server: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut troubles = self.troubles.clone();
        let ghost = tokio::select! {
            () = self.forth(&mut from_client, &mut to_server) => false,
            () = self.back(&mut from_server, &mut to_client) => false,
            told = troubles.wait_for(|troubles| self.number < troubles.ghosts) => told.is_ok(),
        };
        if ghost {
            drop((from_client, to_client));
            // Until the test is over.
            std::future::pending::<()>().await;
        }
    }

    async fn forth(&self, from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin)) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.may_pass().await;
            let said = &buffer[..length];
            let held = self.holds.and_then(|command| begins(said, command));
            if to.write_all(&said[..held.unwrap_or(length)]).await.is_err() {
                return;
            }
            if held.is_some() {
                self.held.store(true, SeqCst);
                std::future::pending().await
            }
        }
    }

    async fn back(&self, from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin)) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.may_pass().await;
            let said = &buffer[..length];
            let breaks = said
                .windows(self.breaks_at.len())
                .any(|part| part == self.breaks_at)
                && self
                    .breaks
                    .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if breaks || to.write_all(said).await.is_err() {
                return;
            }
        }
    }

    /// Never returns once nothing shall arrive any more.
    async fn may_pass(&self) {
        if self.number < self.troubles.borrow().silent {
            std::future::pending().await
        }
    }
}

/// Where in what a client says this command begins.
fn begins(said: &[u8], command: &str) -> Option<usize> {
    let name = format!("${}\r\n{command}\r\n", command.len());
    let at = said
        .windows(name.len())
        .position(|part| part == name.as_bytes())?;
    said[..at].iter().rposition(|byte| *byte == b'*')
}
