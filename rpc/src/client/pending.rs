//! The calls that wait for a reply. A call is in here exactly as long as somebody waits for it; a reply for no
//! call is late and is dropped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::peers::Peers;
use crate::Error;
use crate::envelope::Reply;

/// How many calls may be in flight; further ones wait here, before they are sent. Bounds what a server that went
/// away can cost us.
const LIMIT: usize = 10_000;

/// The pause between two looks for a Python reply doubles up to this.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// So many calls are looked for at once: a pipeline that Redis serves in well under a millisecond.
const LOOK_BATCH: usize = 256;

/// So many replies of Python servers are waited for at once, besides the inbox: with 64 lists the wait still costs
/// Redis little, but it grows with each. What is beyond is looked for now and then.
pub(super) const WATCHED: usize = 63;

/// What becomes of a request.
pub(super) enum Outcome {
    Answered(Result<Reply, Error>),
    /// It is not in the queue, as far as is known. Here is its text back.
    Unsent(Vec<u8>, Error),
}

pub(super) struct Pending {
    calls: Mutex<Calls>,
    places: Arc<Semaphore>,
    pub(super) peers: Peers,
    /// There is something to look for earlier than before.
    pub(super) earlier: Notify,
    /// Sent to whenever replies may have been lost with a connection.
    pub(super) losses: watch::Sender<()>,
    /// Where the numbers of calls go that were sent and are not waited for any more.
    abandoned: mpsc::UnboundedSender<u64>,
    /// Whether the reader of the inbox has been told to look at the calls again, or will.
    told_reader: AtomicBool,
    /// How many replies of Python servers it waits for.
    watched: AtomicUsize,
}

#[derive(Default)]
struct Calls {
    /// By number, so the oldest first.
    waiting: BTreeMap<u64, Waiting>,
    /// When to look for which; some have been answered meanwhile.
    looks: BinaryHeap<Reverse<(Instant, u64)>>,
}

struct Waiting {
    outcome: oneshot::Sender<Outcome>,
    look_again: Duration,
}

impl Pending {
    pub(super) fn new(abandoned: mpsc::UnboundedSender<u64>) -> Self {
        Self {
            calls: Mutex::default(),
            places: Arc::new(Semaphore::new(LIMIT)),
            peers: Peers::default(),
            earlier: Notify::new(),
            losses: watch::Sender::new(()),
            abandoned,
            told_reader: AtomicBool::new(false),
            watched: AtomicUsize::new(0),
        }
    }

