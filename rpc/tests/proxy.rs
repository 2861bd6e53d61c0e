//! A way to Redis that breaks, so many times, when Redis has just said a certain thing on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::redis_server::Redis;

pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) breaks: Arc<AtomicU32>,
}

impl Proxy {
    pub(crate) async fn start(redis: &Redis, breaks_at: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (breaks, port) = (Arc::new(AtomicU32::new(0)), redis.port());
        let left = Arc::clone(&breaks);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(pass_on(client, server, breaks_at, Arc::clone(&left)));
            }
        });
        Self { url, breaks }
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, breaks_at: &[u8], breaks: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
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
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = back => {}
    }
}
