//! Connections to Redis, and everything that is special to the client library: its timeouts (500 ms by default,
//! even for commands that block), its socket options, its errors. A new major version of it changes this folder.
//!
//! Promises: nothing here waits for the network before it is polled; a lost connection is replaced for ever, with
//! growing and jittered pauses, and whoever is the master then is asked for; a command is never repeated on its own;
//! no password is printed. Knows nothing of requests and replies.
//!
//! Reading order: this file (the times), `address` (what a URL says), `tls`, `endpoint` (whom to talk to now),
//! `shared` (the one connection for short commands), `subscription` (what it listens to), `failure` (what an error means), `backoff`, `clock`.

use std::time::Duration;

mod address;
mod tls;
mod endpoint;
mod shared;
mod subscription;
mod failure;
mod backoff;
mod clock;

pub use address::Address;
pub(crate) use backoff::Backoff;
pub(crate) use clock::milliseconds;
pub(crate) use endpoint::Endpoint;
pub(crate) use failure::{Failed, had_no_memory, is_passing, is_refusal, was_carried_out};
pub(crate) use redis::aio::MultiplexedConnection as Connection;
pub(crate) use redis::{Cmd, Pipeline, RedisError, RedisResult, cmd, pipe};
pub(crate) use shared::Shared;
pub(crate) use subscription::Subscription;

/// What is used when no URL was given.
pub(crate) const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// How long a blocking command waits in Redis. It bounds how long a ghost of a lost connection can take elements,
/// and costs half a command per second when idle.
pub(crate) const BLOCK: Duration = Duration::from_secs(2);

/// Redis may answer a blocking command later than asked; beyond this the connection counts as dead.
const BLOCK_GRACE: Duration = Duration::from_secs(5);

/// A healthy Redis answers in milliseconds; one that forks or swaps may need seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A Sentinel or a cluster node that does not say by then who the master is, is passed over.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// So many refusals in a row (a wrong password, say) are not the passing state of a starting Redis.
pub(crate) const REFUSALS: u32 = 5;
