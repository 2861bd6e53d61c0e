//! How to use the layer in programs of several kinds. There is no code here, only documentation.
//!
//! # A service on axum
//!
//! With the feature `tower`, each request has a span and goes on in the trace of whoever sent it.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use log_layer::tower::RequestSpans;
//! use tracing_subscriber::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let (layer, _logs) = log_layer::builder("shop")
//!         .version(env!("CARGO_PKG_VERSION"))
//!         .signals(true) // Ctrl-C and SIGTERM wait for the last records; not if you handle them yourself
//!         .build();
//!     tracing_subscriber::registry().with(layer).with(tracing_subscriber::fmt::layer()).init();
//!
//!     let app: Router = Router::new()
//!         .route("/", get(async || { tracing::info!("asked"); "hello" }))
//!         .layer(RequestSpans::new());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     axum::serve(listener, app).await
//! }
//! ```
//!
//! # tonic, actix-web and others
//!
//! tonic is built on tower: `tonic::transport::Server::builder().layer(RequestSpans::new())`. Elsewhere, open a span with a
//! field `traceparent` for each request, from its header of that name, and send [`traceparent()`](crate::traceparent()) as
//! the header of what you call; with actix-web that is a `wrap_fn` around the application:
//!
//! ```text
//! App::new().wrap_fn(|request, service| {
//!     let header = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
//!     let span = tracing::info_span!("request", path = request.path(), traceparent = header);
//!     service.call(request).instrument(span)
//! })
//! ```
//!
//! # Calling others over HTTP
//!
//! ```
//! # use tracing::info_span;
//! let _span = info_span!("checkout").entered();
//! let mut request = http::Request::get("http://stock/items/7");
//! if let Some(header) = log_layer::traceparent() {
//!     request = request.header("traceparent", header);
//! }
//! ```
//!
//! Calls through [`rpc`] carry it by themselves.
//!
//! # A command-line tool
//!
//! It is over soon, so what matters is the end: the guard waits for what is buffered, `?` out of `main` included, and
//! [`std::process::exit`] waits up to a second. Somebody without a Redis must not notice.
//!
//! ```no_run
//! use std::time::Duration;
//! use tracing_subscriber::prelude::*;
//!
//! fn main() -> Result<(), std::num::ParseIntError> {
//!     let (layer, _logs) = log_layer::builder("migrate")
//!         .enabled(std::env::var_os("LOG_LAYER_REDIS_URL").is_some())
//!         .flush_timeout(Duration::from_millis(500))
//!         .build();
//!     tracing_subscriber::registry().with(layer).init();
//!     let step: u32 = std::env::args().nth(1).unwrap_or_default().parse()?;
//!     tracing::info!(step, "done");
//!     Ok(())
//! }
//! ```
//!
//! # Tests of your own
//!
//! [`testing::capture`](crate::testing::capture) gives what a piece of code logs, with no Redis and no global state:
//!
//! ```
//! let logged = log_layer::testing::capture(|| tracing::error!(order = 17, "not paid"));
//! assert_eq!(logged[0].fields["order"], 17);
//! ```
//!
//! # Panics
//!
//! Every panic becomes an `ERROR` record with its message, place and thread, and the hook that was there still runs. Where
//! a panic aborts, the process waits up to a second for its last records. Install a panic hook of your own before
//! [`build`](crate::Builder::build), or turn this one off with [`panic_hook`](crate::Builder::panic_hook).
//!
//! # The end of a service
//!
//! Dropping the guard delivers what is left, for at most [`flush_timeout`](crate::Builder::flush_timeout); keep it in `main`,
//! under a name that does not begin and end as `_`. To know what became of it, or to wait elsewhere:
//!
//! ```
//! # use std::time::Duration;
//! # use tracing_subscriber::Registry;
//! # let (_layer, guard) = log_layer::builder("shop").enabled(false).build::<Registry>();
//! let report = guard.shutdown(Duration::from_secs(2));
//! if report.still_buffered > 0 {
//!     eprintln!("{} records are lost", report.still_buffered);
//! }
//! ```
//!
//! A program without a handler of its own for `SIGTERM` sets [`signals`](crate::Builder::signals); one that must not lose
//! anything even when it is killed sets [`spool`](crate::Builder::spool) and [`write_ahead`](crate::Builder::write_ahead).
//!
//! # Too much, or too little
//!
//! `RUST_LOG=info,hyper=warn` works, `LOG_LAYER_LEVEL` wins over it, and [`Guard::set_level`](crate::Guard::set_level)
//! changes it while the program runs. [`Stats::refused_by_call_site`](crate::Stats::refused_by_call_site) names the lines
//! that log more than the buffer or [`rate_limit`](crate::Builder::rate_limit) lets through.
