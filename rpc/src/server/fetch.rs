//! Takes requests from the queue into slots and starts their handlers, on a connection of its own.
//!
//! Every take is a `BLMOVE`, and under load several are sent ahead, so that Redis hands over a request with one
//! command and without waiting for us. Only the first of them waits long for a request.
//!
//! Promise: a take is never cancelled, for Redis might carry it out after nobody listens any more. When a take fails,
//! the slots of all takes that were sent are retired and emptied.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::finish::Finish;
use super::service::Service;
use super::slots::Reuse;
use super::worker::{Worker, give_back_one};
use crate::connection::{
    BLOCK, Backoff, Connection, Endpoint, REFUSALS, RedisResult, cmd, is_passing, is_refusal, pipe,
};

/// So many takes are sent at once at most. More would keep a distant Redis busier, and let the ghosts of a lost
/// connection take requests for longer.
pub(super) const LARGEST_WINDOW: u32 = 16;

/// How long a take that was sent ahead waits when its turn comes. If the queue is empty by then, one take is enough.
pub(super) const AHEAD: Duration = Duration::from_millis(50);

/// Between two looks at what may have come into retired slots.
const RETIRED_LOOK: Duration = Duration::from_millis(250);

pub(super) struct Fetch {
    endpoint: Endpoint,
    service: Arc<Service>,
    worker: Arc<Worker>,
    finish: Arc<Finish>,
    stop: CancellationToken,
    ready: watch::Sender<bool>,
    free: mpsc::UnboundedReceiver<u64>,
    /// The handlers that run.
    pub(super) handlers: JoinSet<()>,
}

/// The takes that were sent and not answered, in the order in which Redis carries them out.
type Takes = FuturesOrdered<BoxFuture<'static, (u64, RedisResult<Option<Vec<u8>>>)>>;

impl Fetch {
    pub(super) fn new(
        endpoint: Endpoint,
        service: Arc<Service>,
        finish: Arc<Finish>,
        stop: CancellationToken,
        ready: watch::Sender<bool>,
    ) -> Self {
        let worker = Arc::clone(&finish.worker);
        let free = worker.slots.take_free();
        Self {
            endpoint,
            service,
            worker,
            finish,
            stop,
            ready,
            free,
            handlers: JoinSet::new(),
        }
    }

