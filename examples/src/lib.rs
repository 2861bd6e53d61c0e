//! A small streaming service as its team would write it: `auth` and `iptv` answer RPC calls, `webapi` and `websocket`
//! call them, every process logs through `log-layer`; `load` uses it all, and `demo` runs everything with a log server.
//!
//! Start at `bin/webapi.rs`: one request goes through all of them. What the processes share is here.

pub mod accounts;
pub mod catalog;
pub mod gateway;
pub mod line;

use std::io::IsTerminal as _;
use std::time::Duration;

use log_layer::Guard;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

/// How long one service waits for another.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts logging: to the log server, and to stderr for whoever started the process by hand. Keep the guard until the
/// end of `main`: its drop delivers what is still waiting.
pub fn log(service: &str) -> Guard {
    let (layer, guard) = log_layer::builder(service)
        .version(env!("CARGO_PKG_VERSION"))
        .attr("env", "demo")
        .build();
    let shown = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let terminal = std::io::stderr().is_terminal();
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_filter(shown);
    tracing_subscriber::registry().with(layer).with(stderr).init();
    guard
}

/// The Redis through which the services call each other; the same that their logs take.
pub fn redis_url() -> String {
    std::env::var("LOG_LAYER_REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".into())
}

/// A client of another service.
///
/// # Errors
/// When the address of Redis makes no sense.
pub fn client(service: &str) -> Result<rpc::Client, rpc::Error> {
    rpc::Client::builder(service)
        .redis(redis_url())
        .timeout(CALL_TIMEOUT)
        .build()
}

/// A token that is cancelled at Ctrl-C or SIGTERM.
///
/// # Errors
/// When signals cannot be received.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    // Ends with the process, which is what it waits for.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}
