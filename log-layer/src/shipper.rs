//! The shipper: a thread that seals what is buffered into batches and has them carried to the server.
//!
//! Promises: it needs nothing from the program's runtime, if there is one; at most [`WINDOW`] batches are on their way at
//! once; a panic costs at most the batch it happened on, and that is counted; it ends soon after it was told to.
//!
//! What it logs itself never enters the layer; see [`crate::reentry`].

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rpc::Client;
use tokio::time::{Instant, sleep_until};

use crate::batch::{Batch, Sealer, Source};
use crate::buffer::{Buffer, Chunk, Settled};
use crate::carrier::{Asked, Carrier, Verdict, describe};
use crate::dropped::DropReason;
use crate::levels::Levels;
use crate::reentry;

/// Enough to keep the server busy while answers travel; more would only hold more memory.
const WINDOW: usize = 4;

/// After this many empty ticks the shipper sleeps until it is called, so that a quiet program costs nothing.
const QUIET_TICKS: u32 = 5;

/// Longer than any program runs, short enough for the clock.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A batch that panicked this often is given up.
const PANICS: u32 = 3;

/// How long a batch waits after a panic, and how long declarations wait after they were refused.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// After how long without Redis to say so; shorter than a flush at the end of the program.
const REDIS_TIMEOUT: Duration = Duration::from_secs(3);

/// While the server's level holds, this many times the answer's timeout is the longest time without asking whether it
/// still does: two minutes by default. Errors may be rare, and only an answer can lift the level.
const ASK_AGAIN: u32 = 12;

/// What the shipper needs to know.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) redis: String,
    pub(crate) queue: String,
    pub(crate) source: Source,
    pub(crate) linger: Duration,
    pub(crate) ack_timeout: Duration,
    /// Whose level the server may raise.
    pub(crate) levels: Option<Levels>,
}

/// Starts the thread. Does not wait for the network.
///
/// # Errors
/// What makes delivery impossible, for people.
pub(crate) fn start(orders: Orders, buffer: Arc<Buffer>) -> Result<JoinHandle<()>, String> {
    let (ready, started) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("log-layer".to_owned())
        .spawn(move || {
            reentry::become_shipper();
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    // The builder waits for this; it cannot have gone.
                    let _ = ready.send(Err(format!("no runtime for the shipper: {error}")));
                    return;
                }
            };
            runtime.block_on(async {
                match Client::builder(&orders.queue)
                    .redis(&orders.redis)
                    .timeout(REDIS_TIMEOUT)
                    .build()
                {
                    Ok(client) => {
                        let _ = ready.send(Ok(()));
                        Shipper::new(client, orders, buffer).run().await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(describe(&error)));
                    }
                }
            });
            // Not waited for: a name lookup may hang, and the program wants to end.
            runtime.shutdown_background();
        })
        .map_err(|error| format!("no thread for the shipper: {error}"))?;
    match started.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err("the shipper panicked while it started".to_owned()),
    }
}

struct Shipper {
    carrier: Rc<Carrier>,
    buffer: Arc<Buffer>,
    sealer: Sealer,
    linger: Duration,
    window: FuturesUnordered<Way>,
    /// Halves of a batch that was too large, waiting for their place in the window.
    halves: VecDeque<Batch>,
    /// When the open chunk goes out whatever its size.
    tick: Instant,
    /// When declarations may go out without records.
    declare_from: Instant,
    quiet_ticks: u32,
    /// Before this the server wants nothing, unless somebody waits for it.
    throttled_until: Instant,
    levels: Option<Levels>,
    /// When to ask whether the server's level still holds, and how long after an answer that is.
    ask_from: Instant,
    ask_after: Duration,
}

/// A batch on its way, and what became of it; none if that panicked.
type Way = Pin<Box<dyn Future<Output = (Cargo, Option<Verdict>)>>>;

struct Cargo {
    batch: Batch,
    panics: u32,
}

impl Shipper {
    fn new(client: Client, orders: Orders, buffer: Arc<Buffer>) -> Shipper {
        Shipper {
            carrier: Rc::new(Carrier::new(client, buffer.clone(), orders.ack_timeout)),
            buffer,
            sealer: Sealer::new(&orders.source),
            linger: orders.linger,
            window: FuturesUnordered::new(),
            halves: VecDeque::new(),
            tick: Instant::now(),
            declare_from: Instant::now(),
            quiet_ticks: 0,
            throttled_until: Instant::now(),
            levels: orders.levels,
            ask_from: Instant::now(),
            ask_after: orders.ack_timeout.saturating_mul(ASK_AGAIN).min(FOR_EVER),
        }
    }

