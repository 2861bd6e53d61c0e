//! What a call, a client or a server can fail with.

use std::time::Duration;

use crate::Fault;

/// Why a call, a client or a server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No reply came in time. A request that was sent may still be carried out.
    #[error("{method}: no reply within {after:?}; {}", fate(*sent, *queue_len, *servers, taken_by.as_deref()))]
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

/// What is known of a request that was not answered.
fn fate(sent: bool, queue_len: Option<u64>, servers: Option<u64>, taken_by: Option<&str>) -> String {
    if !sent {
        return "the request was not sent".to_owned();
    }
    let server = taken_by.map(|server| format!("server {server} had it"));
    let queue = queue_len.map(|requests| format!("requests in the queue: {requests}"));
    let alive = servers.map(|servers| format!("servers alive: {servers}"));
    let told = [Some("the request was sent".to_owned()), server, queue, alive];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_says_what_is_known_of_the_request() {
        let nothing = fate(true, None, None, None);
        assert_eq!(nothing, "the request was sent");
        assert_eq!(fate(false, Some(1), Some(1), None), "the request was not sent");
        assert_eq!(
            fate(true, Some(7), Some(2), Some("a-1")),
            "the request was sent, server a-1 had it, requests in the queue: 7, servers alive: 2"
        );
    }
}
