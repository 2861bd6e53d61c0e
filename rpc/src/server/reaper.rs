//! Finds workers that died and has the requests in their slots recovered.
//!
//! A worker is dead when its process ran on this machine and is gone, or its heartbeat has expired. After Redis
//! itself, or the way to it, was away, every heartbeat may have expired without anybody being dead; then the reaper
//! believes in no death by heartbeat for as long as one lasts. A mistake makes a handler run twice and loses nothing.
//! Several reapers at work do not disturb each other, for every move is atomic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::recovery::{DeadWorker, Recovered, recover};
use super::service::Service;
use super::slots::GHOST;
use super::worker::{Heartbeat, LEASE, Registration, Worker};
use crate::Error;
use crate::connection::pipe;

/// How soon requests of a dead worker are found, beyond the time its heartbeat lasts. Shortened at random, so that
/// servers started together do not all look at the same moment.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many slots are emptied at once. Redis reads what is in them meanwhile and does nothing else.
const CHUNK: usize = 16;

/// Looks for dead workers for ever.
pub(super) async fn run(service: Arc<Service>, worker: Arc<Worker>) {
    let mut first_seen_dead = HashMap::new();
    loop {
        if let Err(error) = look(&service, &worker, &mut first_seen_dead).await {
            tracing::debug!(%error, "looking for dead workers failed");
        }
        tokio::time::sleep(INTERVAL.mul_f64(0.7 + 0.3 * fastrand::f64())).await;
    }
}

async fn look(
    service: &Service,
    worker: &Worker,
    first_seen_dead: &mut HashMap<String, Instant>,
) -> Result<(), Error> {
    let live = worker.shared.live().await?;
    let mut commands = pipe();
    commands.cmd("INFO").arg("server").hgetall(worker.keys.workers());
    let (info, mut registered): (String, HashMap<String, String>) = worker.shared.run(&commands).await?;
    let up_seconds = info
        .lines()
        .find_map(|line| line.strip_prefix("uptime_in_seconds:")?.trim().parse().ok());
    let everybody_had_time = Duration::from_secs(up_seconds.unwrap_or_default()) >= LEASE
        && (live.number == 1 || live.since.elapsed() >= LEASE);
    registered.remove(&worker.id);
    first_seen_dead.retain(|id, _| registered.contains_key(id));
    for (id, registration) in registered {
        let Some(heartbeat) = heartbeat_of_dead(worker, &id).await? else {
            first_seen_dead.remove(&id);
            continue;
        };
        if heartbeat.is_empty() && !everybody_had_time {
            continue;
        }
        let first_seen = *first_seen_dead.entry(id.clone()).or_insert_with(Instant::now);
        // What nobody can read nobody of ours has written; there are no slots behind it.
        let slots = serde_json::from_str(&registration).map_or(0, |Registration { slots }| slots);
        let dead = DeadWorker {
            id: &id,
            heartbeat: &heartbeat,
        };
        let Recovered { requeued, given_up } = empty(service, worker, &dead, slots).await?;
        if requeued + given_up > 0 {
            tracing::warn!(
                worker = id,
                requeued,
                given_up,
                "a server died; its requests are in the queue again, or given up"
            );
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

/// What a worker that is dead left as its heartbeat, empty if nothing, or `None` if it is alive.
async fn heartbeat_of_dead(worker: &Worker, id: &str) -> Result<Option<String>, Error> {
    let mut commands = pipe();
    commands.get(worker.keys.heartbeat(id));
    let (heartbeat,): (Option<String>,) = worker.shared.run(&commands).await?;
    let Some(heartbeat) = heartbeat else {
        return Ok(Some(String::new()));
    };
    let gone =
        serde_json::from_str(&heartbeat).is_ok_and(|Heartbeat { process, .. }| process.is_certainly_gone());
    Ok(gone.then_some(heartbeat))
}

/// Empties a worker's slots.
async fn empty(
    service: &Service,
    worker: &Worker,
    dead: &DeadWorker<'_>,
    slots: u64,
) -> Result<Recovered, Error> {
    let slots: Vec<u64> = (0..slots).collect();
    let mut all = Recovered::default();
    for chunk in slots.chunks(CHUNK) {
        let recovered = recover(service, worker, dead, chunk).await?;
        service.counters.requeued.fetch_add(recovered.requeued, Relaxed);
        service
            .counters
            .dead_lettered
            .fetch_add(recovered.given_up, Relaxed);
        all.requeued += recovered.requeued;
        all.given_up += recovered.given_up;
    }
    Ok(all)
}
