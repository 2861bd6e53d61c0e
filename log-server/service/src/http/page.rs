//! `GET /` and `GET /assets/…`: the embedded page. The index names its assets by content hash, so they are cached for
//! ever and the index never.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

pub(super) async fn index(headers: HeaderMap) -> Response {
    let page = web::index();
    let tag = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, page.etag)];
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == page.etag)
    {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    (tag, [(header::CONTENT_TYPE, page.content_type)], page.body).into_response()
}

pub(super) async fn asset(uri: Uri) -> Result<Response, ApiError> {
    let asset = web::asset(uri.path()).ok_or(ApiError::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}
