//! What a client knows of its queue: its length, as Redis tells it with every request that is sent, and its state, on
//! request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inner;
use crate::Error;
use crate::connection::pipe;

/// While the queue is too long, calls are refused without asking, except one now and then to see whether it still is.
const REFUSED_FOR: Duration = Duration::from_millis(100);

/// What Redis knows of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// How many requests wait to be taken.
    pub len: u64,
    /// How many servers of this crate are alive. Python servers do not show themselves.
    pub servers: u64,
    /// Changes whenever Redis starts anew.
    pub redis_run_id: String,
}

/// How long the queue may be, and when it last was longer.
pub(super) struct Limit {
    pub(super) most: Option<u64>,
    exceeded: Mutex<Option<(Instant, u64)>>,
}

impl Limit {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self {
            most,
            exceeded: Mutex::default(),
        }
    }

    /// # Errors
    ///
    /// [`Error::Overloaded`] if the queue was too long a moment ago.
    pub(super) fn check(&self) -> Result<(), Error> {
        // Most clients have no limit, and nothing to remember.
        if self.most.is_none() {
            return Ok(());
        }
        match *self.exceeded() {
            Some((at, queue_len)) if at.elapsed() < REFUSED_FOR => Err(self.overloaded(Some(queue_len))),
            Some(_) | None => Ok(()),
        }
    }

    /// Remembers the queue's length.
    pub(super) fn saw(&self, queue_len: u64) {
        if let Some(most) = self.most {
            *self.exceeded() = (queue_len > most).then(|| (Instant::now(), queue_len));
        }
    }

    /// The queue takes no more requests; if its length is not the reason, the memory of Redis is.
    pub(super) fn overloaded(&self, queue_len: Option<u64>) -> Error {
        let limit = self.most;
        Error::Overloaded { queue_len, limit }
    }

    fn exceeded(&self) -> MutexGuard<'_, Option<(Instant, u64)>> {
        self.exceeded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) async fn queue_state(&self) -> Result<QueueState, Error> {
        let mut commands = pipe();
        commands
            .llen(self.keys.queue())
            .hkeys(self.keys.workers())
            .cmd("INFO")
            .arg("server");
        let (len, workers, info): (u64, Vec<String>, String) = self.shared.run(&commands).await?;
        let servers = if workers.is_empty() {
            0
        } else {
            let heartbeats: Vec<String> = workers.iter().map(|worker| self.keys.heartbeat(worker)).collect();
            let (alive,) = self.shared.run(pipe().exists(heartbeats)).await?;
            alive
        };
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(QueueState {
            len,
            servers,
            redis_run_id: run_id.unwrap_or_default().to_owned(),
        })
    }
}
