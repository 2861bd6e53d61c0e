//! `GET /livez`: the process answers. `GET /readyz`: records can arrive and be stored; otherwise 503 and why.
//! `GET /metrics`: what has happened since the start, for Prometheus.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;

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
    if !*state.ingest_ready.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not connected to Redis\n").into_response();
    }
    "ok\n".into_response()
}

pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    let ready = *state.ingest_ready.borrow();
    let text = state.metrics.text(&state.data, ready).await;
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
