//! Hands finished requests in: writes their replies, then deletes their slots. Whoever finishes first writes, as soon as
//! others have had a turn; what they finish by then, and while it writes, is written together by the same task, in as
//! few commands as possible.
//!
//! Promises: a request's slot is deleted only behind its reply, so a broken connection can leave a reply without the
//! acknowledgement and never the reverse; nothing is written for a worker that lost its lease.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dead_letter;
use super::slots::Reuse;
use super::worker::Worker;
use crate::Error;
use crate::connection::{Pipeline, RedisError, Shared, had_no_memory, milliseconds, pipe, was_carried_out};
use crate::keys::Keys;

/// Between two attempts to hand in what Redis did not take, while it is connected.
const RETRY: Duration = Duration::from_millis(200);

/// So many requests and so many bytes of replies are handed in at once, about: Redis does nothing else meanwhile.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// How often the inboxes that got replies are made to expire. An inbox that is read is gone by then.
const EXPIRY_ROUND: Duration = Duration::from_secs(5);

/// A request that is done with.
pub(super) struct Finished {
    pub(super) slot: u64,
    pub(super) outcome: Outcome,
}

/// What is to be written to Redis when a request is done with.
pub(super) enum Outcome {
    /// Into the inbox of a client, which empties it all the time.
    Inbox {
        inbox: String,
        text: String,
    },
    /// Into a list of its own.
    Reply {
        key: String,
        text: String,
    },
    /// The caller wants no reply.
    Silence,
    DeadLetter(String),
}

/// The finished requests of one worker.
pub(super) struct Finish {
    pub(super) worker: Arc<Worker>,
    waiting: Mutex<Waiting>,
    /// The inboxes that got replies and may not expire yet.
    inboxes: Arc<Inboxes>,
}

#[derive(Default)]
struct Waiting {
    finished: Vec<Finished>,
    /// Whether somebody hands in.
    busy: bool,
}

impl Finish {
    pub(super) fn new(worker: Arc<Worker>, inboxes: Arc<Inboxes>) -> Self {
        Self {
            worker,
            waiting: Mutex::default(),
            inboxes,
        }
    }

    /// Hands the request in, or leaves that to whoever is at it.
    pub(super) async fn hand_in(&self, finished: Finished) {
        {
            let mut waiting = self.waiting();
            waiting.finished.push(finished);
            if std::mem::replace(&mut waiting.busy, true) {
                return;
            }
        }
        // In place it would be part of every handler's task, few of which write.
        Box::pin(self.write_all()).await;
    }

    /// Writes until there is nothing more.
    async fn write_all(&self) {
        // What was taken together is often finished together, and then written together.
        if self.worker.slots.several_in_flight() {
            tokio::task::yield_now().await;
        }
        loop {
            let batch = {
                let mut waiting = self.waiting();
                if waiting.finished.is_empty() {
                    waiting.busy = false;
                    return;
                }
                portion(&mut waiting.finished)
            };
            self.write(batch).await;
        }
    }

    /// Writes until Redis has taken everything.
    async fn write(&self, batch: Vec<Finished>) {
        let slots: Vec<u64> = batch.iter().map(|finished| finished.slot).collect();
        let slot_keys: Vec<String> = slots.iter().map(|slot| self.worker.slot_key(*slot)).collect();
        let mut writes = self.writes(batch);
        let mut attempts = 0;
        loop {
            if !self.worker.may_answer().await {
                return;
            }
            attempts += 1;
            let mut commands = pipe();
            writes
                .iter()
                .for_each(|write| write.add(&mut commands, &self.worker.keys, self.inboxes.reply_ttl));
            let acknowledgement = commands.len();
            commands.del(&slot_keys).ignore();
            match self.worker.shared.run::<()>(&commands).await {
                Ok(()) => break,
                Err(Error::Transport { source, .. }) if was_carried_out(&source, acknowledgement) => {
                    writes = self.refused(writes, &source);
                    if writes.is_empty() {
                        break;
                    }
                }
                Err(Error::Closed) => return,
                Err(error) => tracing::debug!(%error, "replies are handed in again"),
            }
            tokio::time::sleep(RETRY).await;
        }
        // A first DEL that is still on its way must not meet another request in the same slot.
        let reuse = if attempts == 1 { Reuse::Again } else { Reuse::Never };
        for slot in slots {
            self.worker.slots.release(slot, reuse);
        }
    }

    /// What is to be written, replies to the same inbox together.
    fn writes(&self, batch: Vec<Finished>) -> Vec<Write> {
        let (mut inboxes, mut writes) = (HashMap::<String, Vec<String>>::new(), Vec::new());
        for finished in batch {
            match finished.outcome {
                Outcome::Inbox { inbox, text } => inboxes.entry(inbox).or_default().push(text),
                Outcome::Reply { key, text } => writes.push(Write::Reply { key, text }),
                Outcome::Silence => {}
                Outcome::DeadLetter(letter) => writes.push(Write::DeadLetter(letter)),
            }
        }
        self.inboxes.add(inboxes.keys());
        writes.extend(
            inboxes
                .into_iter()
                .map(|(inbox, texts)| Write::Inbox { inbox, texts }),
        );
        writes
    }

