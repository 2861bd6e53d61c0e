//! How requests get into the queue. Whoever sends one while nobody does sends it at once; what others send meanwhile is
//! sent together by a task, with one command.
//!
//! Promise: a request is sent at most once for each time that it is handed in, and not at all once nobody waits for it
//! any more. Knows nothing of what a request says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::pending::Pending;
use crate::Error;
use crate::connection::{Failed, Shared, pipe};
use crate::keys::Keys;

/// So many requests and so many bytes are sent at once, about: Redis does nothing else meanwhile.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 1024 * 1024;

pub(super) struct Outbox {
    shared: Shared,
    queue: String,
    /// The list of replies, on which the reader waits.
    inbox: String,
    pending: Arc<Pending>,
    state: Mutex<State>,
    /// Tells the task that there is something to send.
    more: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Whether somebody sends.
    busy: bool,
}

struct Waiting {
    body: Vec<u8>,
    done: oneshot::Sender<Sent>,
}

/// A request that was handed in, and how long the queue was with it.
type Sent = (Vec<u8>, Result<u64, Error>);

impl Outbox {
    pub(super) fn new(shared: Shared, keys: &Keys, inbox: String, pending: Arc<Pending>) -> Self {
        Self {
            shared,
            queue: keys.queue().to_owned(),
            inbox,
            pending,
            state: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// Sends the request, if there is a connection, and gives it back. The length of the queue is that with this
    /// request at its end. The error is [`Error::Transport`], or [`Error::Closed`] when the client ends.
    pub(super) async fn send(&self, body: Vec<u8>) -> Sent {
        let sent = {
            let mut state = self.state();
            if std::mem::replace(&mut state.busy, true) {
                let (done, sent) = oneshot::channel();
                state.waiting.push_back(Waiting { body, done });
                Err(sent)
            } else {
                Ok(body)
            }
        };
        match sent {
            Ok(body) => {
                let _turn = Turn(self);
                let pushed = self.push(&[&body]).await;
                (body, pushed.map_err(Error::from))
            }
            Err(sent) => sent.await.unwrap_or((Vec::new(), Err(Error::Closed))),
        }
    }

    /// Sends for ever what was handed in while somebody sent.
    pub(super) async fn work(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            while let Some(batch) = self.next() {
                let bodies: Vec<&[u8]> = batch.iter().map(|waiting| &*waiting.body).collect();
                let pushed = self.push(&bodies).await;
                let behind = (0..batch.len() as u64).rev();
                for (Waiting { body, done }, behind) in batch.into_iter().zip(behind) {
                    let pushed = match &pushed {
                        Ok(queue_len) => Ok(queue_len.saturating_sub(behind)),
                        Err(failed) => Err(failed.clone().into()),
                    };
                    // An error means that the caller was dropped this moment.
                    let _ = done.send((body, pushed));
                }
            }
        }
    }

    async fn push(&self, bodies: &[&[u8]]) -> Result<u64, Failed> {
        let live = self.shared.live_now().ok_or_else(Failed::not_connected)?;
        let mut commands = pipe();
        commands.rpush(&self.queue, bodies);
        if self.pending.tells_reader() {
            commands.rpush(&self.inbox, "").ignore();
        }
        let lengths: Vec<u64> = self.shared.run_on(live, &commands).await?;
        Ok(lengths.first().copied().unwrap_or_default())
    }

    /// What is to be sent next; if that is nothing, whoever comes next sends.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some(waiting) = state.waiting.pop_front()
        {
            if !waiting.done.is_closed() {
                bytes += waiting.body.len();
                batch.push(waiting);
            }
        }
        state.busy = !batch.is_empty();
        state.busy.then_some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever sends by itself leaves the rest to the task, even if it is dropped.
struct Turn<'a>(&'a Outbox);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy = !state.waiting.is_empty();
        if state.busy {
            self.0.more.notify_one();
        }
    }
}
