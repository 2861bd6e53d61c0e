//! Keeps a worker's lease, on a thread and a connection of its own: handlers that block every thread of the runtime,
//! or a shared connection that is full, do not make a server look dead.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::DropGuard;

use super::worker::Worker;
use crate::connection::{Backoff, Connection, Endpoint, RedisResult};

const INTERVAL: Duration = Duration::from_secs(5);

/// The running heartbeat of one worker. Dropping it ends the thread within moments.
pub(super) struct Heartbeat {
    over: DropGuard,
    thread: JoinHandle<()>,
}

impl Heartbeat {
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(worker: Arc<Worker>, endpoint: Endpoint) -> std::io::Result<Self> {
        let over = worker.over.clone().drop_guard();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("rpc-heartbeat".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(worker.over.run_until_cancelled(beat(&worker, &endpoint)));
        })?;
        Ok(Self { over, thread })
    }

    /// Ends it and waits for the end.
    pub(super) async fn end(self) {
        drop(self.over);
        // It can fail only by a panic, which its thread has reported.
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

async fn beat(worker: &Worker, endpoint: &Endpoint) {
    let mut backoff = Backoff::default();
    loop {
        if let Err(error) = beat_on_one_connection(worker, endpoint, &mut backoff).await {
            tracing::debug!(%error, "the heartbeat failed");
            worker.not_renewed(error);
        }
        backoff.pause().await;
    }
}

async fn beat_on_one_connection(
    worker: &Worker,
    endpoint: &Endpoint,
    backoff: &mut Backoff,
) -> RedisResult<()> {
    let mut connection: Connection = endpoint.dedicated().await?;
    loop {
        worker.renew(&mut connection).await?;
        *backoff = Backoff::default();
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = worker.renew_now.notified() => {}
        }
    }
}
