//! The calls that run, and how they end early: cancelled by their callers, or at their deadlines.
//!
//! A cancelled call is only wanted no more. Its handler is dropped at its next await, unless it asked to be told
//! ([`Context::cancelled`](super::Context::cancelled)); then it ends itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::{Notify, mpsc};

use crate::{Fault, code};

/// So many cancelled calls that did not come yet are remembered, and for so long. Others are carried out, unless
/// their deadlines have passed.
const REMEMBERED: usize = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// What servers are told by clients. Keys that we do not know are ignored.
#[derive(Deserialize)]
struct Order {
    /// The ids of calls that are wanted no more.
    #[serde(default)]
    cancel: Vec<String>,
}

#[derive(Default)]
pub(super) struct Running {
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// By the number of their start: ids need not be unique.
    running: HashMap<u64, (String, Cancel)>,
    started: u64,
    /// Cancelled before they came.
    unwanted: HashSet<String>,
    /// The oldest first.
    unwanted_since: VecDeque<(Instant, String)>,
}

/// Tells a handler that its call is wanted no more.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancel(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    no_more: AtomicBool,
    told: Notify,
    /// Whether the handler asked to be told.
    watched: AtomicBool,
}

impl Cancel {
    fn cancel(&self) {
        self.0.no_more.store(true, SeqCst);
        self.0.told.notify_waiters();
    }

    async fn cancelled(&self) {
        let mut told = pin!(self.0.told.notified());
        // From here on nothing is missed.
        told.as_mut().enable();
        if !self.0.no_more.load(SeqCst) {
            told.await;
        }
    }

    pub(super) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.watched.store(true, SeqCst);
        let cancel = self.clone();
        async move { cancel.cancelled().await }
    }
}

/// A call that runs, until this is dropped.
pub(super) struct Call<'a> {
    running: &'a Running,
    number: u64,
    pub(super) cancel: Cancel,
}

impl Running {
    /// Makes the call one that can be cancelled; none if it was.
    pub(super) fn enter(&self, id: &str) -> Option<Call<'_>> {
        let cancel = Cancel::default();
        let mut calls = self.calls();
        if calls.unwanted.contains(id) {
            return None;
        }
        calls.started += 1;
        let number = calls.started;
        calls.running.insert(number, (id.to_owned(), cancel.clone()));
        Some(Call {
            running: self,
            number,
            cancel,
        })
    }

    /// Carries out what clients order, for ever.
    pub(super) async fn obey(&self, mut orders: mpsc::Receiver<Vec<u8>>) {
        while let Some(order) = orders.recv().await {
            match serde_json::from_slice(&order) {
                Ok(Order { cancel }) => self.cancel(cancel),
                Err(_) => tracing::debug!(bytes = order.len(), "an order is not understood"),
            }
        }
    }

    fn cancel(&self, ids: Vec<String>) {
        let now = Instant::now();
        let mut calls = self.calls();
        for id in ids {
            let mut runs = false;
            for (_, cancel) in calls.running.values().filter(|(running, _)| *running == id) {
                cancel.cancel();
                runs = true;
            }
            if !runs && calls.unwanted.insert(id.clone()) {
                calls.unwanted_since.push_back((now, id));
            }
        }
        while let Some((since, _)) = calls.unwanted_since.front()
            && (calls.unwanted.len() > REMEMBERED || now.duration_since(*since) > REMEMBERED_FOR)
        {
            if let Some((_, id)) = calls.unwanted_since.pop_front() {
                calls.unwanted.remove(&id);
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    /// Waits until the call is wanted no more and its handler does not end by itself; says why.
    pub(super) async fn abandoned(&self, deadline: Option<Instant>) -> Fault {
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => pending().await,
            }
        };
        let fault = tokio::select! {
            () = self.cancel.cancelled() => Fault::cancelled(),
            () = late => Fault::app(code::DEADLINE_EXCEEDED, "the deadline passed while the call was running"),
        };
        self.cancel.cancel();
        if self.cancel.0.watched.load(SeqCst) {
            pending().await
        }
        fault
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.running.calls().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_cancelled_by_id_before_and_after_they_come() {
        let running = Running::default();
        let (first, second, other) = (running.enter("a"), running.enter("a"), running.enter("b"));
        running.cancel(vec!["a".into(), "late".into()]);
        for call in [first, second] {
            assert_eq!(call.unwrap().abandoned(None).await.code, code::CANCELLED);
        }
        assert!(!other.unwrap().cancel.0.no_more.load(SeqCst));
        assert!(running.enter("late").is_none());
        assert!(running.calls().running.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let running = Running::default();
        running.cancel((0..=REMEMBERED).map(|id| id.to_string()).collect());
        assert!(running.enter("0").is_some());
        assert!(running.enter("1").is_none());
        let calls = running.calls();
        assert_eq!(
            (calls.unwanted.len(), calls.unwanted_since.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