    /// Takes requests until the stop.
    ///
    /// # Errors
    ///
    /// When Redis refuses a command again and again, for want of a permission.
    pub(super) async fn run(&mut self) -> RedisResult<()> {
        let (mut backoff, mut refusals) = (Backoff::default(), 0);
        while !self.stop.is_cancelled() {
            let Err(error) = self.serve_connection(&mut backoff).await else {
                continue;
            };
            self.ready.send_replace(false);
            self.worker.forget_fetch_connection();
            refusals = if is_refusal(&error) { refusals + 1 } else { 0 };
            if refusals >= REFUSALS {
                return Err(error);
            }
            if !is_passing(&error) {
                tracing::warn!(%error, "no requests can be taken");
            }
            tokio::select! {
                () = backoff.pause() => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Takes requests until the stop or an error.
    async fn serve_connection(&mut self, backoff: &mut Backoff) -> RedisResult<()> {
        let mut connection = tokio::select! {
            connection = self.endpoint.dedicated() => connection?,
            () = self.stop.cancelled() => return Ok(()),
        };
        self.worker.arrive(&mut connection).await?;
        self.ready.send_replace(true);
        let mut takes = Takes::new();
        let taken = self.take(&mut connection, &mut takes, backoff).await;
        // Whatever the connection was asked for and did not answer may happen at any time.
        while let Some((slot, _)) = takes.next().await {
            self.worker.slots.retire(slot);
        }
        taken
    }

    async fn take(
        &mut self,
        connection: &mut Connection,
        takes: &mut Takes,
        backoff: &mut Backoff,
    ) -> RedisResult<()> {
        let (mut window, mut late) = (1, Vec::new());
        loop {
            // Their work is done and they cannot panic; what is left of them is freed here.
            while self.handlers.try_join_next().is_some() {}
            if takes.is_empty() && self.stop.is_cancelled() {
                return self.give_back(connection, late).await;
            }
            let room = takes.len() < window && !self.stop.is_cancelled();
            let (slot, taken) = tokio::select! {
                biased;
                Some(slot) = self.free.recv(), if room => {
                    if let Err(error) = self.worker.cover(slot, connection).await {
                        self.worker.slots.release(slot, Reuse::Again);
                        return Err(error);
                    }
                    takes.push_back(self.send_take(connection.clone(), slot, takes.is_empty()));
                    continue;
                }
                Some(answered) = takes.next() => answered,
                () = self.stop.cancelled(), if room => continue,
            };
            match taken {
                Ok(None) => {
                    self.worker.slots.release(slot, Reuse::Again);
                    window = 1;
                }
                Ok(Some(_)) if self.stop.is_cancelled() => late.push(slot),
                Ok(Some(request)) => {
                    let service = Arc::clone(&self.service);
                    self.handlers
                        .spawn(service.serve(Arc::clone(&self.finish), slot, request));
                    window = (window * 2).min(LARGEST_WINDOW as usize);
                }
                Err(error) => {
                    self.worker.slots.retire(slot);
                    return Err(error);
                }
            }
            *backoff = Backoff::default();
        }
    }

    /// The take is sent when the future is polled first, which is why it must be given to [`Takes`] at once.
    fn send_take(
        &self,
        mut connection: Connection,
        slot: u64,
        first: bool,
    ) -> BoxFuture<'static, (u64, RedisResult<Option<Vec<u8>>>)> {
        self.worker.slots.occupy(slot);
        let mut take = cmd("BLMOVE");
        take.arg(self.worker.keys.queue())
            .arg(self.worker.slot_key(slot))
            .arg("LEFT")
            .arg("RIGHT")
            .arg(if first { BLOCK } else { AHEAD }.as_secs_f64());
        Box::pin(async move { (slot, take.query_async(&mut connection).await) })
    }

    /// What was taken after the stop goes back to the head of the queue, in the order in which it was there.
    async fn give_back(&self, connection: &mut Connection, late: Vec<u64>) -> RedisResult<()> {
        if late.is_empty() {
            return Ok(());
        }
        let mut commands = pipe();
        for slot in late.iter().rev() {
            give_back_one(&mut commands, &self.worker.keys, &self.worker.id, *slot);
        }
        // If this fails, they are given back with the requests of the handlers that do not end.
        let _: Vec<Option<Vec<u8>>> = commands.query_async(connection).await?;
        self.service
            .counters
            .requeued
            .fetch_add(late.len() as u64, Relaxed);
        for slot in late {
            self.worker.slots.release(slot, Reuse::Again);
        }
        Ok(())
    }
}

/// Gives back, for ever, what a take that failed, or its ghost, may have put into slots that nobody uses.
pub(super) async fn empty_retired(service: Arc<Service>, worker: Arc<Worker>) {
    loop {
        let retired = worker.slots.retired();
        if retired.is_empty() {
            worker.slots.some_retired.notified().await;
            continue;
        }
        let asked = Instant::now();
        let mut commands = pipe();
        for slot in &retired {
            give_back_one(&mut commands, &worker.keys, &worker.id, *slot);
        }
        // If this fails, it is done again.
        if let Ok(found) = worker.shared.run::<Vec<Option<Vec<u8>>>>(&commands).await {
            let empty = retired.iter().zip(&found).filter(|(_, found)| found.is_none());
            let empty: Vec<u64> = empty.map(|(slot, _)| *slot).collect();
            let moved = (retired.len() - empty.len()) as u64;
            service.counters.requeued.fetch_add(moved, Relaxed);
            worker.slots.seen_empty(&empty, asked);
        }
        tokio::time::sleep(RETIRED_LOOK).await;
    }
}
