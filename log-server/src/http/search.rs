//! What is asked of the store: `GET /api/search`, `/api/histogram`, `/api/fields`, `/api/values`, `/api/context/{id}`,
//! `/api/trace/{id}`, `/api/issues`, `/api/stats` and `/api/export`; and of the language, `/api/language`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::AppState;
use super::error::{ApiError, Query};
use crate::query::TABLE;
use crate::search::{
    ContextParams, ExportFormat, ExportParams, FieldsAnswer, FieldsParams, HistogramAnswer, HistogramParams,
    IssuesAnswer, IssuesParams, SearchAnswer, SearchParams, StatsAnswer, StatsParams, ValuesAnswer,
    ValuesParams,
};

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

pub(super) async fn fields(
    State(state): State<AppState>,
    Query(params): Query<FieldsParams>,
) -> Result<Json<FieldsAnswer>, ApiError> {
    Ok(Json(state.searcher.fields(&params).await?))
}

pub(super) async fn values(
    State(state): State<AppState>,
    Query(params): Query<ValuesParams>,
) -> Result<Json<ValuesAnswer>, ApiError> {
    Ok(Json(state.searcher.values(&params).await?))
}

pub(super) async fn context(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(params): Query<ContextParams>,
) -> Result<Json<SearchAnswer>, ApiError> {
    Ok(Json(state.searcher.context(&id, &params).await?))
}

pub(super) async fn trace(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<SearchAnswer>, ApiError> {
    Ok(Json(state.searcher.trace(&id).await?))
}

pub(super) async fn issues(
    State(state): State<AppState>,
    Query(params): Query<IssuesParams>,
) -> Result<Json<IssuesAnswer>, ApiError> {
    Ok(Json(state.searcher.issues(&params).await?))
}

pub(super) async fn stats(
    State(state): State<AppState>,
    Query(params): Query<StatsParams>,
) -> Result<Json<StatsAnswer>, ApiError> {
    Ok(Json(state.searcher.stats(&params, &state.data).await?))
}

/// The query language by example, for the page's help.
pub(super) async fn language() -> Json<serde_json::Value> {
    let row = |(written, finds): &(&str, &str)| json!({ "written": written, "finds": finds });
    Json(json!({ "table": TABLE.iter().map(row).collect::<Vec<_>>() }))
}

/// An error in the middle breaks the connection off: a file that is not whole must not look whole.
pub(super) async fn export(
    State(state): State<AppState>,
    Query(params): Query<ExportParams>,
) -> Result<Response, ApiError> {
    let export = state.searcher.export(&params)?;
    let (content_type, name) = match export.format() {
        ExportFormat::Ndjson => ("application/x-ndjson", "attachment; filename=\"logs.ndjson\""),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"logs.csv\""),
    };
    let pieces = futures_util::stream::try_unfold(export, async |mut export| {
        let piece = export.next().await?;
        Ok::<_, crate::search::SearchError>(piece.map(|piece| (piece, export)))
    });
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