    /// Makes room for the reply to a call; none while there are too many calls.
    pub(super) fn register_now(self: &Arc<Self>, number: u64) -> Option<Ticket> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.registered(number, place))
    }

    /// Makes room for the reply to a call, waiting while there are too many calls.
    pub(super) async fn register(self: &Arc<Self>, number: u64) -> Ticket {
        let place = Arc::clone(&self.places).acquire_owned().await;
        self.registered(number, place.expect("the semaphore is never closed"))
    }

    fn registered(self: &Arc<Self>, number: u64, place: OwnedSemaphorePermit) -> Ticket {
        Ticket {
            told: self.await_outcome(number),
            pending: Arc::clone(self),
            number,
            sent: false,
            _place: place,
        }
    }

    fn await_outcome(&self, number: u64) -> oneshot::Receiver<Outcome> {
        let (outcome, told) = oneshot::channel();
        let first_look = self.peers.first_look();
        let look_again = first_look * 2;
        let look = Reverse((Instant::now() + first_look, number));
        let earlier = {
            let mut calls = self.calls();
            calls.waiting.insert(number, Waiting { outcome, look_again });
            let earlier = calls.looks.peek().is_none_or(|next| look > *next);
            calls.looks.push(look);
            earlier
        };
        if earlier {
            self.earlier.notify_one();
        }
        told
    }

    /// Tells the call that waits for it what became of its request.
    pub(super) fn complete(&self, number: u64, outcome: Outcome) {
        let waiting = self.calls().waiting.remove(&number);
        match waiting {
            // An error means that the caller was dropped this moment.
            Some(waiting) => drop(waiting.outcome.send(outcome)),
            None => tracing::debug!(number, "a reply came too late"),
        }
    }

    pub(super) fn awaits(&self, number: u64) -> bool {
        self.calls().waiting.contains_key(&number)
    }

    pub(super) fn are_several(&self) -> bool {
        self.len() > 1
    }

    pub(super) fn len(&self) -> usize {
        self.calls().waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls().waiting.is_empty()
    }

    /// When a Python reply should be looked for next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let mut calls = self.calls();
        loop {
            let Reverse((at, number)) = *calls.looks.peek()?;
            if calls.waiting.contains_key(&number) {
                return Some(at);
            }
            calls.looks.pop();
        }
    }

    /// The calls whose Python reply should be looked for now, the longest overdue first.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let mut calls = self.calls();
        let mut due = Vec::new();
        while due.len() < LOOK_BATCH
            && let Some(Reverse((at, number))) = calls.looks.peek().copied()
            && at <= now
        {
            calls.looks.pop();
            if let Some(waiting) = calls.waiting.get_mut(&number) {
                let again = now + waiting.look_again;
                waiting.look_again = (waiting.look_again * 2).min(LAST_LOOK);
                calls.looks.push(Reverse((again, number)));
                due.push(number);
            }
        }
        due
    }

    /// The oldest calls, if their replies are to be waited for one by one.
    pub(super) fn to_watch(&self) -> Vec<u64> {
        // Before the calls are looked at: one that comes meanwhile tells of itself, once too often at worst.
        self.watched.store(0, SeqCst);
        self.told_reader.store(false, SeqCst);
        if !self.peers.has_python() {
            return Vec::new();
        }
        let oldest: Vec<u64> = self.calls().waiting.keys().take(WATCHED).copied().collect();
        self.watched.store(oldest.len(), SeqCst);
        oldest
    }

    /// Whether the reader of the inbox must be told that there is another call to watch.
    pub(super) fn tells_reader(&self) -> bool {
        self.peers.has_python() && self.watched.load(SeqCst) < WATCHED && !self.told_reader.swap(true, SeqCst)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the waiting calls, given up when dropped.
pub(super) struct Ticket {
    pending: Arc<Pending>,
    pub(super) number: u64,
    told: oneshot::Receiver<Outcome>,
    /// Whether the request may have reached the queue.
    pub(super) sent: bool,
    _place: OwnedSemaphorePermit,
}

impl Ticket {
    /// To be awaited until it is ready, and again only after [`wait_again`](Self::wait_again).
    pub(super) async fn outcome(&mut self) -> Outcome {
        let told = (&mut self.told).await;
        told.unwrap_or(Outcome::Answered(Err(Error::Closed)))
    }

    /// The request was not sent and will be handed in again.
    pub(super) fn wait_again(&mut self) {
        self.told = self.pending.await_outcome(self.number);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let unanswered = self.pending.calls().waiting.remove(&self.number).is_some();
        if unanswered && self.sent {
            // An error means that the client is gone as well.
            let _ = self.pending.abandoned.send(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> (Arc<Pending>, mpsc::UnboundedReceiver<u64>) {
        let (abandoned, numbers) = mpsc::unbounded_channel();
        (Arc::new(Pending::new(abandoned)), numbers)
    }

    #[tokio::test]
    async fn a_dropped_call_leaves_nothing_behind() {
        let (pending, mut abandoned) = pending();
        drop(pending.register(1).await);
        let mut sent = pending.register(2).await;
        sent.sent = true;
        assert!(!pending.is_empty());
        drop(sent);
        assert!(pending.is_empty());
        assert_eq!(pending.places.available_permits(), LIMIT);
        assert_eq!(
            (abandoned.try_recv(), abandoned.try_recv().is_err()),
            (Ok(2), true)
        );
    }

    #[tokio::test]
    async fn a_call_is_looked_for_ever_less_often() {
        let (pending, _abandoned) = pending();
        let start = Instant::now();
        let _ticket = pending.register(1).await;
        let looks = (0..10_000)
            .filter(|ms| !pending.due(start + Duration::from_millis(*ms)).is_empty())
            .count();
        assert!((8..=12).contains(&looks), "{looks}");
        assert!(pending.next_look().unwrap() > start + Duration::from_secs(10));
    }

    #[tokio::test]
    async fn what_rust_servers_answer_is_hardly_looked_for() {
        let (pending, _abandoned) = pending();
        pending.peers.saw_rust();
        let start = Instant::now();
        let _ticket = pending.register(1).await;
        assert!(pending.next_look().unwrap() >= start + Duration::from_millis(500));
        assert!(!pending.tells_reader());
        pending.peers.saw_python();
        let _ticket = pending.register(2).await;
        assert!(pending.next_look().unwrap() < start + Duration::from_millis(500));
        assert!(pending.tells_reader());
        assert!(!pending.tells_reader(), "once is enough");
        assert_eq!(pending.to_watch(), [1, 2]);
        let mut others = Vec::new();
        for number in 3..500 {
            others.push(pending.register(number).await);
        }
        // However many came at once since the reader looked.
        assert!(pending.tells_reader());
        // The wait for more lists would cost Redis more; the oldest come first.
        assert_eq!(pending.to_watch(), (1..=WATCHED as u64).collect::<Vec<_>>());
        assert!(!pending.tells_reader(), "there is no room for more");
    }
}
