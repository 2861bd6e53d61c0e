//! The panic hook: every panic becomes a record, also one that ends the process.
//!
//! Promises: the hook that was there before still runs; the hook itself runs none of the user's code, takes nothing but
//! the locks of the buffers, and makes the program wait only where the process is about to abort. What ends by unwinding,
//! `main` too, is waited for by the guard or by [`crate::exit`].

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;
use std::time::SystemTime;

use tracing_core::callsite::Callsite;
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::subscriber::Interest;
use tracing_core::{Level, LevelFilter, Metadata, identify_callsite};

use crate::buffer::Head;
use crate::callsite;
use crate::delivery::Delivery;
use crate::encode;
use crate::exit;
use crate::levels::Levels;
use crate::reentry;

/// More of a panic's message is not worth its place.
const MESSAGE_BYTES: usize = 16 << 10;

/// What the standard library says right before it aborts because it may not unwind.
const LAST_WORDS: [&str; 2] = [
    "panic in a function that cannot unwind",
    "panic in a destructor during cleanup",
];

/// A layer that wants to know of panics.
#[derive(Clone)]
struct Listener {
    delivery: Weak<Delivery>,
    levels: Levels,
}

static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

static INSTALLED: Once = Once::new();

/// Has every panic from now on recorded.
pub(crate) fn listen(delivery: &Arc<Delivery>, levels: &Levels) {
    let mut listeners = lock();
    listeners.retain(|known| known.delivery.strong_count() > 0);
    listeners.push(Listener {
        delivery: Arc::downgrade(delivery),
        levels: levels.clone(),
    });
    drop(listeners);
    // A thread that panics may not change the hook; the next layer will.
    if !thread::panicking() {
        INSTALLED.call_once(install);
    }
}

fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        record(info);
        previous(info);
        if is_the_end(info) {
            // What was not delivered cannot be told any more: the process is about to die.
            let _ = exit::deliver(exit::PATIENCE);
        }
    }));
}

/// Straight into the buffers: the thread may be in the middle of a log call.
fn record(info: &PanicHookInfo<'_>) {
    // The shipper survives its panics, and counts them.
    if reentry::on_shipper() {
        return;
    }
    let time = SystemTime::now();
    let mut body = Vec::new();
    let site_bytes = write(&mut body, info);
    let listeners = lock().clone();
    for listener in listeners {
        if listener.levels.events() < LevelFilter::ERROR {
            continue;
        }
        if let Some(delivery) = listener.delivery.upgrade() {
            delivery.push(Head::new(time, &METADATA, site_bytes), &body);
        }
    }
}

/// Writes the call-site, which is where it panicked, and the record. Returns the length of the call-site.
fn write(body: &mut Vec<u8>, info: &PanicHookInfo<'_>) -> usize {
    let location = info.location();
    let site = Metadata::new(
        "panic",
        "panic",
        Level::ERROR,
        location.map(|location| location.file()),
        location.map(|location| location.line()),
        None,
        FieldSet::new(&[], identify_callsite!(&SITE)),
        Kind::EVENT,
    );
    callsite::write(body, &site);
    let site_bytes = body.len();
    body.extend_from_slice(b",\"message\":");
    let message = info.payload_as_str().unwrap_or("Box<dyn Any>");
    let stop = body.len() + MESSAGE_BYTES;
    let truncated = encode::value(body, stop, |json| match location {
        Some(location) => json.quoted(format_args!("panicked at {location}: {message}")),
        None => json.quoted(format_args!("panicked: {message}")),
    });
    if let Some(thread) = thread::current().name() {
        body.extend_from_slice(b",\"thread\":");
        encode::text(body, thread);
    }
    if truncated {
        body.extend_from_slice(b",\"flags\":[\"truncated\"]");
    }
    site_bytes
}

fn is_the_end(info: &PanicHookInfo<'_>) -> bool {
    let says_so = |message: &str| LAST_WORDS.contains(&message);
    cfg!(panic = "abort") || info.payload_as_str().is_some_and(says_so)
}

fn lock() -> MutexGuard<'static, Vec<Listener>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic has no call-site of `tracing`'s; this one gives its level and nothing else.
struct Site;

static SITE: Site = Site;

static METADATA: Metadata<'static> = Metadata::new(
    "panic",
    "panic",
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], identify_callsite!(&SITE)),
    Kind::EVENT,
);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}
