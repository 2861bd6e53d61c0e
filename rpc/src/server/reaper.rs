//! Finds the slots of workers that died and moves their requests to the head of the queue.
//!
//! A worker is dead when its heartbeat has expired, or its process ran on this machine and is gone. After Redis
//! itself, or the way to it, was away, every heartbeat may have expired without anybody being dead; then the reaper
//! waits as long as a heartbeat lasts. A mistake makes a handler run twice and loses nothing. Several reapers at
//! work do not disturb each other, for every move is atomic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::service::Service;
use super::slots::GHOST;
use super::worker::{Heartbeat, LEASE, Registration};
use crate::Error;
use crate::connection::pipe;

/// How soon requests of a dead worker are found, beyond the time its heartbeat lasts. Shortened at random, so that
/// servers started together do not all look at the same moment.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many slots are asked for at once.
const CHUNK: usize = 256;

/// Looks for dead workers for ever.
pub(super) async fn run(service: Arc<Service>) {
    let mut first_seen_dead = HashMap::new();
    loop {
        if let Err(error) = look(&service, &mut first_seen_dead).await {
            tracing::debug!(%error, "looking for dead workers failed");
        }
        tokio::time::sleep(INTERVAL.mul_f64(0.7 + 0.3 * fastrand::f64())).await;
    }
}

async fn look(service: &Service, first_seen_dead: &mut HashMap<String, Instant>) -> Result<(), Error> {
    let worker = &service.worker;
    let live = worker.shared.live().await?;
    if live.number > 1 && live.since.elapsed() < LEASE {
        return Ok(());
    }
    let mut commands = pipe();
    commands.cmd("INFO").arg("server").hgetall(worker.keys.workers());
    let (info, mut registered): (String, HashMap<String, String>) = worker.shared.run(&commands).await?;
    let up_seconds = info
        .lines()
        .find_map(|line| line.strip_prefix("uptime_in_seconds:")?.trim().parse().ok());
    if Duration::from_secs(up_seconds.unwrap_or_default()) < LEASE {
        return Ok(());
    }
    registered.remove(&worker.id);
    first_seen_dead.retain(|id, _| registered.contains_key(id));
    for (id, registration) in registered {
        if !is_dead(service, &id).await? {
            first_seen_dead.remove(&id);
            continue;
        }
        let first_seen = *first_seen_dead.entry(id.clone()).or_insert_with(Instant::now);
        // What nobody can read nobody of ours has written; there are no slots behind it.
        let slots = serde_json::from_str(&registration).map_or(0, |Registration { slots }| slots);
        let moved = empty(service, &id, slots).await?;
        if moved > 0 {
            tracing::warn!(
                worker = id,
                requests = moved,
                "a server died; its requests are in the queue again"
            );
            service.requeued.fetch_add(moved, Relaxed);
        } else if first_seen.elapsed() > GHOST {
            // Its last take could have been carried out after its death, but no longer.
            let mut commands = pipe();
            commands
                .hdel(worker.keys.workers(), &id)
                .ignore()
                .del(worker.keys.heartbeat(&id))
                .ignore();
            worker.shared.run::<()>(&commands).await?;
        }
    }
    Ok(())
}

async fn is_dead(service: &Service, id: &str) -> Result<bool, Error> {
    let mut commands = pipe();
    commands.get(service.worker.keys.heartbeat(id));
    let (heartbeat,): (Option<String>,) = service.worker.shared.run(&commands).await?;
    let Some(heartbeat) = heartbeat else {
        return Ok(true);
    };
    Ok(serde_json::from_str(&heartbeat).is_ok_and(|Heartbeat { process, .. }| process.is_certainly_gone()))
}

/// Moves what is in a worker's slots to the head of the queue; returns how many requests.
async fn empty(service: &Service, id: &str, slots: u64) -> Result<u64, Error> {
    let slots: Vec<u64> = (0..slots).collect();
    let mut moved = 0;
    for chunk in slots.chunks(CHUNK) {
        moved += service.worker.give_back(id, chunk).await?;
    }
    Ok(moved)
}
