//! Saved searches and alerts: `GET` and `POST /api/saved`, `PUT` and `DELETE /api/saved/{id}`, and
//! `POST /api/saved/preview`, which tells when an alert would have fired.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::error::{ApiError, Body};
use crate::saved::{Entry, SavedSearch};
use crate::search::{Rule, countable};

/// A rule and the time in which to look at it.
#[derive(Deserialize)]
pub(super) struct Preview {
    #[serde(default)]
    q: String,
    threshold: u64,
    #[serde(default = "yes")]
    above: bool,
    window_s: u64,
    #[serde(default = "yesterday")]
    from: String,
    #[serde(default = "now")]
    to: String,
}

fn yes() -> bool {
    true
}

fn yesterday() -> String {
    "-24h".into()
}

fn now() -> String {
    "now".into()
}

pub(super) async fn all(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "saved": *state.saved.all() }))
}

pub(super) async fn make(
    State(state): State<AppState>,
    Body(search): Body<SavedSearch>,
) -> Result<Json<Entry>, ApiError> {
    judged(&search)?;
    Ok(Json(state.saved.keep(None, search).await?))
}

pub(super) async fn change(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(search): Body<SavedSearch>,
) -> Result<Json<Entry>, ApiError> {
    judged(&search)?;
    Ok(Json(state.saved.keep(Some(id), search).await?))
}

/// Refuses an alert that could never be judged.
fn judged(search: &SavedSearch) -> Result<(), ApiError> {
    if search.alert.is_some() {
        countable(&search.q)?;
    }
    Ok(())
}

pub(super) async fn forget(State(state): State<AppState>, Path(id): Path<String>) -> Result<(), ApiError> {
    Ok(state.saved.forget(id).await?)
}

pub(super) async fn preview(
    State(state): State<AppState>,
    Body(asked): Body<Preview>,
) -> Result<Json<Value>, ApiError> {
    let rule = Rule {
        threshold: asked.threshold,
        above: asked.above,
        // Anything shorter is a moment, and would be counted in steps of nothing.
        window: Duration::from_secs(asked.window_s.max(1)),
    };
    let fired = state
        .searcher
        .would_have_fired(&asked.q, rule, &asked.from, &asked.to)
        .await?;
    let fired = fired
        .iter()
        .map(|fired| json!({ "time": fired.time.to_string(), "count": fired.count }));
    Ok(Json(json!({ "fired": fired.collect::<Vec<_>>() })))
}
