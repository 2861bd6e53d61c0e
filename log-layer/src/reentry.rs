//! Who is inside the layer on this thread.
//!
//! Promises: what the shipper thread logs never enters, or the transport would log about itself for ever; a `Debug`
//! implementation that logs may come back in, but not without end. `tracing` itself guards neither when a subscriber is
//! installed globally.

use std::cell::Cell;

/// An event, a `Debug` in it that logs, and a `Debug` in that: beyond this it is a cycle.
const DEPTH: u8 = 3;

thread_local! {
    // Both are plain numbers: they need no destructor and work while the thread is ending.
    static INSIDE: Cell<u8> = const { Cell::new(0) };
    static SHIPPER: Cell<bool> = const { Cell::new(false) };
}

/// Whether a callback may do its work.
pub(crate) enum Entry {
    /// It may, as long as it holds this.
    Open(Inside),
    /// It is nested too deep.
    TooDeep,
    /// This is the shipper's own thread.
    Shipper,
}

/// One callback at work on this thread.
pub(crate) struct Inside(());

pub(crate) fn enter() -> Entry {
    if on_shipper() {
        return Entry::Shipper;
    }
    let depth = INSIDE.get();
    if depth >= DEPTH {
        return Entry::TooDeep;
    }
    INSIDE.set(depth + 1);
    Entry::Open(Inside(()))
}

/// Makes this thread the shipper's.
pub(crate) fn become_shipper() {
    SHIPPER.set(true);
}

pub(crate) fn on_shipper() -> bool {
    SHIPPER.get()
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}
