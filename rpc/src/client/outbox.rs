//! How requests get into the queue: a task sends what there is, with one command, and then what came meanwhile.
//!
//! Promises: a request is sent at most once for each time that it is handed in, and not at all once nobody waits for it
//! any more; what does not fit into a queue of limited length never gets into it, where Redis allows scripts. Knows
//! nothing of what a request says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::pending::{Outcome, Pending};
use super::queue::Limit;
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
    pub(super) limit: Limit,
    /// Whether Redis lets us run scripts, as far as is known.
    scripts: AtomicBool,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Tells the task that there is something to send.
    more: Notify,
}

/// A request that is to be sent.
pub(super) struct Waiting {
    /// That of its call.
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
    pub(super) attempt: Attempt,
}

/// How long the queue was before, and whether what does not fit was kept out of it.
struct Pushed {
    before: u64,
    only_what_fits: bool,
}

/// Whether a request may be in the queue already; then it is not its length that keeps it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Again,
}

impl Outbox {
    pub(super) fn new(
        shared: Shared,
        keys: &Keys,
        inbox: String,
        pending: Arc<Pending>,
        limit: Limit,
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

    /// Has the request sent, if there is a connection. Only if it is not, its call is told: it gets it back with the
    /// error, which is [`Error::Overloaded`] with the length that the queue would have, or [`Error::Transport`].
    pub(super) fn hand_in(&self, request: Waiting) {
        self.waiting().push_back(request);
        self.more.notify_one();
    }

    /// Sends for ever what is handed in.
    pub(super) async fn work(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            // Who else has something to send at this moment shall send it along.
            if self.pending.are_several() {
                tokio::task::yield_now().await;
            }
            while let Some(batch) = self.next() {
                match self.push(&batch).await {
                    Ok(pushed) => self.give_back_surplus(batch, pushed).await,
                    Err(failed) => self.give_back(batch, || failed.clone().into()),
                }
            }
        }
    }

    /// Gives back what the queue had no room for. What got in all the same is taken out first, unless a server was
    /// quicker.
    async fn give_back_surplus(&self, mut batch: Vec<Waiting>, pushed: Pushed) {
        let Some(limit) = self.limit.most.filter(|_| all_first(&batch)) else {
            return;
        };
        let room = usize::try_from(limit.saturating_sub(pushed.before)).unwrap_or(usize::MAX);
        let mut surplus = batch.split_off(room.min(batch.len()));
        if surplus.is_empty() {
            return self.limit.saw(pushed.before + batch.len() as u64);
        }
        let queue_len = 1 + limit.max(pushed.before);
        self.limit.saw(queue_len);
        if !pushed.only_what_fits {
            let mut commands = pipe();
            for request in &surplus {
                commands.lrem(&self.queue, -1, &request.body);
            }
            // If this fails, they are carried out.
            let removed: Vec<u64> = self.shared.run(&commands).await.unwrap_or_default();
            let mut removed = removed.into_iter();
            surplus.retain(|_| removed.next().is_some_and(|removed| removed > 0));
        }
        self.give_back(surplus, || self.limit.overloaded(Some(queue_len)));
    }

    fn give_back(&self, batch: Vec<Waiting>, why: impl Fn() -> Error) {
        for Waiting { number, body, .. } in batch {
            self.pending.complete(number, Outcome::Unsent(body, why()));
        }
    }

    async fn push(&self, batch: &[Waiting]) -> Result<Pushed, Failed> {
        let live = self.shared.live_now().ok_or_else(Failed::not_connected)?;
        let bodies: Vec<&[u8]> = batch.iter().map(|waiting| &*waiting.body).collect();
        let scripts = self.scripts.load(Relaxed);
        let limit = self.limit.most.filter(|_| scripts && all_first(batch));
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
        Ok(Pushed {
            before: match limit {
                None => length.saturating_sub(batch.len() as u64),
                Some(_) => length,
            },
            only_what_fits: limit.is_some(),
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
            if self.pending.awaits(next.number) {
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

/// Whether the length of the queue can keep these out of it; requests of both kinds are never sent together.
fn all_first(batch: &[Waiting]) -> bool {
    batch.iter().all(|request| request.attempt == Attempt::First)
}
