//! [`tower_layer::Layer`]s around handlers: timeouts, limits, metrics, whatever speaks of a service.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tower_layer::Layer;
use tower_service::Service;

use super::handler::{Answer, Start};
use super::request::Request;
use crate::Fault;

/// The handler of one method as a [`Service`]; what a layer is put around.
#[derive(Clone)]
pub struct MethodService {
    start: Start,
}

impl Service<Request> for MethodService {
    type Response = Box<RawValue>;
    type Error = Fault;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        (self.start)(request)
    }
}

impl std::fmt::Debug for MethodService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MethodService").finish_non_exhaustive()
    }
}

/// Puts a layer around a handler.
pub(super) type Wrap = Box<dyn Fn(Start) -> Start + Send>;

pub(super) fn wrap<L>(layer: L) -> Wrap
where
    L: Layer<MethodService> + Send + 'static,
    L::Service: Service<Request, Response = Box<RawValue>> + Clone + Send + 'static,
    <L::Service as Service<Request>>::Error: Into<Fault>,
    <L::Service as Service<Request>>::Future: Send,
{
    Box::new(move |start| {
        let service = Mutex::new(layer.layer(MethodService { start }));
        Arc::new(move |request| {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let answer = async move {
                poll_fn(|context| service.poll_ready(context))
                    .await
                    .map_err(Into::into)?;
                service.call(request).await.map_err(Into::into)
            };
            answer.boxed()
        })
    })
}

/// A service that never fails has an error all the same.
impl From<Infallible> for Fault {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
