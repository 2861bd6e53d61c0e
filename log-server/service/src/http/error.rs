//! The one place where errors become status codes: JSON `{"error", "at"?, "hint"?}`.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::saved::SavedError;
use crate::search::SearchError;
use crate::store::StoreError;

/// Why a request was not answered.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The request makes no sense.
    BadRequest(String),
    /// It names a host that is not ours.
    ForeignHost,
    /// Another site's page made it.
    ForeignPage,
    /// It brings no token, or a wrong one.
    Unknown,
    /// There is no such thing.
    NotFound,
    /// The search could not be done.
    Search(SearchError),
    /// A saved search cannot be kept or found.
    Saved(SavedError),
}

impl From<SavedError> for ApiError {
    fn from(error: SavedError) -> ApiError {
        ApiError::Saved(error)
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> ApiError {
        ApiError::Search(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            ApiError::BadRequest(why) => (StatusCode::BAD_REQUEST, json!({ "error": why })),
            ApiError::ForeignHost => (
                StatusCode::MISDIRECTED_REQUEST,
                json!({ "error": "this server does not answer to that host name",
                        "hint": "start it with --allow-host NAME to let it" }),
            ),
            ApiError::ForeignPage => (
                StatusCode::FORBIDDEN,
                json!({ "error": "another site's page may not ask this server" }),
            ),
            ApiError::Unknown => {
                let body = json!({ "error": "this server wants a token",
                        "hint": "send it as `Authorization: Bearer`, or as the password in a browser" });
                let ask = [(
                    header::WWW_AUTHENTICATE,
                    "Basic realm=\"log-server\", charset=\"UTF-8\"",
                )];
                return (StatusCode::UNAUTHORIZED, ask, Json(body)).into_response();
            }
            ApiError::NotFound => (
                StatusCode::NOT_FOUND,
                json!({ "error": "there is nothing at this address" }),
            ),
            ApiError::Search(error) => search(&error),
            ApiError::Saved(error) => (saved(&error), json!({ "error": error.to_string() })),
        };
        (status, Json(body)).into_response()
    }
}

fn saved(error: &SavedError) -> StatusCode {
    match error {
        SavedError::Unknown(_) => StatusCode::NOT_FOUND,
        SavedError::Refused(_) => StatusCode::BAD_REQUEST,
        SavedError::File { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        SavedError::Closed => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn search(error: &SearchError) -> (StatusCode, serde_json::Value) {
    let plain = json!({ "error": error.to_string() });
    match error {
        SearchError::BadParameter { .. } => (StatusCode::BAD_REQUEST, plain),
        SearchError::BadQuery(shown) => (
            StatusCode::BAD_REQUEST,
            serde_json::to_value(shown).expect("an error serialises without I/O"),
        ),
        SearchError::NoRecord(_) => (StatusCode::NOT_FOUND, plain),
        SearchError::Incomplete(_) => (StatusCode::SERVICE_UNAVAILABLE, plain),
        SearchError::Busy => (StatusCode::TOO_MANY_REQUESTS, plain),
        SearchError::Store(error) => match error {
            StoreError::Closed => (StatusCode::SERVICE_UNAVAILABLE, plain),
            StoreError::Failed(_)
            | StoreError::Damaged { .. }
            | StoreError::Full
            | StoreError::InUse(_)
            | StoreError::Reused { .. }
            | StoreError::Unusable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, plain),
        },
    }
}

pub(super) async fn not_found() -> ApiError {
    ApiError::NotFound
}

pub(super) async fn method_not_allowed() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        Json(json!({ "error": "this address is not asked in that way" })),
    )
        .into_response()
}

/// The hook has printed what happened; the client learns only that something did.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(json!({ "error": "the server failed; its log says why" })),
    )
        .into_response()
}

/// Query parameters; what is wrong with them is told as JSON too.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(params)| Query(params))
            .map_err(|error| ApiError::BadRequest(error.body_text()))
    }
}

/// How long a request's body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// A body of JSON; what is wrong with it is told as JSON too.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = tokio::time::timeout(BODY_LIMIT, Json::from_request(request, state)).await;
        let body = body.map_err(|_| ApiError::BadRequest("the body took too long to come".into()))?;
        body.map(|Json(body)| Body(body))
            .map_err(|error| ApiError::BadRequest(error.body_text()))
    }
}
