//! One running server as Redis knows it: its id, fresh at every start, its heartbeat, and the registration through
//! which others find its slots when the heartbeat stops.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::slots::Slots;
use crate::Error;
use crate::connection::{Connection, Pipeline, RedisResult, Shared, cmd, milliseconds, pipe};
use crate::keys::Keys;

/// A worker counts as dead when it did not renew its heartbeat for this long: three renewals may fail.
pub(super) const LEASE: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a stopping server waits for Redis. What is left there then is found by another server.
const FAREWELL: Duration = Duration::from_secs(2);

/// So many slots more are registered than are needed, so that a flapping network does not cost a command each time.
const SPARE_SLOTS: u64 = 32;

pub(super) struct Worker {
    pub(super) id: String,
    pub(super) keys: Keys,
    pub(super) shared: Shared,
    pub(super) slots: Slots,
    heartbeat: String,
    /// Slots below this number can be found by others.
    registered: AtomicU64,
    /// The id that Redis gave the connection that waits for requests, 0 if unknown.
    fetch_connection: AtomicI64,
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
            heartbeat: serde_json::to_string(&heartbeat).expect("text and numbers can be written as JSON"),
            registered: AtomicU64::new(concurrency as u64 + SPARE_SLOTS),
            fetch_connection: AtomicI64::new(0),
        }
    }

    pub(super) fn slot_key(&self, slot: u64) -> String {
        self.keys.slot(&self.id, slot)
    }

    /// Shows itself to others; to be done on every new connection before the first take.
    pub(super) async fn register(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut commands = self.signs_of_life();
        commands
            .hset(self.keys.workers(), &self.id, self.registration())
            .ignore();
        commands.query_async::<()>(connection).await?;
        // Without this permission a stop takes as long as the wait in Redis.
        let id = cmd("CLIENT")
            .arg("ID")
            .query_async(connection)
            .await
            .unwrap_or_default();
        self.fetch_connection.store(id, Relaxed);
        Ok(())
    }

    /// Makes sure that others can find these slots before anything is put into them.
    pub(super) async fn cover(&self, slots: &[u64], connection: &mut Connection) -> RedisResult<()> {
        let highest = slots.iter().copied().max().unwrap_or_default();
        if highest < self.registered.load(Relaxed) {
            return Ok(());
        }
        self.registered.store(highest + SPARE_SLOTS, Relaxed);
        cmd("HSET")
            .arg(self.keys.workers())
            .arg(&self.id)
            .arg(self.registration())
            .query_async(connection)
            .await
    }

    /// Renews the heartbeat for ever.
    pub(super) async fn stay_alive(self: std::sync::Arc<Self>) {
        loop {
            if let Err(error) = self.shared.run::<()>(&self.signs_of_life()).await {
                tracing::debug!(%error, "the heartbeat failed");
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
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

    fn signs_of_life(&self) -> Pipeline {
        let mut commands = pipe();
        let heartbeat = self.keys.heartbeat(&self.id);
        commands
            .cmd("SET")
            .arg(heartbeat)
            .arg(&self.heartbeat)
            .arg("PX")
            .arg(milliseconds(LEASE))
            .ignore();
        // In case somebody took us for dead, or the data is gone. It must not undo a newer registration.
        commands
            .hset_nx(self.keys.workers(), &self.id, self.registration())
            .ignore();
        commands
    }

    fn registration(&self) -> String {
        let registration = Registration {
            slots: self.registered.load(Relaxed),
        };
        serde_json::to_string(&registration).expect("a number can be written as JSON")
    }
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
