//! One request as a handler, and the layers around it, see it: what is known of the call, and its arguments as text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::extract::States;
use super::running::Cancel;

/// What is known of a call besides its arguments.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// The request's id. A request that is delivered again has the same one.
    pub id: String,
    /// The method called.
    pub method: Arc<str>,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Instant>,
    /// How long the request was on its way and in the queue, by the clock of Redis, if it tells when it was sent.
    pub queued: Option<Duration>,
    /// The caller's trace context, a W3C `traceparent` header.
    pub traceparent: Option<String>,
    /// What vendors added to the trace context, a W3C `tracestate` header.
    pub tracestate: Option<String>,
    pub(super) cancel: Cancel,
}

impl Context {
    /// Waits until the call is wanted no more: its caller has dropped it, or its deadline has passed.
    ///
    /// A handler that never asks is dropped at its next await when that happens. One that has asked is left alone and
    /// has to end itself; what it answers then goes nowhere. The future may outlive the handler, so that threads and
    /// tasks it started can be told as well.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.cancel.watch()
    }
}

/// One call on its way to its handler.
pub struct Request {
    pub(super) context: Context,
    pub(super) text: String,
    pub(super) args: Range<usize>,
    pub(super) kwargs: Range<usize>,
    pub(super) states: Arc<States>,
}

impl Request {
    /// What is known of the call besides its arguments.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The positional arguments: the text of a JSON array.
    pub fn args(&self) -> &str {
        &self.text[self.args.clone()]
    }

    /// The arguments by name: the text of a JSON object.
    pub fn kwargs(&self) -> &str {
        &self.text[self.kwargs.clone()]
    }
}

/// Prints no arguments.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
