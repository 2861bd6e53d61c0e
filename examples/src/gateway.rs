//! How the HTTP sides treat requests: one span per request that continues the caller's trace, one record when it is
//! done, and faults of the services as status codes.

use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::{Instrument as _, error, info, info_span, warn};

/// Wraps a request in its span. The answer carries the trace, so that who asked can look it up: `trace:ID` on the
/// search page.
pub async fn traced(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    // The layer reads a span field of this name: the request goes on in the caller's trace.
    let traceparent = request
        .headers()
        .get("traceparent")
        .and_then(|header| header.to_str().ok());
    let span = info_span!("request", method, path, traceparent);
    async {
        let started = Instant::now();
        let mut response = next.run(request).await;
        let (status, latency_ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1e3);
        match status {
            500.. => error!(status, latency_ms, "{method} {path} failed"),
            400.. => warn!(status, latency_ms, "{method} {path} refused"),
            _ => info!(status, latency_ms, "{method} {path}"),
        }
        if let Some(value) = log_layer::traceparent().and_then(|trace| HeaderValue::from_str(&trace).ok()) {
            response.headers_mut().insert("traceparent", value);
        }
        response
    }
    .instrument(span)
    .await
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
