//! The shipper: a thread that seals what is buffered into batches and has them carried to the server.
//!
//! Promises: it needs nothing from the program's runtime, if there is one; at most [`WINDOW`] batches are on their way at
//! once; a panic costs at most the batch it happened on, and that is counted; it ends soon after it was told to, and
//! leaves to the [spool](Spooler), if there is one, what is not delivered by then.
//!
//! What it logs itself never enters the layer; see [`crate::reentry`].

mod loading;
mod settling;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
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

use crate::batch::{Batch, Claim, Draft, Identity, Sealer};
use crate::buffer::{Buffer, Chunk, Limits};
use crate::carrier::{Carrier, Verdict, describe};
use crate::levels::Levels;
use crate::reentry;
use crate::spool::SpoolOrders;
use crate::spooler::{Run, Spooler};

/// Enough to keep the server busy while answers travel; more would only hold more memory.
const WINDOW: usize = 4;

/// After this long without a record the shipper sleeps until it is called, so that a quiet program costs nothing.
const QUIET: Duration = Duration::from_secs(1);

/// How often records are written ahead.
const WRITE_AHEAD_EVERY: Duration = Duration::from_millis(5);

/// After this long without an answer, or the time for one if that is shorter, what is logged goes to the spool.
const AWAY: Duration = Duration::from_secs(5);

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
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    pub(crate) redis: String,
    pub(crate) queue: String,
    pub(crate) identity: Identity,
    pub(crate) linger: Duration,
    pub(crate) ack_timeout: Duration,
    /// Whose level the server may raise.
    pub(crate) levels: Option<Levels>,
    pub(crate) limits: Limits,
    pub(crate) spool: Option<SpoolOrders>,
}

/// Starts the thread, and says what of its orders it cannot follow. Does not wait for the network.
///
/// # Errors
/// What makes delivery impossible, for people.
pub(crate) fn start(orders: Orders, buffer: Arc<Buffer>) -> Result<(JoinHandle<()>, Option<String>), String> {
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
                        let (shipper, problem) = Shipper::new(client, orders, buffer);
                        let _ = ready.send(Ok(problem));
                        shipper.run().await;
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
        Ok(Ok(problem)) => Ok((thread, problem)),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err("the shipper panicked while it started".to_owned()),
    }
}

struct Shipper {
    carrier: Rc<Carrier>,
    buffer: Arc<Buffer>,
    sealer: Sealer,
    limits: Limits,
    linger: Duration,
    window: FuturesUnordered<Way>,
    /// This run's batches in the window, and what the buffer must be told of each.
    flying: BTreeMap<u64, (Rc<Batch>, Claim)>,
    /// Sealed and in memory, waiting for a place in the window; halves of a batch that was too large come first.
    ready: VecDeque<(Batch, Run)>,
    /// A batch's worth each, while there is no place in the window: the program's threads get their memory back, and what
    /// waits holds no more than it needs.
    aside: VecDeque<Chunk>,
    /// The batch that is being filled, and when it is sealed; only where records are written ahead.
    draft: Option<Draft>,
    seal_at: Instant,
    spooler: Option<Spooler>,
    /// Whether it is the turn of what is on disk.
    spooled_next: bool,
    /// When the open chunk is taken whatever its size, and how often.
    tick: Instant,
    pace: Duration,
    quiet_from: Instant,
    /// The last time that something in the window began to wait or was answered.
    last_news: Instant,
    /// Without news for so long, Redis or the server is away.
    patience: Duration,
    /// When declarations may go out without records.
    declare_from: Instant,
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
    batch: Rc<Batch>,
    run: Run,
    panics: u32,
}

