//! Takes requests from the queue into slots and starts their handlers, on a connection of its own.
//!
//! A take waits for a request with `BLMOVE`. As long as several requests come at once, `LMOVE`s are sent with it: Redis
//! carries them out when the wait is over, and so hands over all that came with one answer.
//!
//! Promise: a take is never cancelled, for Redis might carry it out after nobody listens any more. When a take fails,
//! the slots of all takes that were sent are retired and emptied.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::finish::Finish;
use super::service::Service;
use super::slots::Reuse;
use super::worker::{Worker, give_back_one};
use crate::connection::{
    BLOCK, Backoff, Connection, Endpoint, Pipeline, REFUSALS, RedisResult, is_passing, is_refusal, pipe,
};

/// So many requests are taken at once at most, which Redis does in some ten microseconds; and so many bytes of them,
/// if they are about as large as the last ones.
const MOST_AT_ONCE: usize = 32;
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

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
        let mut more = 0;
        while let Some(slot) = self.free_slot().await {
            let taken = self.take(&mut connection, slot, more).await?;
            *backoff = Backoff::default();
            if self.stop.is_cancelled() {
                return self.give_back(&mut connection, taken).await;
            }
            let count = taken.len();
            let bytes: usize = taken.iter().map(|(_, request)| request.len()).sum();
            for (slot, request) in taken {
                let (service, finish) = (Arc::clone(&self.service), Arc::clone(&self.finish));
                self.handlers
                    .spawn(service.serve(finish, slot, request, count == 1));
            }
            // Their replies are more urgent than the next take.
            tokio::task::yield_now().await;
            // Their work is done and they cannot panic; what is left of them is freed here.
            while self.handlers.try_join_next().is_some() {}
            more = match count {
                0 => 0,
                // A request that came while another one ran may come with more.
                1 => usize::from(self.handlers.len() > 1),
                several => (several * 2).min(BYTES_AT_ONCE / (bytes / several).max(1)),
            };
        }
        Ok(())
    }

    /// A slot for the next request, as soon as there is one; none after the stop.
    async fn free_slot(&mut self) -> Option<u64> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            slot = self.free.recv() => slot,
        }
    }

    /// Waits for a request and takes it, and `more` with it if there are, as long as there are slots for them.
    async fn take(
        &mut self,
        connection: &mut Connection,
        slot: u64,
        more: usize,
    ) -> RedisResult<Vec<(u64, Vec<u8>)>> {
        let mut slots = vec![slot];
        slots.extend((0..more.min(MOST_AT_ONCE - 1)).map_while(|_| self.free.try_recv().ok()));
        let worker = &self.worker;
        for slot in &slots {
            worker.slots.occupy(*slot);
        }
        let answered = match worker.cover(&slots, connection).await {
            Ok(()) => ask(worker, connection, &slots).await,
            Err(error) => Err(error),
        };
        let answers = answered.inspect_err(|_| slots.iter().for_each(|slot| worker.slots.retire(*slot)))?;
        let mut taken = Vec::with_capacity(slots.len());
        for (slot, answer) in slots.into_iter().zip(answers) {
            match answer {
                Some(request) => taken.push((slot, request)),
                None => worker.slots.release(slot, Reuse::Again),
            }
        }
        Ok(taken)
    }

    /// What was taken after the stop goes back to the head of the queue, in the order in which it was there.
    async fn give_back(&self, connection: &mut Connection, late: Vec<(u64, Vec<u8>)>) -> RedisResult<()> {
        if late.is_empty() {
            return Ok(());
        }
        let mut commands = pipe();
        for (slot, _) in late.iter().rev() {
            give_back_one(&mut commands, &self.worker.keys, &self.worker.id, *slot);
        }
        // If this fails, they are given back with the requests of the handlers that do not end.
        let _: Vec<Option<Vec<u8>>> = commands.query_async(connection).await?;
        self.service
            .counters
            .requeued
            .fetch_add(late.len() as u64, Relaxed);
        for (slot, _) in late {
            self.worker.slots.release(slot, Reuse::Again);
        }
        Ok(())
    }
}

/// Has Redis move a request into each of the slots, if there are so many, and wait for the first one.
async fn ask(
    worker: &Worker,
    connection: &mut Connection,
    slots: &[u64],
) -> RedisResult<Vec<Option<Vec<u8>>>> {
    let mut commands = Pipeline::with_capacity(slots.len());
    for (at, slot) in slots.iter().enumerate() {
        commands
            .cmd(if at == 0 { "BLMOVE" } else { "LMOVE" })
            .arg(worker.keys.queue())
            .arg(worker.slot_key(*slot))
            .arg("LEFT")
            .arg("RIGHT");
        if at == 0 {
            commands.arg(BLOCK.as_secs());
        }
    }
    commands.query_async(connection).await
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
