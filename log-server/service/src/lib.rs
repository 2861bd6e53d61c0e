//! The log server around its engine: takes batches of records over Redis lists, serves a search page, and prints answers.
//!
//! A crate of its own beside `log_engine`, because this is compiled for size: what is seldom run had better be small.
//!
//! [`run`] is the table of contents: what is started in which order, and stopped in the reverse. From there: `config`
//! (what can be chosen), the crate `log_engine` (where records are kept and searched), `saved` (searches with a name),
//! `alerts` (and who is told of them), `broker` (which Redis), `ingest` (the RPC side), `http` (the page's side),
//! `metrics` (what is counted), `memory` (what is given back), `tokens` (who may read), `import` (other programs' files),
//! `terminal` (the verbs that print).

pub mod config;
pub mod saved;
mod alerts;
mod broker;
mod ingest;
mod http;
mod metrics;
mod memory;
pub mod tokens;
pub mod import;
pub mod terminal;

pub use log_engine::{query, search, store};

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rpc::Lease;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use alerts::Alerts;
use broker::Broker;
use config::{Config, OpenOptions};
use ingest::Arrival;
use metrics::Metrics;
use saved::Saved;
use search::Searcher;
use store::Store;
use tokens::Tokens;

/// What a running server can be reached by; told once everything is up.
#[derive(Debug, Clone)]
pub struct Running {
    /// The page.
    pub page: String,
    /// The Redis that services should use. May carry a password.
    pub redis: String,
    /// How that Redis came about, for people.
    pub redis_origin: &'static str,
}

