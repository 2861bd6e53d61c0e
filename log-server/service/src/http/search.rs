//! What is asked of the store: `GET /api/search`, `/api/histogram`, `/api/fields`, `/api/values`, `/api/context/{id}`,
//! `/api/trace/{id}`, `/api/issues`, `/api/stats` and `/api/export`; and of the language, `/api/language`.

use std::io::{self, Read as _};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use super::AppState;
use super::error::{ApiError, Query};
use crate::query::TABLE;
use crate::search::{
    ContextParams, ExportFormat, ExportParams, ExportedFile, FieldsAnswer, FieldsParams, HistogramAnswer,
    HistogramParams, IssuesAnswer, IssuesParams, SearchAnswer, SearchError, SearchParams, StatsAnswer,
    StatsParams, ValuesAnswer, ValuesParams,
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
    Ok(Json(state.searcher.stats(&params).await?))
}

/// The query language by example, for the page's help.
pub(super) async fn language() -> Json<serde_json::Value> {
    let row = |(written, finds): &(&str, &str)| json!({ "written": written, "finds": finds });
    Json(json!({ "table": TABLE.iter().map(row).collect::<Vec<_>>() }))
}

/// Tells why something may be missing in what follows.
const PARTIAL: HeaderName = HeaderName::from_static("log-server-partial");

/// An error in the middle breaks the connection off: a file that is not whole must not look whole.
pub(super) async fn export(
    State(state): State<AppState>,
    Query(params): Query<ExportParams>,
) -> Result<Response, ApiError> {
    if params.is_sqlite() {
        return file(&state, &params).await;
    }
    let mut export = state.searcher.export(&params)?;
    let (content_type, name) = match export.format() {
        ExportFormat::Ndjson => ("application/x-ndjson", "attachment; filename=\"logs.ndjson\""),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"logs.csv\""),
    };
    // What cannot be answered at all is told by the status.
    let first = [export.next().await?, export.next().await?];
    let partial = export.partial();
    let rest = stream::try_unfold(export, async |mut export| {
        let piece = export.next().await?;
        Ok::<_, SearchError>(piece.map(|piece| (piece, export)))
    });
    let pieces = stream::iter(first.into_iter().flatten().map(Ok)).chain(rest);
    Ok(download(content_type, name, partial, Body::from_stream(pieces)))
}

/// Bytes of a file that are read at once.
const PIECE: usize = 256 * 1024;

async fn file(state: &AppState, params: &ExportParams) -> Result<Response, ApiError> {
    let ExportedFile { file, bytes, partial } = state.searcher.export_file(params, &state.data).await?;
    let pieces = stream::try_unfold(file, async |file| {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((read > 0).then_some((piece, file)))
        });
        read.await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
    });
    let mut response = download(
        "application/vnd.sqlite3",
        "attachment; filename=\"logs.db\"",
        partial,
        Body::from_stream(pieces),
    );
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, bytes.into());
    Ok(response)
}

fn download(
    content_type: &'static str,
    name: &'static str,
    partial: Option<&'static str>,
    body: Body,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, name),
    ];
    let mut response = (headers, body).into_response();
    if let Some(why) = partial {
        response
            .headers_mut()
            .insert(PARTIAL, HeaderValue::from_static(why));
    }
    response
}
