//! Takes requests from the queue into slots and starts their handlers. It has a connection of its own, on which it
//! waits for a request and then takes what else is there while handlers may start.
//!
//! Promise: a take is never cancelled, for Redis might carry it out after nobody listens any more; it is waited for
//! at most two seconds. When a take fails, the slots it named are retired and emptied.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::service::Service;
use super::slots::Reuse;
use super::worker::give_back_one;
use crate::connection::{
    BLOCK, Backoff, Connection, Endpoint, REFUSALS, RedisResult, cmd, is_passing, is_refusal, pipe,
};

/// After a request that was waited for comes usually none, and under load many: the number taken at once doubles
/// from the first number to the second.
const FIRST_BATCH: usize = 2;
const LARGEST_BATCH: usize = 32;

pub(super) struct Fetch {
    endpoint: Endpoint,
    service: Arc<Service>,
    stop: CancellationToken,
    ready: watch::Sender<bool>,
    free: mpsc::UnboundedReceiver<u64>,
    handlers: JoinSet<()>,
}

impl Fetch {
    pub(super) fn new(
        endpoint: Endpoint,
        service: Arc<Service>,
        stop: CancellationToken,
        ready: watch::Sender<bool>,
    ) -> Self {
        let free = service.worker.slots.take_free();
        Self {
            endpoint,
            service,
            stop,
            ready,
            free,
            handlers: JoinSet::new(),
        }
    }

    /// Takes requests until the stop; returns the handlers that still run.
    ///
    /// # Errors
    ///
    /// When Redis refuses a command again and again, for want of a permission.
    pub(super) async fn run(mut self) -> RedisResult<JoinSet<()>> {
        let stop = self.stop.clone();
        let (mut backoff, mut refusals) = (Backoff::default(), 0);
        while !stop.is_cancelled() {
            let Err(error) = self.serve_connection(&mut backoff).await else {
                continue;
            };
            self.ready.send_replace(false);
            self.service.worker.forget_fetch_connection();
            refusals = if is_refusal(&error) { refusals + 1 } else { 0 };
            if refusals >= REFUSALS {
                return Err(error);
            }
            if !is_passing(&error) {
                tracing::warn!(%error, "no requests can be taken");
            }
            tokio::select! {
                () = backoff.pause() => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(self.handlers)
    }

    /// Takes requests until the stop or an error.
    async fn serve_connection(&mut self, backoff: &mut Backoff) -> RedisResult<()> {
        let mut connection = tokio::select! {
            connection = self.endpoint.dedicated() => connection?,
            () = self.stop.cancelled() => return Ok(()),
        };
        self.service.worker.register(&mut connection).await?;
        self.ready.send_replace(true);
        while let Some(slot) = self.free_slot().await {
            match self.wait_for_one(&mut connection, slot).await {
                Ok(None) => self.service.worker.slots.release(slot, Reuse::Again),
                Ok(Some(request)) => {
                    self.start(&mut connection, slot, request).await?;
                    self.take_more(&mut connection).await?;
                }
                Err(error) => {
                    self.service.worker.slots.retire(slot);
                    return Err(error);
                }
            }
            *backoff = Backoff::default();
        }
        Ok(())
    }

    /// A slot as soon as a handler may start, or `None` when no more may.
    async fn free_slot(&mut self) -> Option<u64> {
        // Their work is done and they cannot panic; what is left of them is freed here.
        while self.handlers.try_join_next().is_some() {}
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            slot = self.free.recv() => slot,
        }
    }

    async fn wait_for_one(&self, connection: &mut Connection, slot: u64) -> RedisResult<Option<Vec<u8>>> {
        let worker = &self.service.worker;
        worker.slots.occupy(slot);
        self.empty_retired(connection).await?;
        worker.cover(&[slot], connection).await?;
        let mut take = cmd("BLMOVE");
        take.arg(worker.keys.queue())
            .arg(worker.slot_key(slot))
            .arg("LEFT")
            .arg("RIGHT")
            .arg(BLOCK.as_secs());
        take.query_async(connection).await
    }

    async fn take_more(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let worker = Arc::clone(&self.service.worker);
        let mut batch = FIRST_BATCH;
        loop {
            let mut slots = Vec::with_capacity(batch);
            while slots.len() < batch && !self.stop.is_cancelled() {
                let Ok(slot) = self.free.try_recv() else { break };
                worker.slots.occupy(slot);
                slots.push(slot);
            }
            if slots.is_empty() {
                return Ok(());
            }
            let requests = self.take_now(connection, &slots).await.inspect_err(|_| {
                slots.iter().for_each(|slot| worker.slots.retire(*slot));
            })?;
            let mut queue_is_empty = false;
            for (slot, request) in slots.into_iter().zip(requests) {
                match request {
                    Some(request) => self.start(connection, slot, request).await?,
                    None => {
                        queue_is_empty = true;
                        worker.slots.release(slot, Reuse::Again);
                    }
                }
            }
            if queue_is_empty {
                return Ok(());
            }
            batch = (batch * 2).min(LARGEST_BATCH);
        }
    }

    async fn take_now(
        &self,
        connection: &mut Connection,
        slots: &[u64],
    ) -> RedisResult<Vec<Option<Vec<u8>>>> {
        let worker = &self.service.worker;
        worker.cover(slots, connection).await?;
        let mut commands = pipe();
        for slot in slots {
            commands
                .cmd("LMOVE")
                .arg(worker.keys.queue())
                .arg(worker.slot_key(*slot))
                .arg("LEFT")
                .arg("RIGHT");
        }
        commands.query_async(connection).await
    }

    /// Starts the request's handler; one that was taken after the stop goes back to the head of the queue.
    async fn start(&mut self, connection: &mut Connection, slot: u64, request: Vec<u8>) -> RedisResult<()> {
        if !self.stop.is_cancelled() {
            self.handlers
                .spawn(Arc::clone(&self.service).serve(slot, request));
            return Ok(());
        }
        let worker = &self.service.worker;
        let mut commands = pipe();
        give_back_one(&mut commands, &worker.keys, &worker.id, slot);
        let (_,): (Option<Vec<u8>>,) = commands
            .query_async(connection)
            .await
            .inspect_err(|_| worker.slots.retire(slot))?;
        self.service.counters.requeued.fetch_add(1, Relaxed);
        worker.slots.release(slot, Reuse::Again);
        Ok(())
    }

    /// Gives back what a take that failed, or its ghost, may have put into slots that nobody uses.
    async fn empty_retired(&self, connection: &mut Connection) -> RedisResult<()> {
        let worker = &self.service.worker;
        let retired = worker.slots.retired();
        if retired.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let mut commands = pipe();
        for slot in &retired {
            give_back_one(&mut commands, &worker.keys, &worker.id, *slot);
        }
        let found: Vec<Option<Vec<u8>>> = commands.query_async(connection).await?;
        let empty: Vec<u64> = retired
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(slot, _)| *slot)
            .collect();
        self.service
            .counters
            .requeued
            .fetch_add((retired.len() - empty.len()) as u64, Relaxed);
        worker.slots.seen_empty(&empty, asked);
        Ok(())
    }
}