/// Runs a server until `stop` resolves. `running` is called when everything has been started.
///
/// # Errors
/// What could not be started, or why the store stopped.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()>,
    running: impl FnOnce(&Running),
) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(config.listen).with_context(|| format!("listening on {}", config.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let store = Store::open_with(&config.data, config.store.clone())?;
    search::forget_exports(&config.data).context("deleting what is left of exports")?;
    let mut broker = Broker::find(&config.redis, &config.data).await?;

    let searcher = Searcher::new(store.clone()).with_slow(config.slow_query);
    let losses = ingest::Losses::new(store.clone());
    let metrics = Arc::new(Metrics::new(&config.queue, broker.url()));
    let page = format!("http://{address}");
    let lease = lease(&config, broker.url(), &page)?;
    let (stop_ingest, stop_http) = (CancellationToken::new(), CancellationToken::new());
    let (arrival, arrives) = watch::channel(Arrival::Away);
    let server = {
        let (queue, redis, store) = (config.queue.clone(), broker.url().to_owned(), store.clone());
        let (searcher, losses, metrics) = (searcher.clone(), losses.clone(), metrics.clone());
        move || {
            let (store, searcher) = (store.clone(), searcher.clone());
            ingest::server(&queue, &redis, store, searcher, losses.clone(), metrics.clone())
        }
    };
    let mut ingest = tokio::spawn(ingest::serve(lease, arrival, server, stop_ingest.clone()));
    let losses = tokio::spawn(losses.watch(stop_ingest.clone()));
    let mut alerts = Alerts::start(&config, searcher.clone(), page.clone(), stop_http.clone())?;
    let mut http = tokio::spawn(http::serve(
        listener,
        http::AppState {
            searcher,
            saved: alerts.saved(),
            store: store.clone(),
            access: Arc::new(if config.insecure_no_auth {
                http::Access::open()
            } else {
                http::Access::by(Tokens::of(&config.data), !config.listen.ip().is_loopback())
            }),
            data: config.data.clone().into(),
            metrics,
            arrives,
            hosts: Arc::new(http::AllowedHosts::new(address, &config.allow_host)),
            stop: stop_http.clone(),
        },
    ));
    running(&Running {
        page,
        redis: broker.url().to_owned(),
        redis_origin: broker.origin(),
    });

    let outcome = tokio::select! {
        () = stop => Ok(()),
        why = store.failed() => Err(anyhow::anyhow!("the store has stopped: {why}")),
        ended = &mut ingest => Err(early("the RPC side", ended)),
        why = alerts.ended() => Err(why),
        ended = &mut http => Err(early("the HTTP side", ended)),
        () = broker.supervise() => unreachable!("supervision has no end"),
        never = memory::give_back() => match never {},
    };

    stop_http.cancel();
    if !http.is_finished() {
        // What it ends with after being told to stop changes nothing any more.
        let _ = http.await;
    }
    alerts.stop().await;
    stop_ingest.cancel();
    if !ingest.is_finished() {
        // Likewise; it has answered the batches in hand.
        let _ = ingest.await;
    }
    // It ends at the same signal and has nothing to report.
    let _ = losses.await;
    broker.stop().await;
    tokio::task::spawn_blocking(move || store.close()).await?;
    outcome
}

/// The right to take records from the queue.
fn lease(config: &Config, redis: &str, page: &str) -> anyhow::Result<Lease> {
    let name = ingest::name(&config.data).context("naming the data directory")?;
    let address = redis.parse();
    address
        .and_then(|address| Lease::new(&config.queue, address, &name, &ingest::shown(page)))
        .context("--redis wants redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]")
}

/// Serves the page for one file of a data directory, read-only, until `stop` resolves. `running` is given its address.
///
/// # Errors
/// When the file cannot be read or the address cannot be used.
pub async fn open(
    options: OpenOptions,
    stop: impl Future<Output = ()>,
    running: impl FnOnce(&str),
) -> anyhow::Result<()> {
    if !options.listen.ip().is_loopback() {
        anyhow::bail!("--listen: nobody is asked for a token, so only a loopback address will do");
    }
    let listener =
        TcpListener::bind(options.listen).with_context(|| format!("listening on {}", options.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let alone = Alone::new()?;
    let store = Store::open_file(&options.file).with_context(|| options.file.display().to_string())?;
    // Searches can be given names while the file is looked at; they go with the directory.
    let (saved, keeper) = Saved::open(&alone.0)?;
    let stop_http = CancellationToken::new();
    let mut http = tokio::spawn(http::serve(
        listener,
        http::AppState {
            searcher: Searcher::new(store.clone()),
            saved: saved.clone(),
            store,
            data: alone.0.as_path().into(),
            metrics: Arc::new(Metrics::new("", "")),
            // Nothing arrives, and nobody waits for it.
            arrives: watch::channel(Arrival::Open).1,
            hosts: Arc::new(http::AllowedHosts::new(address, &[])),
            access: Arc::new(http::Access::open()),
            stop: stop_http.clone(),
        },
    ));
    running(&format!("http://{address}"));
    tokio::select! {
        () = stop => {}
        ended = &mut http => return Err(early("the HTTP side", ended)),
        never = memory::give_back() => match never {},
    }
    stop_http.cancel();
    // What it ends with after being told to stop changes nothing any more.
    let _ = http.await;
    saved.close().await;
    // It has nothing to report: what could not be kept was told to who asked.
    let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
    Ok(())
}

/// A data directory with nothing in it; gone when dropped.
struct Alone(PathBuf);

impl Alone {
    fn new() -> anyhow::Result<Alone> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let name = format!("log-server-{:016x}", u64::from_ne_bytes(random));
        let alone = Alone(std::env::temp_dir().join(name));
        std::fs::create_dir_all(alone.0.join("logs"))?;
        Ok(alone)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // What stays behind in a temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A part ended by itself, which it never should.
fn early<E: Into<anyhow::Error>>(
    part: &str,
    ended: Result<Result<(), E>, tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("{part} ended early"),
        Ok(Err(error)) => error.into().context(format!("{part} ended")),
        Err(error) => anyhow::Error::from(error).context(format!("{part} ended")),
    }
}