    async fn run(mut self) {
        while !self.buffer.is_stopped() {
            if AssertUnwindSafe(self.step()).catch_unwind().await.is_err() {
                self.buffer
                    .note_error("the shipper panicked and goes on".to_owned());
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
    }

    /// Sends what is due, then waits for the next thing to happen.
    async fn step(&mut self) {
        let mut next = self.tick;
        if self.throttled_until > Instant::now() && !self.buffer.is_flushing() {
            next = self.throttled_until;
        } else {
            let due = Instant::now() >= self.tick;
            if due {
                self.tick = Instant::now() + self.linger;
                self.quiet_ticks += 1;
                next = self.tick;
            }
            self.fill_window(due);
            self.declare_or_ask(due);
        }
        if self.quiet_ticks > QUIET_TICKS && self.window.is_empty() && self.buffer.doze() {
            next = if self.is_asking() {
                next.max(self.ask_from)
            } else {
                next + FOR_EVER
            };
        }
        tokio::select! {
            Some((cargo, verdict)) = self.window.next(), if !self.window.is_empty() => self.settle(cargo, verdict),
            () = self.buffer.wake.notified() => {}
            () = sleep_until(next) => {}
        }
    }

    fn fill_window(&mut self, due: bool) {
        while self.window.len() < WINDOW {
            if let Some(half) = self.halves.pop_front() {
                self.launch(half);
                continue;
            }
            let Some(mut chunk) = self.buffer.take(due) else {
                break;
            };
            self.quiet_ticks = 0;
            let declared = self.buffer.take_undeclared();
            let sealed = catch_unwind(AssertUnwindSafe(|| {
                self.sealer.seal(&mut chunk, declared.clone())
            }));
            match sealed {
                Ok(batch) => self.launch(batch),
                Err(_) => {
                    self.buffer.declare_again(&declared);
                    for head in &chunk.heads {
                        self.buffer.give_up(head, DropReason::Panicked);
                    }
                    self.buffer.settle(Settled {
                        first_seq: chunk.first_seq,
                        stored: 0,
                        declared: 0,
                        cost: chunk.cost(),
                    });
                }
            }
            self.buffer.recycle(chunk.bytes);
        }
    }

    /// Declarations travel with records, and so do the server's wishes; without any records, both still must arrive.
    fn declare_or_ask(&mut self, due: bool) {
        let now = Instant::now();
        // Not at once: where drops go on, that would be a batch for each of them.
        let due = due || self.buffer.is_flushing();
        let declares = due && self.buffer.has_undeclared() && now >= self.declare_from;
        let asks = self.is_asking() && now >= self.ask_from;
        if self.window.is_empty() && (declares || asks) {
            let declared = self.buffer.take_undeclared();
            let batch = self.sealer.seal(&mut Chunk::default(), declared);
            self.launch(batch);
        }
    }

    /// Whether the server's level holds.
    fn is_asking(&self) -> bool {
        self.levels.as_ref().is_some_and(Levels::has_server)
    }

    fn obey(&mut self, asked: Asked) {
        let now = Instant::now();
        self.throttled_until = now + asked.pause;
        self.ask_from = now + self.ask_after;
        if let Some(levels) = &self.levels {
            levels.set_server(asked.level);
        }
    }

    fn launch(&self, batch: Batch) {
        self.send(Cargo { batch, panics: 0 });
    }

    fn send(&self, mut cargo: Cargo) {
        let carrier = self.carrier.clone();
        self.window.push(Box::pin(async move {
            if cargo.panics > 0 {
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
            let verdict = AssertUnwindSafe(carrier.carry(&cargo.batch))
                .catch_unwind()
                .await
                .ok();
            cargo.panics += u32::from(verdict.is_none());
            (cargo, verdict)
        }));
    }

    fn settle(&mut self, cargo: Cargo, verdict: Option<Verdict>) {
        let batch = &cargo.batch;
        match verdict {
            Some(Verdict::Stored { rejected, asked }) => {
                let refused = rejected.iter().filter_map(|index| batch.heads.get(*index));
                let mut stored = batch.heads.len() as u64;
                for head in refused {
                    self.buffer.give_up(head, DropReason::RejectedByServer);
                    stored -= 1;
                }
                // First, so that whoever waits for these records finds it done.
                self.obey(asked);
                self.finish(batch, stored, batch.declared.total());
            }
            Some(Verdict::TooLarge) if batch.heads.len() > 1 => {
                let (first, second) = self.sealer.split(cargo.batch);
                self.buffer.split(second.first_seq);
                self.halves.extend([first, second]);
            }
            Some(Verdict::TooLarge | Verdict::Rejected) => self.give_up(batch, DropReason::RejectedByServer),
            None if cargo.panics < PANICS => self.send(cargo),
            None => self.give_up(batch, DropReason::Panicked),
        }
    }

    fn give_up(&mut self, batch: &Batch, reason: DropReason) {
        for head in &batch.heads {
            self.buffer.give_up(head, reason);
        }
        self.buffer.declare_again(&batch.declared);
        self.declare_from = Instant::now() + AFTER_TROUBLE;
        self.finish(batch, 0, 0);
    }

    fn finish(&self, batch: &Batch, stored: u64, declared: u64) {
        self.buffer.settle(Settled {
            first_seq: batch.first_seq,
            stored,
            declared,
            cost: batch.cost,
        });
    }
}
