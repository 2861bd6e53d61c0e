//! The seam to whoever traces this process: where an outgoing call finds the `traceparent` it carries.
//! This crate knows nothing of spans' identities; it only passes the W3C header on.

use std::sync::{PoisonError, RwLock};

type Source = fn() -> Option<String>;

static SOURCE: RwLock<Option<Source>> = RwLock::new(None);

/// Installs, for the whole process, the function that gives the current `traceparent` header.
///
/// It is called once per request, on the task that makes the call; the last function installed wins. Without
/// one no request carries a trace context, unless [`Call::traceparent`](crate::Call::traceparent) gives it.
pub fn set_source(source: fn() -> Option<String>) {
    *SOURCE.write().unwrap_or_else(PoisonError::into_inner) = Some(source);
}

pub(crate) fn current() -> Option<String> {
    let source = *SOURCE.read().unwrap_or_else(PoisonError::into_inner);
    source.and_then(|traceparent| traceparent())
}
