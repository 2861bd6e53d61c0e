//! A way to Redis that breaks, so many times, when Redis has just said a certain thing on it, or on which nothing
//! arrives any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::redis_server::Redis;

pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) breaks: Arc<AtomicU32>,
    /// Nothing arrives on the connections that were made before this one.
    silent_before: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

/// One connection through the proxy.
struct Way {
    number: u64,
    silent_before: Arc<AtomicU64>,
}

impl Way {
    /// Never returns once nothing shall arrive any more.
    async fn may_pass(&self) {
        if self.number < self.silent_before.load(SeqCst) {
            std::future::pending().await
        }
    }
}

impl Proxy {
    pub(crate) async fn start(redis: &Redis, breaks_at: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (breaks, port) = (Arc::new(AtomicU32::new(0)), redis.port());
        let left = Arc::clone(&breaks);
        let (silent_before, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (silent, made) = (Arc::clone(&silent_before), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let silent_before = Arc::clone(&silent);
                let number = made.fetch_add(1, SeqCst);
                let way = Way {
                    number,
                    silent_before,
                };
                tokio::spawn(pass_on(client, server, breaks_at, Arc::clone(&left), way));
            }
        });
        Self {
            url,
            breaks,
            silent_before,
            connections,
        }
    }

    /// From now on nothing arrives on the connections there are, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.silent_before.store(self.connections.load(SeqCst), SeqCst);
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, breaks_at: &[u8], breaks: Arc<AtomicU32>, way: Way) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forth = async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            way.may_pass().await;
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            way.may_pass().await;
            let said = buffer[..length]
                .windows(breaks_at.len())
                .any(|part| part == breaks_at);
            if said
                && breaks
                    .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                    .is_ok()
            {
                break;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}
