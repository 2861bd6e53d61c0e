//! What threads meet at, in a model: each lock and each atomic is a place where another thread may go on.

use std::cell::Cell;
pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

/// A thread of a model says itself which place it uses.
pub(crate) fn thread_number() -> usize {
    NUMBER.with(Cell::get)
}

pub(crate) fn number_this_thread(number: usize) {
    NUMBER.with(|own| own.set(number));
}

loom::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(0);
}

/// As few as can show what happens between them.
pub(crate) fn places() -> usize {
    2
}

/// A call that is not lost if nobody waits yet. Futures are not modelled.
#[derive(Debug)]
pub(crate) struct Notify {
    called: Mutex<bool>,
    changed: Condvar,
}

impl Notify {
    pub(crate) fn new() -> Notify {
        Notify {
            called: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn notify_one(&self) {
        *self.called.lock().unwrap() = true;
        self.changed.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {}

    pub(crate) fn notified(&self) -> std::future::Pending<()> {
        std::future::pending()
    }

    /// What the shipper does.
    pub(crate) fn wait(&self) {
        let mut called = self.called.lock().unwrap();
        while !*called {
            called = self.changed.wait(called).unwrap();
        }
        *called = false;
    }
}
