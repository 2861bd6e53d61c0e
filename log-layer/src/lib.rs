//! A `tracing` layer that ships what a service logs to the log server.
//!
//! ```no_run
//! use tracing_subscriber::prelude::*;
//!
//! let (layer, _logs) = log_layer::builder("iptv").build();
//! tracing_subscriber::registry().with(layer).init();
//! tracing::info!(channel = 7, "opened");
//! ```
//!
//! `_logs` is the [`Guard`]: hold it in `main`; dropping it delivers what is buffered.
//!
//! # What it promises
//!
//! - **The program never suffers.** Logging never blocks, never panics, never waits for the network, and what is buffered
//!   never exceeds the configured bytes, whether Redis is down, slow or full. Nothing is needed from the program's runtime,
//!   if it has one.
//! - **No silent loss.** Every record is stored, on its way, or counted as dropped by level and reason; counts reach the
//!   server with the next batch and are in [`Stats`] and [`FlushReport`]. Records are numbered without gaps, so the server
//!   can prove what is missing.
//! - **Stored once.** A batch is forgotten only when the server says that it is stored. Until then it is sent again if it
//!   may be lost, as the same bytes under the same number, by which the server tells a repeat.
//! - **As logged.** Numbers and booleans keep their type, errors their causes; what had to be cut says so.
//! - **No secrets.** Fields named like secrets (`password`, `token`, `authorization` …) are redacted before they leave.
//!
//! - **Last words arrive.** A panic becomes a record; the guard, `process::exit`, an abort after a panic and, if
//!   [asked for](Builder::signals), `SIGTERM` and `SIGINT` all wait for what is buffered, for a bounded time.
//! - **An outage costs nothing**, if there is a [`spool`](Builder::spool): what cannot be delivered waits on disk, also for
//!   the next run; with [`write_ahead`](Builder::write_ahead) so does what a killed process had logged.
//!
//! What it does not promise: records still in memory when the process is killed; order between threads beyond the clock.
//!
//! # Traces
//!
//! Every span gets an id, every root span a trace, and records carry both. [`traceparent()`] gives the current span's W3C
//! header; calls made through [`rpc`] carry it by themselves, and a span with a field `traceparent` continues the trace
//! that it names. So a request can be followed through every service, with no code in any of them.
//!
//! # Where to go next
//!
//! [`Builder`] lists every setting; [`LogLayer`] how values arrive; [`recipes`] shows whole programs; [`testing`] is for
//! tests of your own. Inside, in the way of a record: `layer` → `packed` →
//! `buffer`, then `shipper` → `batch` → `fields` → `encode` → `carrier`, and beside them `spooler` → `spool`; `delivery`
//! is what holds one process's buffer and shipper.

mod builder;
mod settings;
mod environment;
mod layer;
mod levels;
mod rate;
mod span;
mod span_fields;
mod lifetime;
mod traceparent;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
mod fields;
mod redact;
mod callsite;
mod encode;
#[cfg(all(feature = "valuable", any(test, tracing_unstable)))]
mod structured;
mod packed;
mod reentry;
mod sync;
mod ranges;
#[cfg(test)]
mod ranges_tests;
mod buffer;
mod dropped;
mod delivery;
mod fork;
mod shipper;
mod batch;
mod carrier;
mod spooler;
mod spool;
mod notice;
mod guard;
mod exit;
mod signals;
mod panic_hook;
mod stats;
mod stderr;
pub mod testing;
#[cfg(any(doc, doctest))]
pub mod recipes;
#[cfg(feature = "tower")]
pub mod tower;

use tracing_core::Subscriber;
use tracing_core::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};

pub use builder::{Builder, Misconfigured};
pub use dropped::{DropReason, Dropped};
pub use guard::Guard;
pub use layer::LogLayer;
pub use lifetime::{SpanEvents, UnknownMoment};
pub use span_fields::SpanFields;
pub use stats::{FlushReport, Stats};

/// Starts to configure a layer for the service of that name.
pub fn builder(service: impl Into<String>) -> Builder {
    Builder::from_environment(service.into(), |name| std::env::var(name).ok())
}

/// Everything a small program needs: installs a subscriber with this layer alone, configured by the environment.
///
/// If there is a global subscriber already, that one stays and the guard's [`problems`](Guard::problems) say so.
pub fn init(service: impl Into<String>) -> Guard {
    let (layer, mut guard) = builder(service).build();
    let subscriber = Registry::default().with(layer);
    if dispatcher::set_global_default(Dispatch::new(subscriber)).is_err() {
        guard.add_problem("nothing will be delivered: another subscriber is installed".to_owned());
    }
    guard
}

/// The W3C `traceparent` header of the current span, for a call to another service. With the feature `opentelemetry`, an
/// active span of OpenTelemetry's comes first, here and in records. None outside of any span that this
/// layer keeps, or if the subscriber is not built on [`Registry`].
pub fn traceparent() -> Option<String> {
    if let Some((trace, span)) = traceparent::of_others() {
        return Some(traceparent::header(trace, span));
    }
    dispatcher::get_default(|dispatch| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let current = registry.current_span();
        let span = registry.span(current.id()?)?;
        span.scope().find_map(|span| {
            let extensions = span.extensions();
            let node = extensions.get::<span::SpanData>()?.any();
            Some(traceparent::header(node.trace(), node.id))
        })
    })
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
