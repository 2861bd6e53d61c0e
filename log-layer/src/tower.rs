//! A span for each HTTP request, in the trace of whoever sent it: for axum, tonic and everything else built on tower.
//!
//! ```
//! use log_layer::tower::RequestSpans;
//! use tower::ServiceBuilder;
//!
//! // `Router::new().route(…).layer(RequestSpans::new())` with axum, `Server::builder().layer(…)` with tonic.
//! let service = ServiceBuilder::new()
//!     .layer(RequestSpans::new())
//!     .service_fn(async |_: http::Request<String>| Ok::<_, std::io::Error>(http::Response::new("hello")));
//! # let _ = service;
//! ```

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::field::Empty;
use tracing::{Span, info_span};

const TRACEPARENT: &str = "traceparent";

/// Opens a span `request` with `method`, `path` and, once it is known, `status` around every request.
///
/// A valid W3C header `traceparent` of the request makes it a part of that trace, and the response carries the header of
/// the span, so whoever asked can look it up. The query is not in the span, for it may hold secrets.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RequestSpans;

impl RequestSpans {
    /// The layer.
    pub fn new() -> RequestSpans {
        RequestSpans
    }
}

impl<S> Layer<S> for RequestSpans {
    type Service = InRequestSpan<S>;

    fn layer(&self, inner: S) -> InRequestSpan<S> {
        InRequestSpan { inner }
    }
}

/// The service that [`RequestSpans`] makes.
#[derive(Debug, Clone)]
pub struct InRequestSpan<S> {
    inner: S,
}

impl<S, Body, Answer> Service<Request<Body>> for InRequestSpan<S>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answering<S::Future> {
        let header = request.headers().get(TRACEPARENT);
        let span = info_span!(
            "request",
            method = request.method().as_str(),
            path = request.uri().path(),
            traceparent = header.and_then(|header| header.to_str().ok()),
            status = Empty,
        );
        let future = span.in_scope(|| self.inner.call(request));
        Answering { future, span }
    }
}

pin_project! {
    /// The response on its way.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        future: F,
        span: Span,
    }
}

impl<F, Answer, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Answer>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let mut response = ready!(this.future.poll(context))?;
        this.span.record("status", response.status().as_u16());
        let header = crate::traceparent().and_then(|header| HeaderValue::try_from(header).ok());
        if let Some(header) = header {
            response.headers_mut().insert(TRACEPARENT, header);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt as _;
    use http::StatusCode;

    use super::*;
    use crate::testing::{Captured, capture};

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// What is logged while a service answers, and after it has, and the header of the answer.
    fn served(header: Option<&str>) -> (Vec<Captured>, Option<String>) {
        let mut answered = None;
        let logged = capture(|| {
            let mut service = RequestSpans::new().layer(tower::service_fn(async |_: Request<()>| {
                tracing::info!("inside");
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::IM_A_TEAPOT;
                Ok::<_, Infallible>(response)
            }));
            let mut request = Request::get("/live/7?token=hunter2").body(()).unwrap();
            if let Some(header) = header {
                request.headers_mut().insert(TRACEPARENT, header.parse().unwrap());
            }
            let response = service.call(request).now_or_never().unwrap().unwrap();
            answered = response
                .headers()
                .get(TRACEPARENT)
                .map(|header| header.to_str().unwrap().to_owned());
        });
        (logged, answered)
    }

    #[test]
    fn a_request_goes_on_in_the_trace_of_the_caller_and_the_answer_names_it() {
        let (logged, answered) = served(Some(CALLER));
        let record = &logged[0];
        assert_eq!(
            record.trace_id.as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        let span_id = record.span_id.as_ref().unwrap();
        assert_eq!(
            answered.unwrap(),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span_id}-01")
        );
        assert_eq!(record.spans[0].name, "request");
        assert_eq!(record.spans[0].fields["method"], "GET");
        assert_eq!(record.spans[0].fields["path"], "/live/7");
        assert!(!format!("{logged:?}").contains("hunter2"));
    }

    #[test]
    fn a_request_without_a_trace_or_with_none_that_is_valid_begins_one() {
        for header in [None, Some("not a trace")] {
            let (logged, answered) = served(header);
            let trace = logged[0].trace_id.as_ref().unwrap();
            assert!(answered.unwrap().contains(trace.as_str()));
        }
    }
}
