//! One incarnation of a server, from its registration to its end: the stop, or the loss of its lease, after which the
//! server goes on as another one.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fetch::{self, Fetch};
use super::finish::Finish;
use super::heartbeat::Heartbeat;
use super::reaper;
use super::service::Service;
use super::worker::Worker;
use crate::Error;
use crate::connection::{Endpoint, RedisError, RedisResult};

/// How often Redis is asked to end the take whose turn it is when the server stops.
const WAKE_INTERVAL: Duration = Duration::from_millis(10);

/// What every incarnation of a server is made of.
pub(super) struct Plan {
    pub(super) service: Arc<Service>,
    pub(super) endpoint: Endpoint,
    pub(super) concurrency: usize,
    pub(super) drain_timeout: Duration,
    pub(super) ready: watch::Sender<bool>,
    pub(super) stop: CancellationToken,
}

/// Why the taking of requests ended.
enum End {
    Stopped,
    Lost,
    /// Nothing can be answered or given back either.
    Refused(RedisError),
}

impl Plan {
    /// Serves until the stop, and returns true; or until the lease is lost, and returns false.
    ///
    /// # Errors
    ///
    /// As [`Server::run`](super::Server::run).
    pub(super) async fn live(&self) -> Result<bool, Error> {
        let service = &self.service;
        let worker = Worker::new(service.keys.clone(), service.shared.clone(), self.concurrency);
        let worker = Arc::new(worker);
        let heartbeat = Heartbeat::start(Arc::clone(&worker), self.endpoint.clone())
            .map_err(|error| Error::Start(error.into()))?;
        let finish = Finish::new(Arc::clone(&worker), Arc::clone(&service.inboxes));
        let mut background = JoinSet::new();
        background.spawn(reaper::run(Arc::clone(service), Arc::clone(&worker)));
        background.spawn(fetch::empty_retired(Arc::clone(service), Arc::clone(&worker)));
        let mut fetch = Fetch::new(
            self.endpoint.clone(),
            Arc::clone(service),
            Arc::new(finish),
            self.stop.clone(),
            self.ready.clone(),
        );
        let end = tokio::select! {
            taken = take_until(&self.stop, &mut fetch, &worker) => taken.map_or_else(End::Refused, |()| End::Stopped),
            () = worker.lost() => End::Lost,
            why = service.shared.refused() => End::Refused(why),
        };
        let mut handlers = std::mem::take(&mut fetch.handlers);
        // With it goes the connection and whatever is being taken on it.
        drop(fetch);
        let outcome = match end {
            End::Stopped => Ok(self.drain(&worker, &mut handlers).await),
            End::Lost => Ok(false),
            End::Refused(source) => Err(source),
        };
        handlers.shutdown().await;
        background.shutdown().await;
        heartbeat.end().await;
        match outcome {
            Ok(true) => worker.leave().await,
            Ok(false) => {
                self.ready.send_replace(false);
                tracing::warn!(
                    worker = worker.id,
                    "others took this server for dead; it goes on under a new name"
                );
            }
            Err(source) => {
                return Err(Error::Transport {
                    source,
                    maybe_sent: false,
                });
            }
        }
        Ok(self.stop.is_cancelled())
    }

    /// Lets the handlers finish within the time they have, and gives back the requests of the others. Returns false if
    /// the lease is lost meanwhile.
    async fn drain(&self, worker: &Worker, handlers: &mut JoinSet<()>) -> bool {
        let finished = async { while handlers.join_next().await.is_some() {} };
        let late = tokio::select! {
            finished = tokio::time::timeout(self.drain_timeout, finished) => finished.is_err(),
            () = worker.lost() => return false,
        };
        if late {
            tracing::warn!(
                handlers = handlers.len(),
                "handlers are still running after the drain timeout; aborted"
            );
            handlers.shutdown().await;
        }
        let requeued = worker.give_back_all().await;
        self.service.counters.requeued.fetch_add(requeued, Relaxed);
        true
    }
}

/// Takes requests until the stop; a take that waits in Redis is ended there, never dropped here.
async fn take_until(stop: &CancellationToken, fetch: &mut Fetch, worker: &Worker) -> RedisResult<()> {
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