impl Shipper {
    /// The shipper, and what of its orders it cannot follow.
    fn new(client: Client, orders: Orders, buffer: Arc<Buffer>) -> (Shipper, Option<String>) {
        let run = orders.identity.run();
        let source = serde_json::to_string(&run).expect("text serialises");
        let spooler = orders.spool.map(|spool| {
            let directory = spool.directory.clone();
            Spooler::new(spool, &run.service, &run.boot, &source, buffer.clone())
                .map_err(|error| format!("nothing will be spooled in {}: {error}", directory.display()))
        });
        let (spooler, problem) = match spooler {
            Some(Ok(spooler)) => (Some(spooler), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let pace = match &spooler {
            Some(spooler) if spooler.writes_ahead() => orders.linger.min(WRITE_AHEAD_EVERY),
            Some(_) | None => orders.linger,
        };
        let now = Instant::now();
        let shipper = Shipper {
            carrier: Rc::new(Carrier::new(client, buffer.clone(), orders.ack_timeout)),
            buffer,
            sealer: Sealer::new(source),
            limits: orders.limits,
            linger: orders.linger,
            window: FuturesUnordered::new(),
            flying: BTreeMap::new(),
            ready: VecDeque::new(),
            aside: VecDeque::new(),
            draft: None,
            seal_at: now,
            spooler,
            spooled_next: true,
            tick: now,
            pace,
            quiet_from: now,
            last_news: now,
            patience: AWAY.min(orders.ack_timeout),
            declare_from: now,
            throttled_until: now,
            levels: orders.levels,
            ask_from: now,
            ask_after: orders.ack_timeout.saturating_mul(ASK_AGAIN).min(FOR_EVER),
        };
        (shipper, problem)
    }

    async fn run(mut self) {
        while !self.buffer.is_stopped() {
            if AssertUnwindSafe(self.step()).catch_unwind().await.is_err() {
                self.buffer
                    .note_error("the shipper panicked and goes on".to_owned());
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
        self.leave();
    }

    /// Sends what is due, then waits for the next thing to happen.
    async fn step(&mut self) {
        let now = Instant::now();
        let due = now >= self.tick;
        if due {
            self.tick = now + self.pace;
        }
        if let Some(spooler) = &mut self.spooler {
            spooler.look();
            if spooler.writes_ahead() {
                self.write_ahead();
            }
        }
        if self.throttled_until <= now || self.buffer.is_flushing() {
            self.fill_window(due);
            self.declare_or_ask(due);
        }
        self.spool_what_cannot_leave(due);
        self.set_aside();
        let quiet = self.quiet_from + QUIET;
        let next = if now < quiet {
            self.tick.min(quiet)
        } else if !self.rests() {
            self.tick
        } else if self.is_asking() {
            self.ask_from
        } else {
            now + FOR_EVER
        };
        tokio::select! {
            Some((cargo, verdict)) = self.window.next(), if !self.window.is_empty() => self.settle(cargo, verdict),
            () = self.buffer.wake.notified() => {}
            () = sleep_until(next) => {}
        }
    }

    /// Whether there is nothing to do until somebody calls.
    fn rests(&self) -> bool {
        self.window.is_empty()
            && self.ready.is_empty()
            && self.aside.is_empty()
            && self.draft.is_none()
            && !self.spooler.as_ref().is_some_and(Spooler::has_waiting)
            && self.buffer.doze()
    }

    /// Declarations travel with records, and so do the server's wishes; without any records, both still must arrive.
    fn declare_or_ask(&mut self, due: bool) {
        let now = Instant::now();
        // Not at once: where drops go on, that would be a batch for each of them.
        let due = due || self.buffer.is_flushing();
        let declares = due && self.buffer.has_undeclared() && now >= self.declare_from;
        let asks = self.is_asking() && now >= self.ask_from;
        if self.window.is_empty() && (declares || asks) {
            let draft = self.sealer.draft();
            let batch = self.sealer.seal(draft, self.buffer.take_undeclared());
            self.launch(batch, Run::Own);
        }
    }

    /// Whether the server's level holds.
    fn is_asking(&self) -> bool {
        self.levels.as_ref().is_some_and(Levels::has_server)
    }

    fn launch(&mut self, mut batch: Batch, run: Run) {
        let claim = std::mem::take(&mut batch.claim);
        let batch = Rc::new(batch);
        match run {
            Run::Own => {
                self.flying.insert(batch.no, (batch.clone(), claim));
            }
            Run::Earlier(_) => {}
        }
        if self.window.is_empty() {
            self.last_news = Instant::now();
        }
        self.send(Cargo {
            batch,
            run,
            panics: 0,
        });
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
}

#[cfg(test)]
mod tests;
