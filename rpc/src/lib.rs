//! Calls between services over Redis lists, understood by the Python package `asyncredisrpc` on either side.
//!
//! What it promises:
//!
//! - **A request is never lost by a server that dies.** It is moved, not popped, into a list of its own and
//!   deleted only behind its reply; the requests of a dead server go back to the head of the queue.
//!   So a handler may run twice, and never zero times, for a call that got into Redis. A request with which three
//!   servers died goes to the dead-letter list instead, and its caller gets code 11.
//! - **Redis may go away**, or another one may become the master. Building a client or a server never waits for the
//!   network, a running server never ends because of it, and a call says whether its request may have been sent.
//! - **Nothing a peer sends kills a server.** A handler that panics answers with code 2; text that is no
//!   request goes to a dead-letter list.
//! - **A caller that stops waiting is heard.** Its call is not started any more, or dropped while it runs, and so are the
//!   calls that it made.
//! - **A client costs two connections**, whatever the number of calls in flight.
//! - Nothing here prints a payload or a password.
//!
//! Where to go next: [`Client`] calls, [`Server`] answers, [`Kw`], [`Args`] and [`RawArgs`] say how arguments
//! travel, [`Fault`] is what a handler fails with and [`Error`] what a caller sees; [`Address`] says where Redis is and
//! [`Inspector`] looks at a queue from outside, as the command `rpc` does; [`Lease`] is for services that serve alone. The [`guide`] has longer texts: [what it can
//! do](guide::features), for those who come [from Python](guide::from_asyncredisrpc), on [running it](guide::running), and
//! [what crosses Redis](guide::wire). Inside, `envelope` is what crosses Redis, `keys` names every key, and `connection` is the only
//! folder that knows the Redis client library.
//!
//! ```no_run
//! use rpc::{Client, Fault, Server};
//! use serde::Deserialize;
//! use tokio_util::sync::CancellationToken;
//!
//! #[derive(Deserialize)]
//! struct Sum {
//!     x: i64,
//!     #[serde(default)]
//!     y: i64,
//! }
//!
//! async fn sum(terms: Sum) -> Result<i64, Fault> {
//!     terms.x.checked_add(terms.y).ok_or_else(|| Fault::handler("the sum does not fit"))
//! }
//!
//! # async fn example() -> Result<(), rpc::Error> {
//! let stop = CancellationToken::new();
//! let server = Server::builder("math").redis("redis://127.0.0.1:6379").method("sum", sum).build()?;
//! let serving = tokio::spawn(server.run(stop.clone()));
//!
//! let client = Client::builder("math").redis("redis://127.0.0.1:6379").build()?;
//! let total: i64 = client.call("sum", (14, 3)).await?;
//! assert_eq!(total, 17);
//!
//! stop.cancel();
//! let report = serving.await.expect("the server does not panic")?;
//! assert_eq!(report.handled, 1);
//! # Ok(())
//! # }
//! ```

pub mod guide;
pub mod code;
pub mod trace;
mod fault;
mod error;
mod arguments;
mod params;
mod repair;
mod envelope;
mod keys;
mod parent;
mod connection;
mod client;
mod server;
mod inspector;
mod lease;
#[cfg(test)]
mod python;

pub use arguments::{Args, Arguments, Kw, RawArgs};
pub use client::{Call, Client, ClientBuilder, QueueState};
pub use connection::Address;
pub use error::Error;
pub use fault::Fault;
pub use inspector::{DeadLetter, Inspector, Overview, Retried, ServerState, Sweep, Swept};
pub use lease::Lease;
pub use params::RawParams;
pub use server::{
    Always, Answer, Batching, ByName, ByValue, Context, Extract, Handler, IntoAnswer, MethodService, Needs,
    Params, Perhaps, Report, Request, Server, ServerBuilder, State,
};
