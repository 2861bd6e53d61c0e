//! One incarnation of a server as Redis knows it: its id, never used before, its slots, the registration through which
//! others find them, and the lease by which others know that it is alive.
//!
//! The lease is lost when another server has moved requests out of the slots: then the handlers of this incarnation
//! run beside others for the same requests, so their answers are no longer wanted, and the server goes on as a new
//! incarnation. A heartbeat that merely came late, because the process was paused or Redis was away, loses nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::process::Process;
use super::slots::Slots;
use crate::Error;
use crate::connection::{
    Connection, Pipeline, RedisError, RedisResult, Shared, cmd, is_passing, milliseconds, pipe,
};
use crate::keys::Keys;

/// A worker counts as dead when it did not renew its heartbeat for this long: three renewals may fail.
pub(super) const LEASE: Duration = Duration::from_secs(20);

/// After so long without a renewal nothing is answered before it is known that nobody else took the requests: less
/// than the lease, because a renewal is on its way for a while.
const TRUST: Duration = Duration::from_secs(15);

/// How long a stopping server waits for Redis. What is left there then is found by another server.
const FAREWELL: Duration = Duration::from_secs(2);

/// So many slots more are registered than are needed, so that a flapping network does not cost a command each time.
const SPARE_SLOTS: u64 = 32;

pub(super) struct Worker {
    pub(super) id: String,
    pub(super) keys: Keys,
    pub(super) shared: Shared,
    pub(super) slots: Slots,
    /// Ends the incarnation's heartbeat.
    pub(super) over: CancellationToken,
    heartbeat: String,
    lease: watch::Sender<Lease>,
    /// Asks for a renewal now.
    pub(super) renew_now: Notify,
    /// The run of Redis in which it was registered.
    redis_run: Mutex<Option<String>>,
    /// Slots below this number can be found by others.
    registered: AtomicU64,
    /// The id that Redis gave the connection that waits for requests, 0 if unknown.
    fetch_connection: AtomicI64,
}

#[derive(Default)]
struct Lease {
    /// Since then others know that we are alive.
    renewed: Option<Instant>,
    /// Why the last renewal failed, if it did.
    failed: Option<RedisError>,
    lost: bool,
}

/// What a worker writes into its heartbeat.
#[derive(Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) process: Process,
    version: String,
}

/// What is registered of a worker.
#[derive(Serialize, Deserialize)]
pub(super) struct Registration {
    /// All its slots have smaller numbers.
    pub(super) slots: u64,
}

