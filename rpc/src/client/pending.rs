//! The calls that wait for a reply. A call is in here exactly as long as somebody waits for it; a reply for no
//! call is late and is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::Error;
use crate::envelope::Reply;

/// How many calls may be in flight; further ones wait here, before they are sent. Bounds what a server that went
/// away can cost us.
const LIMIT: usize = 10_000;

/// A Rust server answers to the inbox within this time or has real work to do; only then is it worth asking whether
/// a Python server answered. The pause between two questions doubles up to the second number.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(250);

/// So many calls are looked for at once: a pipeline that Redis serves in well under a millisecond.
const LOOK_BATCH: usize = 256;

type Outcome = Result<Reply, Error>;

pub(super) struct Pending {
    waiting: Mutex<HashMap<String, Waiting>>,
    places: Arc<Semaphore>,
    /// Somebody waits again after nobody did.
    pub(super) busy: Notify,
    /// Sent to whenever replies may have been lost with a connection.
    pub(super) losses: watch::Sender<()>,
}

struct Waiting {
    outcome: oneshot::Sender<Outcome>,
    look_at: Instant,
    look_again: Duration,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            places: Arc::new(Semaphore::new(LIMIT)),
            busy: Notify::new(),
            losses: watch::Sender::new(()),
        }
    }
}

impl Pending {
    /// Makes room for the reply to `id`, waiting while there are too many calls.
    pub(super) async fn register(self: &Arc<Self>, id: &str) -> Ticket {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (outcome, reply) = oneshot::channel();
        let waiting = Waiting {
            outcome,
            look_at: Instant::now() + FIRST_LOOK,
            look_again: FIRST_LOOK * 2,
        };
        let first = {
            let mut calls = self.calls();
            calls.insert(id.to_owned(), waiting);
            calls.len() == 1
        };
        if first {
            self.busy.notify_one();
        }
        Ticket {
            pending: Arc::clone(self),
            id: id.to_owned(),
            reply,
            _place: place,
        }
    }

    /// Hands the reply to the call that waits for it.
    pub(super) fn complete(&self, id: &str, outcome: Outcome) {
        match self.calls().remove(id) {
            // An error means that the caller was dropped this moment.
            Some(waiting) => drop(waiting.outcome.send(outcome)),
            None => tracing::debug!(id, "a reply came too late"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls().is_empty()
    }

    /// The calls whose Python reply should be looked for now, the longest overdue first.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        let mut calls = self.calls();
        let mut due: Vec<_> = calls
            .iter_mut()
            .filter(|(_, waiting)| waiting.look_at <= now)
            .collect();
        due.sort_unstable_by_key(|(_, waiting)| waiting.look_at);
        due.truncate(LOOK_BATCH);
        for (_, waiting) in &mut due {
            waiting.look_at = now + waiting.look_again;
            waiting.look_again = (waiting.look_again * 2).min(LAST_LOOK);
        }
        due.into_iter().map(|(id, _)| id.clone()).collect()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the waiting calls, given up when dropped.
pub(super) struct Ticket {
    pending: Arc<Pending>,
    id: String,
    reply: oneshot::Receiver<Outcome>,
    _place: OwnedSemaphorePermit,
}

impl Ticket {
    /// To be awaited until it is ready once.
    pub(super) async fn reply(&mut self) -> Outcome {
        (&mut self.reply).await.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.calls().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_call_leaves_nothing_behind() {
        let pending = Arc::new(Pending::default());
        let ticket = pending.register("a").await;
        assert!(!pending.is_empty());
        drop(ticket);
        assert!(pending.is_empty());
        assert_eq!(pending.places.available_permits(), LIMIT);
    }

    #[tokio::test]
    async fn a_call_is_looked_for_ever_less_often() {
        let pending = Arc::new(Pending::default());
        let start = Instant::now();
        let _ticket = pending.register("a").await;
        let looks = (0..1000)
            .filter(|ms| !pending.due(start + Duration::from_millis(*ms)).is_empty())
            .count();
        assert!((4..=8).contains(&looks), "{looks}");
    }
}
