//! What a call, a client or a server can fail with.

use std::time::Duration;

use crate::Fault;

/// Why a call, a client or a server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No reply came in time. A request that was sent may still be carried out.
    #[error("{method}: no reply within {after:?} (sent: {sent}, queue length: {}, live servers: {}, taken by: {})",
        known(*queue_len), known(*servers), taken_by.as_deref().unwrap_or("nobody known"))]
    Timeout {
        /// The method called.
        method: String,
        /// How long the caller waited.
        after: Duration,
        /// Whether the request may have reached the queue.
        sent: bool,
        /// How many requests wait in the queue, if Redis told in time.
        queue_len: Option<u64>,
        /// How many servers of this crate serve the queue, if Redis told in time. Python servers do not count.
        servers: Option<u64>,
        /// The server that had the request in its hands, if one said so in time.
        taken_by: Option<String>,
    },
    /// The server has no such method.
    #[error("no server method is called {method:?}")]
    UnknownMethod {
        /// The method called.
        method: String,
    },
    /// The server answered with a failure.
    #[error(transparent)]
    Remote(Fault),
    /// The arguments cannot be written as JSON.
    #[error("the arguments cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The reply is not what the caller expected.
    #[error("the reply does not have the expected form")]
    Decode {
        /// What was expected and where.
        source: serde_json::Error,
        /// The beginning of the reply's text.
        raw: String,
    },
    /// The queue takes no more requests now, so this one was not sent, or was taken back.
    #[error("the queue is full (length: {}, limit: {})", known(*queue_len), known(*limit))]
    Overloaded {
        /// How many requests waited when Redis told last; none if its memory is full.
        queue_len: Option<u64>,
        /// How many may wait, see [`max_queue_len`](crate::ClientBuilder::max_queue_len).
        limit: Option<u64>,
    },
    /// The request is larger than a server accepts.
    #[error("the request has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// The size of the request.
        bytes: usize,
        /// The largest size allowed.
        limit: usize,
    },
    /// Redis could not be reached, or refused.
    #[error("Redis failed (the request {})", if *maybe_sent { "may have been sent" } else { "was not sent" })]
    Transport {
        /// What the connection or Redis said.
        source: redis::RedisError,
        /// Whether the request may have reached the queue all the same.
        maybe_sent: bool,
    },
    /// A builder was given something that cannot work.
    #[error("{0}")]
    Config(String),
    /// What was registered with [`on_start`](crate::ServerBuilder::on_start) failed, or the system gave no thread, so
    /// nothing was served.
    #[error("the server did not start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client's tasks have ended with their runtime.
    #[error("the client is closed: its runtime has ended")]
    Closed,
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}