impl Worker {
    pub(super) fn new(keys: Keys, shared: Shared, concurrency: usize) -> Self {
        let process = Process::this();
        let id = format!(
            "{}-{}-{:012x}",
            process.host(),
            std::process::id(),
            fastrand::u64(..1 << 48)
        );
        let heartbeat = Heartbeat {
            process,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Self {
            id,
            keys,
            shared,
            slots: Slots::new(concurrency),
            over: CancellationToken::new(),
            heartbeat: serde_json::to_string(&heartbeat).expect("text and numbers can be written as JSON"),
            lease: watch::Sender::new(Lease::default()),
            renew_now: Notify::new(),
            redis_run: Mutex::default(),
            registered: AtomicU64::new(concurrency as u64 + SPARE_SLOTS),
            fetch_connection: AtomicI64::new(0),
        }
    }

    pub(super) fn slot_key(&self, slot: u64) -> String {
        self.keys.slot(&self.id, slot)
    }

    /// Tells others that we are alive, and finds out whether they had given us up. Only the heartbeat does this.
    pub(super) async fn renew(&self, connection: &mut Connection) -> RedisResult<()> {
        let asked = Instant::now();
        let mut commands = pipe();
        commands
            .cmd("SET")
            .arg(self.keys.heartbeat(&self.id))
            .arg(&self.heartbeat)
            .arg("PX")
            .arg(milliseconds(LEASE))
            .ignore()
            .exists(self.keys.lost(&self.id))
            .hexists(self.keys.workers(), &self.id);
        // From the first of these commands on nobody takes us for dead, so what the others say remains true.
        let (robbed, registered): (bool, bool) = commands.query_async(connection).await?;
        let lost = robbed || !registered && !self.register(connection).await?;
        self.lease.send_modify(|lease| {
            lease.renewed = Some(asked);
            lease.failed = None;
            lease.lost |= lost;
        });
        if lost {
            // Whoever looks for the dead need not wait until it has expired. If this fails, it expires.
            let _: RedisResult<()> = cmd("DEL")
                .arg(self.keys.heartbeat(&self.id))
                .query_async(connection)
                .await;
        }
        Ok(())
    }

    /// The heartbeat cannot reach Redis, or is refused.
    pub(super) fn not_renewed(&self, why: RedisError) {
        self.lease.send_modify(|lease| lease.failed = Some(why));
    }

    /// Makes the slots known, at first and after Redis has lost its data. Returns false if we were known in this very
    /// run of Redis and are no longer: somebody found us dead and removed us.
    async fn register(&self, connection: &mut Connection) -> RedisResult<bool> {
        let mut commands = pipe();
        commands.cmd("INFO").arg("server");
        // Without this permission a removal cannot be told from a loss of data, and counts as one.
        let info: RedisResult<(String,)> = commands.query_async(connection).await;
        let info = match info {
            Ok((info,)) => info,
            Err(error) if is_passing(&error) => return Err(error),
            Err(_) => String::new(),
        };
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        {
            let mut known = self.redis_run.lock().unwrap_or_else(PoisonError::into_inner);
            if known.is_some() && known.as_deref() == run {
                return Ok(false);
            }
            *known = run.map(str::to_owned);
        }
        let mut commands = pipe();
        commands
            .hset_nx(
                self.keys.workers(),
                &self.id,
                registration(self.registered.load(Relaxed)),
            )
            .ignore();
        commands.query_async::<()>(connection).await?;
        Ok(true)
    }

    /// Whether the answers of this incarnation are wanted; waits while that is not known.
    pub(super) async fn may_answer(&self) -> bool {
        let trusted = |lease: &Lease| lease.renewed.is_some_and(|at| at.elapsed() < TRUST);
        let mut lease = self.lease.subscribe();
        let known = lease.wait_for(|lease| lease.lost || trusted(lease)).await;
        !known.expect("the sender is ours").lost
    }

    /// Waits until the lease is lost.
    pub(super) async fn lost(&self) {
        // There is no error: the sender is ours.
        let _ = self.lease.subscribe().wait_for(|lease| lease.lost).await;
    }

    /// To be done on every new connection before the first take.
    pub(super) async fn arrive(&self, connection: &mut Connection) -> RedisResult<()> {
        // Whatever happened to Redis before this connection was made, from here on others can find our slots.
        let arrived = Instant::now();
        let renewed = |lease: &Lease| lease.renewed.is_some_and(|at| at >= arrived);
        let mut lease = self.lease.subscribe();
        self.renew_now.notify_one();
        loop {
            // There is no error: the sender is ours.
            let _ = lease.changed().await;
            let lease = lease.borrow();
            match &lease.failed {
                Some(why) => return Err(why.clone()),
                None if renewed(&lease) => break,
                None => {}
            }
        }
        // Without this permission a stop takes as long as the wait in Redis.
        let id = cmd("CLIENT")
            .arg("ID")
            .query_async(connection)
            .await
            .unwrap_or_default();
        self.fetch_connection.store(id, Relaxed);
        Ok(())
    }

    /// Makes sure that others can find this slot before anything is put into it.
    pub(super) async fn cover(&self, slot: u64, connection: &mut Connection) -> RedisResult<()> {
        if slot < self.registered.load(Relaxed) {
            return Ok(());
        }
        let covered = slot + SPARE_SLOTS;
        cmd("HSET")
            .arg(self.keys.workers())
            .arg(&self.id)
            .arg(registration(covered))
            .query_async::<()>(connection)
            .await?;
        self.registered.store(covered, Relaxed);
        Ok(())
    }

    /// The connection that waits for requests is gone; its id may be given to somebody else's.
    pub(super) fn forget_fetch_connection(&self) {
        self.fetch_connection.store(0, Relaxed);
    }

    /// Ends the take that waits in Redis, if there is one. Redis answers it as if its time were up, so that no
    /// request can be lost on the way.
    pub(super) async fn wake_fetch(&self) {
        let mut commands = pipe();
        commands
            .cmd("CLIENT")
            .arg("UNBLOCK")
            .arg(self.fetch_connection.load(Relaxed))
            .ignore();
        // If this is not allowed, the wait ends by itself.
        let _ = self.shared.run::<()>(&commands).await;
    }

    /// Moves what is left in our slots to the head of the queue; returns how many requests.
    pub(super) async fn give_back_all(&self) -> u64 {
        let slots = self.slots.all_occupied();
        let Ok(Ok(moved)) = tokio::time::timeout(FAREWELL, self.give_back(&self.id, &slots)).await else {
            tracing::warn!(
                slots = slots.len(),
                "requests could not be given back; another server will find them"
            );
            return 0;
        };
        self.slots.seen_empty(&slots, Instant::now());
        moved
    }

    /// Moves what is in a worker's slots to the head of the queue; returns how many requests.
    pub(super) async fn give_back(&self, worker: &str, slots: &[u64]) -> Result<u64, Error> {
        let (mut moved, mut slots) = (0, slots.to_vec());
        while !slots.is_empty() {
            let mut commands = pipe();
            for slot in &slots {
                give_back_one(&mut commands, &self.keys, worker, *slot);
            }
            let answers: Vec<Option<Vec<u8>>> = self.shared.run(&commands).await?;
            slots = slots
                .into_iter()
                .zip(answers)
                .filter_map(|(slot, answer)| answer.map(|_| slot))
                .collect();
            moved += slots.len() as u64;
        }
        Ok(moved)
    }

    /// Removes the traces of this worker, except those by which requests left behind are found.
    pub(super) async fn leave(&self) {
        let mut commands = pipe();
        if self.slots.all_occupied().is_empty() {
            commands.hdel(self.keys.workers(), &self.id).ignore();
        }
        commands.del(self.keys.heartbeat(&self.id)).ignore();
        // If Redis is away, the heartbeat expires and another server removes the rest.
        let _ = tokio::time::timeout(FAREWELL, self.shared.run::<()>(&commands)).await;
    }
}

fn registration(slots: u64) -> String {
    serde_json::to_string(&Registration { slots }).expect("a number can be written as JSON")
}

/// Adds the command that moves a slot's request to the head of the queue and returns it.
pub(super) fn give_back_one(commands: &mut Pipeline, keys: &Keys, worker: &str, slot: u64) {
    commands
        .cmd("LMOVE")
        .arg(keys.slot(worker, slot))
        .arg(keys.queue())
        .arg("RIGHT")
        .arg("LEFT");
}
