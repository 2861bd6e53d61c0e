//! How requests get into the queue: a task sends what there is, with one command, and then what came meanwhile.
//!
//! Promises: a request is sent at most once for each time that it is handed in, and not at all once nobody waits for it
//! any more; what does not fit into a queue of limited length never gets into it, where Redis allows scripts. Knows
//! nothing of what a request says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::pending::Pending;
use crate::Error;
use crate::connection::{Failed, Shared, is_refusal, pipe};
use crate::keys::Keys;

/// So many requests and so many bytes are sent at once, about: Redis does nothing else meanwhile.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// `KEYS`: the queue. `ARGV`: how long it may be, then requests, the first of which are put into it as far as they fit.
/// Returns how long it was. Unlike its own, Redis hands on an error of the command with its code.
const PUSH_WHAT_FITS: &str = r"
local length = redis.call('LLEN', KEYS[1])
local room = math.min(ARGV[1] - length, #ARGV - 1)
if room > 0 then
  local pushed = redis.pcall('RPUSH', KEYS[1], unpack(ARGV, 2, room + 1))
  if type(pushed) == 'table' then return pushed end
end
return length";

pub(super) struct Outbox {
    shared: Shared,
    queue: String,
    /// The list of replies, on which the reader waits.
    inbox: String,
    pending: Arc<Pending>,
    /// How long the queue may be.
    limit: Option<u64>,
    /// Whether Redis lets us run scripts, as far as is known.
    scripts: AtomicBool,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Tells the task that there is something to send.
    more: Notify,
}

struct Waiting {
    body: Vec<u8>,
    attempt: Attempt,
    done: oneshot::Sender<Sent>,
}

/// How long the queue was before, and up to which length it was filled.
struct Pushed {
    before: u64,
    most: u64,
}

/// Whether a request may be in the queue already; then it is not its length that keeps it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Again,
}

/// A request that was handed in, and how long the queue was with it.
type Sent = (Vec<u8>, Result<u64, Error>);

impl Outbox {
    pub(super) fn new(
        shared: Shared,
        keys: &Keys,
        inbox: String,
        pending: Arc<Pending>,
        limit: Option<u64>,
    ) -> Self {
        Self {
            limit,
            scripts: AtomicBool::new(true),
            shared,
            queue: keys.queue().to_owned(),
            inbox,
            pending,
            waiting: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// Sends the request, if there is a connection, and gives it back. The length of the queue is that with this
    /// request at its end. The error is [`Error::Overloaded`] with the length that it would have,
    /// [`Error::Transport`], or [`Error::Closed`] when the client ends.
    pub(super) async fn send(&self, body: Vec<u8>, attempt: Attempt) -> Sent {
        let (done, sent) = oneshot::channel();
        self.waiting().push_back(Waiting { body, attempt, done });
        self.more.notify_one();
        sent.await.unwrap_or((Vec::new(), Err(Error::Closed)))
    }

    /// Sends for ever what is handed in.
    pub(super) async fn work(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            // Who else has something to send at this moment shall send it along.
            tokio::task::yield_now().await;
            while let Some(batch) = self.next() {
                let pushed = self.push(&batch).await;
                for (at, Waiting { body, done, .. }) in (1..).zip(batch) {
                    let pushed = match &pushed {
                        Ok(Pushed { before, most }) if before + at > *most => Err(Error::Overloaded {
                            queue_len: Some(1 + before.max(most)),
                            limit: self.limit,
                        }),
                        Ok(Pushed { before, .. }) => Ok(before + at),
                        Err(failed) => Err(failed.clone().into()),
                    };
                    // An error means that the caller was dropped this moment.
                    let _ = done.send((body, pushed));
                }
            }
        }
    }

    async fn push(&self, batch: &[Waiting]) -> Result<Pushed, Failed> {
        let live = self.shared.live_now().ok_or_else(Failed::not_connected)?;
        let bodies: Vec<&[u8]> = batch.iter().map(|waiting| &*waiting.body).collect();
        let first = batch.iter().all(|waiting| waiting.attempt == Attempt::First);
        let limit = self.limit.filter(|_| first && self.scripts.load(Relaxed));
        let mut commands = pipe();
        match limit {
            None => commands.rpush(&self.queue, &bodies),
            Some(limit) => commands
                .cmd("EVAL")
                .arg(PUSH_WHAT_FITS)
                .arg(1)
                .arg(&self.queue)
                .arg(limit)
                .arg(&bodies),
        };
        if self.pending.tells_reader() {
            commands.rpush(&self.inbox, "").ignore();
        }
        let length = match self.shared.run_on::<Vec<u64>>(live, &commands).await {
            Ok(lengths) => lengths.first().copied().unwrap_or_default(),
            Err(failed) if limit.is_some() && is_refusal(failed.source()) => {
                // Then what is too much is taken back.
                self.scripts.store(false, Relaxed);
                return Box::pin(self.push(batch)).await;
            }
            Err(failed) => return Err(failed),
        };
        Ok(match limit {
            None => Pushed {
                before: length.saturating_sub(batch.len() as u64),
                most: u64::MAX,
            },
            Some(most) => Pushed { before: length, most },
        })
    }

    /// What is to be sent next, if there is anything.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut waiting = self.waiting();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some(next) = waiting.pop_front_if(|next: &mut Waiting| {
                batch
                    .first()
                    .is_none_or(|first: &Waiting| first.attempt == next.attempt)
            })
        {
            if !next.done.is_closed() {
                bytes += next.body.len();
                batch.push(next);
            }
        }
        Some(batch).filter(|batch| !batch.is_empty())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
