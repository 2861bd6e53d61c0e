//! How the HTTP sides treat requests, inside the span that the layer's tower middleware opens for each: one record when it
//! is done, and faults of the services as status codes.

use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::{error, info, warn};

/// Logs each request when it is answered.
pub async fn logged(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    let (status, latency_ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1e3);
    match status {
        500.. => error!(status, latency_ms, "{method} {path} failed"),
        400.. => warn!(status, latency_ms, "{method} {path} refused"),
        _ => info!(status, latency_ms, "{method} {path}"),
    }
    response
}

/// The secret of an `Authorization: Bearer …` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("authorization")?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// A call that failed, as the client of the gateway sees it.
pub struct CallError(pub rpc::Error);

impl From<rpc::Error> for CallError {
    fn from(error: rpc::Error) -> CallError {
        CallError(error)
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            rpc::Error::Remote(fault) => match fault.code {
                101 => StatusCode::CONFLICT,
                102 => StatusCode::UNAUTHORIZED,
                201 => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_GATEWAY,
            },
            rpc::Error::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        if status.is_server_error() {
            error!(error = &self.0 as &dyn std::error::Error, "the call failed");
        }
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}

/// Tells on stdout where the service listens, for whoever started it.
pub fn announce(address: std::net::SocketAddr) {
    use std::io::Write as _;
    // Nobody may be reading; the service works all the same.
    let _ = writeln!(std::io::stdout(), "listening on http://{address}");
}
