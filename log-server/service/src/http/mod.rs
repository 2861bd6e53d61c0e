//! The HTTP side: the search page and the API it uses. Every route is on one line of [`router`].
//!
//! Answers only hosts it was told of and only pages of its own origin ([`guard`]); every error becomes a status code
//! in [`error`] and nowhere else. Knows nothing of SQL or Redis.

mod connections;
mod guard;
mod access;
mod search;
mod saved;
mod tail;
mod page;
mod health;
mod error;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::ingest::Arrival;
use crate::metrics::Metrics;
use crate::saved::Saved;
use crate::search::Searcher;
use crate::store::Store;

pub(crate) use access::Access;
pub(crate) use guard::AllowedHosts;

/// Bytes of a request's body: a saved search is short.
const BODY_BYTES: usize = 64 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct AppState {
    /// Answers searches.
    pub(crate) searcher: Searcher,
    /// Keeps searches and alerts.
    pub(crate) saved: Saved,
    /// Follows what is appended.
    pub(crate) store: Store,
    /// Where it is kept.
    pub(crate) data: Arc<Path>,
    /// Counts what happens.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether records can arrive.
    pub(crate) arrives: watch::Receiver<Arrival>,
    /// Who may be named in a request's `Host`.
    pub(crate) hosts: Arc<AllowedHosts>,
    /// Who may read.
    pub(crate) access: Arc<Access>,
    /// Ends the answers that never end.
    pub(crate) stop: CancellationToken,
}

/// Serves until `state.stop`, then lets open requests end.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) async fn serve(listener: TcpListener, state: AppState) -> std::io::Result<()> {
    let stop = state.stop.clone();
    connections::serve(listener, router(state), &stop).await
}

/// Every route.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{*path}", get(page::asset))
        .route("/api/search", get(search::search))
        .route("/api/histogram", get(search::histogram))
        .route("/api/fields", get(search::fields))
        .route("/api/values", get(search::values))
        .route("/api/context/{id}", get(search::context))
        .route("/api/trace/{id}", get(search::trace))
        .route("/api/issues", get(search::issues))
        .route("/api/stats", get(search::stats))
        .route("/api/export", get(search::export))
        .route("/api/language", get(search::language))
        .route("/api/tail", get(tail::tail))
        .route("/api/saved", get(saved::all).post(saved::make))
        .route("/api/saved/preview", post(saved::preview))
        .route("/api/saved/{id}", put(saved::change).delete(saved::forget))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .route_layer(axum::middleware::from_fn_with_state(
            state.clone(),
            health::measure,
        ))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        // Event streams are left uncompressed by the default predicate: compressed, they would come in lumps.
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::guard))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(state)
}
