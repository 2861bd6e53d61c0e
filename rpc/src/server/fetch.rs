//! Takes requests from the queue into slots and starts their handlers, on a connection of its own.
//!
//! A take is a `BLMOVE`, which waits for a request, and behind it as many `LMOVE` as more requests are expected to be
//! there by then, all sent at once. While requests come, takes are sent ahead, so that Redis need not wait for us; that two
//! are answered at the same time shows that more requests wait than are taken, and the next takes are larger.
//!
//! Promise: a take is never cancelled, for Redis might carry it out after nobody listens any more. When a take fails,
//! the slots of all takes that were sent are retired and emptied.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
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
    BLOCK, Backoff, Cmd, Connection, Endpoint, Pipeline, REFUSALS, RedisResult, is_passing, is_refusal, pipe,
};

/// So many takes are under way: the one that waits and those behind it. With two, a client of 50 calls at once waited
/// for the server's next take; more than four gained nothing.
pub(super) const TAKES: u32 = 4;

/// So many requests are taken at once at most. More would be started later than other servers could start them, and
/// larger takes measured no faster than more of them.
const LARGEST_TAKE: usize = 16;

/// How long a take that was sent ahead waits when its turn comes. If the queue stays empty, one take is enough.
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
type Takes = FuturesOrdered<BoxFuture<'static, Answered>>;

/// A take's slots, and what Redis has put into them.
type Answered = (Vec<u64>, RedisResult<Vec<Option<Vec<u8>>>>);

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
        while let Some((slots, _)) = takes.next().await {
            self.retire(slots);
        }
        taken
    }

    async fn take(
        &mut self,
        connection: &mut Connection,
        takes: &mut Takes,
        backoff: &mut Backoff,
    ) -> RedisResult<()> {
        let (mut most_takes, mut size, mut late) = (1, 1, Vec::new());
        let mut refill = true;
        loop {
            // Their work is done and they cannot panic; what is left of them is freed here.
            while self.handlers.try_join_next().is_some() {}
            if takes.is_empty() && self.stop.is_cancelled() {
                return self.give_back(connection, late).await;
            }
            // Several are sent together, as soon as half of them are answered.
            refill = takes.len() < most_takes && (refill || takes.len() <= most_takes / 2);
            let room = refill && !self.stop.is_cancelled();
            let answered = tokio::select! {
                biased;
                Some(slot) = self.free.recv(), if room => {
                    let slots = self.slots_from(slot, size, connection).await?;
                    takes.push_back(self.send_take(connection.clone(), slots, takes.is_empty()));
                    continue;
                }
                Some(answered) = takes.next() => answered,
                () = self.stop.cancelled(), if room => continue,
            };
            let (asked, found) = self.start(answered, &mut late)?;
            *backoff = Backoff::default();
            let behind = takes.next().now_or_never().flatten();
            let more = match behind {
                Some(answered) => self.start(answered, &mut late)?.1 > 0,
                None => false,
            };
            most_takes = if found == 0 { 1 } else { TAKES as usize };
            size = next_size(size, asked, found, more);
            if !takes.is_empty() {
                // While Redis has takes to carry out, replies are more urgent than the next ones.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Starts the handlers of the requests that were taken, or has them given back if it is too late for that. Returns
    /// how many requests were asked for and how many came.
    fn start(&mut self, (slots, taken): Answered, late: &mut Vec<u64>) -> RedisResult<(usize, usize)> {
        let requests = match taken {
            Ok(requests) => requests,
            Err(error) => {
                self.retire(slots);
                return Err(error);
            }
        };
        let (asked, mut found) = (slots.len(), 0);
        let filled = slots
            .iter()
            .zip(&requests)
            .filter(|(_, request)| request.is_some());
        self.worker.slots.filled(filled.map(|(slot, _)| *slot));
        for (slot, request) in slots.into_iter().zip(requests) {
            found += usize::from(request.is_some());
            match request {
                None => self.worker.slots.release(slot, Reuse::Again),
                Some(_) if self.stop.is_cancelled() => late.push(slot),
                Some(request) => {
                    let service = Arc::clone(&self.service);
                    self.handlers
                        .spawn(service.serve(Arc::clone(&self.finish), slot, request));
                }
            }
        }
        Ok((asked, found))
    }

    /// This free slot, and others until there are so many or no more.
    async fn slots_from(
        &mut self,
        first: u64,
        size: usize,
        connection: &mut Connection,
    ) -> RedisResult<Vec<u64>> {
        let mut slots = vec![first];
        while slots.len() < size
            && let Ok(slot) = self.free.try_recv()
        {
            slots.push(slot);
        }
        let last = slots.iter().copied().max().unwrap_or(first);
        if let Err(error) = self.worker.cover(last, connection).await {
            for slot in slots {
                self.worker.slots.release(slot, Reuse::Again);
            }
            return Err(error);
        }
        Ok(slots)
    }

    /// The take is sent when the future is polled first, which is why it must be given to [`Takes`] at once.
    fn send_take(
        &self,
        mut connection: Connection,
        slots: Vec<u64>,
        first: bool,
    ) -> BoxFuture<'static, Answered> {
        let mut commands = Pipeline::with_capacity(slots.len());
        for (at, slot) in slots.iter().enumerate() {
            self.worker.slots.occupy(*slot);
            let (queue, key) = (self.worker.keys.queue(), self.worker.slot_key(*slot));
            // For every request there is one, and it would grow with each argument.
            let mut take = Cmd::with_capacity(6, queue.len() + key.len() + 32);
            take.arg(if at == 0 { "BLMOVE" } else { "LMOVE" })
                .arg(queue)
                .arg(key)
                .arg("LEFT")
                .arg("RIGHT");
            if at == 0 {
                take.arg(if first { BLOCK } else { AHEAD }.as_secs_f64());
            }
            commands.add_command(take);
        }
        async move { (slots, commands.query_async(&mut connection).await) }.boxed()
    }

    fn retire(&self, slots: Vec<u64>) {
        for slot in slots {
            self.worker.slots.retire(slot);
        }
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

/// How many requests to ask for next, after so many were asked for and so many came, and the take behind brought `more`
/// at the same time.
fn next_size(size: usize, asked: usize, found: usize, more: bool) -> usize {
    if more && found == asked {
        (size * 2).min(LARGEST_TAKE)
    } else {
        // What is asked for in vain costs nearly as much as what is taken, so there is little to spare. Never none.
        size.min((found + (found + 2) / 4).max(asked.div_ceil(2)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_grow_with_a_backlog_and_shrink_without() {
        let mut size = 1;
        for grown in [2, 4, 8, 16, 16] {
            size = next_size(size, size, size, true);
            assert_eq!(size, grown);
        }
        assert_eq!(next_size(size, 16, 16, false), 16, "nothing was left behind");
        assert_eq!(next_size(size, 3, 3, false), 4, "there were no more slots");
        assert_eq!(next_size(size, 16, 12, true), 15, "a little to spare");
        assert_eq!(
            next_size(2, 2, 1, false),
            1,
            "who calls one by one costs nothing in vain"
        );
        for shrunk in [8, 4, 2, 1, 1] {
            size = next_size(size, size, 0, false);
            assert_eq!(size, shrunk);
        }
        assert_eq!(
            next_size(size, 1, 1, true),
            2,
            "an idle server finds its way back"
        );
    }
}
