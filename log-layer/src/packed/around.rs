//! What stands around whatever a thread logs now: its name, and the span it is in with those around that.
//!
//! Promises: packed once, and copied for every event until the thread enters or leaves a span or somebody records a late
//! field, for finding a span and walking up from it costs more than packing an event. Knows nothing of the registry.

use std::cell::Cell;

use super::has;
use crate::span::{self, Node};

thread_local! {
    /// How often this thread has entered or left a span. A plain number: it works while the thread is ending.
    static MOVES: Cell<u64> = const { Cell::new(0) };
}

/// This thread has entered or left a span.
pub(crate) fn moved() {
    MOVES.set(MOVES.get().wrapping_add(1));
}

/// What was packed under an equal stamp, by the same thread, is packed right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    layer: usize,
    moves: u64,
    changes: usize,
}

impl Stamp {
    /// For a layer with that number. Take it before looking at the span.
    pub(crate) fn now(layer: usize) -> Stamp {
        Stamp {
            layer,
            moves: MOVES.get(),
            changes: span::changes(),
        }
    }
}

/// A thread's memory of it.
#[derive(Debug)]
pub(crate) struct Around {
    stamp: Option<Stamp>,
    /// Which of it is there, as in a packed event's first byte.
    pub(super) here: u8,
    pub(super) bytes: Vec<u8>,
    /// Where the ids stand, or would stand: behind the thread's name, which never changes.
    pub(super) ids_at: usize,
}

impl Around {
    /// On a thread of that name.
    pub(crate) fn new(thread: &str) -> Around {
        let (mut here, mut bytes) = (0, Vec::new());
        if let Ok(len @ 1..) = u8::try_from(thread.len()) {
            here = has::THREAD;
            bytes.push(len);
            bytes.extend_from_slice(thread.as_bytes());
        }
        Around {
            stamp: None,
            here,
            ids_at: bytes.len(),
            bytes,
        }
    }

    /// Whether it is what is packed already.
    pub(crate) fn is(&self, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.stamp == stamp
    }

    /// Packs the span, with what it has around it as far as that fits into `spans_bytes`. Without a stamp it is for one
    /// event only.
    pub(crate) fn pack(&mut self, stamp: Option<Stamp>, span: Option<&Node>, spans_bytes: usize) {
        self.stamp = None;
        self.bytes.truncate(self.ids_at);
        self.here &= has::THREAD;
        if let Some(span) = span {
            self.here |= has::SPANS;
            self.bytes.extend_from_slice(&span.trace().to_bytes());
            self.bytes.extend_from_slice(&span.id.to_bytes());
            let at = super::reserve_length(&mut self.bytes);
            if span.write_chain(&mut self.bytes, spans_bytes) {
                self.here |= has::TRUNCATED;
            }
            super::set_length(&mut self.bytes, at);
        }
        self.stamp = stamp;
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
