//! `GET /livez`: the process answers. `GET /readyz`: records can arrive and be stored; otherwise 503 and why.

use axum::extract::State;
use axum::http::StatusCode;
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