    /// Those writes that Redis had no memory for. The others it will never take.
    fn refused(&self, writes: Vec<Write>, error: &RedisError) -> Vec<Write> {
        let mut at = 0;
        let again = writes.into_iter().filter(|write| {
            let commands = at..at + write.commands();
            at = commands.end;
            commands.into_iter().any(|command| had_no_memory(error, command))
        });
        let again: Vec<Write> = again.collect();
        if again.is_empty() {
            tracing::warn!(%error, "Redis refused a reply");
        }
        again
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many of the finished requests as are handed in at once.
fn portion(finished: &mut Vec<Finished>) -> Vec<Finished> {
    let mut bytes = 0;
    let fits = finished.iter().take(AT_ONCE).take_while(|finished| {
        let before = bytes;
        bytes += finished.outcome.size();
        before < BYTES_AT_ONCE
    });
    let count = fits.count();
    let rest = finished.split_off(count);
    std::mem::replace(finished, rest)
}

/// The commands that write one outcome, without any acknowledgement.
pub(super) fn commands(outcome: Outcome, keys: &Keys, reply_ttl: Duration) -> Pipeline {
    let mut commands = pipe();
    match outcome {
        // An inbox that is written to once is made to expire at once.
        Outcome::Inbox { inbox: key, text } | Outcome::Reply { key, text } => {
            Write::Reply { key, text }.add(&mut commands, keys, reply_ttl);
        }
        Outcome::Silence => {}
        Outcome::DeadLetter(letter) => Write::DeadLetter(letter).add(&mut commands, keys, reply_ttl),
    }
    commands
}

impl Outcome {
    fn size(&self) -> usize {
        match self {
            Self::Inbox { text, .. } | Self::Reply { text, .. } | Self::DeadLetter(text) => text.len(),
            Self::Silence => 0,
        }
    }
}

/// One reply, several for the same inbox, or one dead letter.
enum Write {
    Inbox { inbox: String, texts: Vec<String> },
    Reply { key: String, text: String },
    DeadLetter(String),
}

impl Write {
    /// How many commands it takes.
    fn commands(&self) -> usize {
        match self {
            Self::Inbox { .. } => 1,
            Self::Reply { .. } | Self::DeadLetter(_) => 2,
        }
    }

    fn add(&self, commands: &mut Pipeline, keys: &Keys, reply_ttl: Duration) {
        match self {
            Self::Inbox { inbox, texts } => commands.rpush(inbox, texts).ignore(),
            Self::Reply { key, text } => commands
                .rpush(key, text)
                .ignore()
                .pexpire(key, milliseconds(reply_ttl))
                .ignore(),
            Self::DeadLetter(letter) => dead_letter::add(commands, keys, letter),
        };
    }
}

/// The inboxes that got replies and were not made to expire since. Redis forgets that a list shall expire when it is
/// emptied, so this would have to be said with every reply; said now and then it serves as well, for it matters only
/// to a client that is gone.
pub(super) struct Inboxes {
    /// How long a reply, there or elsewhere, waits for its caller.
    pub(super) reply_ttl: Duration,
    known: Mutex<HashSet<String>>,
}

impl Inboxes {
    pub(super) fn new(reply_ttl: Duration) -> Self {
        Self {
            reply_ttl,
            known: Mutex::default(),
        }
    }

    fn add<'a>(&self, inboxes: impl Iterator<Item = &'a String>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for inbox in inboxes {
            if !known.contains(inbox) {
                known.insert(inbox.clone());
            }
        }
    }

    /// Makes them expire, for ever.
    pub(super) async fn expire_for_ever(self: Arc<Self>, shared: Shared) {
        loop {
            tokio::time::sleep(EXPIRY_ROUND).await;
            self.expire(&shared).await;
        }
    }

    /// Makes them expire now.
    pub(super) async fn expire(&self, shared: &Shared) {
        let inboxes = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        if inboxes.is_empty() {
            return;
        }
        let mut commands = pipe();
        for inbox in &inboxes {
            commands.pexpire(inbox, milliseconds(self.reply_ttl)).ignore();
        }
        if shared.run::<()>(&commands).await.is_err() {
            self.add(inboxes.iter());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_in_at_once_is_bounded() {
        let finished = |slot, bytes| Finished {
            slot,
            outcome: Outcome::DeadLetter("x".repeat(bytes)),
        };
        let mut waiting: Vec<Finished> = (0..300).map(|slot| finished(slot, 1)).collect();
        assert_eq!(portion(&mut waiting).len(), AT_ONCE);
        waiting.insert(0, finished(0, 2 * BYTES_AT_ONCE));
        assert_eq!(
            portion(&mut waiting).len(),
            1,
            "one is handed in whatever its size"
        );
        assert_eq!(portion(&mut waiting).len(), 300 - AT_ONCE);
        assert!(waiting.is_empty());
    }
}
