//! `GET /api/search` and `GET /api/histogram`.

use axum::Json;
use axum::extract::State;

use super::AppState;
use super::error::{ApiError, Query};
use crate::search::{HistogramAnswer, HistogramParams, SearchAnswer, SearchParams};

pub(super) async fn search(
    State(state): State<AppState>,
    Query(params): Query<SearchParams>,
) -> Result<Json<SearchAnswer>, ApiError> {
    Ok(Json(state.searcher.search(&params).await?))
}

pub(super) async fn histogram(
    State(state): State<AppState>,
    Query(params): Query<HistogramParams>,
) -> Result<Json<HistogramAnswer>, ApiError> {
    Ok(Json(state.searcher.histogram(&params).await?))
}
