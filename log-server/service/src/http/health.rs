//! `GET /livez`: the process answers. `GET /readyz`: records can arrive and be stored; otherwise 503 and why.
//! `GET /metrics`: what has happened since the start, for Prometheus.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;
use crate::ingest::Arrival;

pub(super) async fn livez() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(state): State<AppState>) -> Response {
    if let Some(why) = state.store.failure() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the store has stopped: {why}\n"),
        )
            .into_response();
    }
    let why = match *state.arrives.borrow() {
        Arrival::Open => return "ok\n".into_response(),
        Arrival::Away => "not connected to Redis\n",
        Arrival::StandsBy => "another log-server has the queue; this one stands by\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    let ready = *state.arrives.borrow() == Arrival::Open;
    let store = state.store.clone();
    // It looks at the files.
    let Ok(statistics) = tokio::task::spawn_blocking(move || store.statistics()).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = state.metrics.text(&statistics, ready).await;
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

/// Counts requests by route, for paths are endless, and takes the time until their answer begins.
pub(super) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    if let Some(route) = route {
        state
            .metrics
            .answered(route.as_str(), response.status().as_u16(), started.elapsed());
    }
    response
}
