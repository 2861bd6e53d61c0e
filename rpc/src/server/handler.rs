//! What can answer a method: a function from its parameters, with or without the call's [`Context`], to a result.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use crate::{Fault, code, params};

/// What is known of a call besides its arguments.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// The request's id. A request that is delivered again has the same one.
    pub id: String,
    /// The method called.
    pub method: String,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Instant>,
    /// The caller's trace context, a W3C `traceparent` header.
    pub traceparent: Option<String>,
}

/// Whatever can answer a method: every `Fn(P) -> impl Future<Output = Result<R, Fault>>` and every
/// `Fn(P, Context) -> …`. The arguments are bound to `P` as Python would: a struct has named parameters, a tuple
/// positional ones, `()` none, and [`RawParams`](crate::RawParams) takes whatever came.
///
/// `Shape` only tells the two forms apart; it is never named.
pub trait Handler<Shape>: Send + Sync + 'static {
    /// Binds the arguments and starts the function.
    fn start(&self, args: &RawValue, kwargs: &RawValue, context: Context) -> BoxFuture<'static, Answer>;
}

/// A result as JSON, or why there is none.
pub(super) type Answer = Result<Box<RawValue>, Fault>;

pub(super) type Boxed =
    Box<dyn Fn(&RawValue, &RawValue, Context) -> BoxFuture<'static, Answer> + Send + Sync>;

pub(super) type Methods = HashMap<String, Boxed>;

pub(super) fn boxed<Shape>(handler: impl Handler<Shape>) -> Boxed {
    Box::new(move |args, kwargs, context| handler.start(args, kwargs, context))
}

impl<F, P, R, Running> Handler<(P,)> for F
where
    F: Fn(P) -> Running + Send + Sync + 'static,
    P: DeserializeOwned,
    Running: Future<Output = Result<R, Fault>> + Send + 'static,
    R: Serialize + 'static,
{
    fn start(&self, args: &RawValue, kwargs: &RawValue, context: Context) -> BoxFuture<'static, Answer> {
        match params::bind(&context.method, args, kwargs) {
            Ok(params) => self(params).map(answer).boxed(),
            Err(fault) => ready(Err(fault)).boxed(),
        }
    }
}

impl<F, P, R, Running> Handler<(P, Context)> for F
where
    F: Fn(P, Context) -> Running + Send + Sync + 'static,
    P: DeserializeOwned,
    Running: Future<Output = Result<R, Fault>> + Send + 'static,
    R: Serialize + 'static,
{
    fn start(&self, args: &RawValue, kwargs: &RawValue, context: Context) -> BoxFuture<'static, Answer> {
        match params::bind(&context.method, args, kwargs) {
            Ok(params) => self(params, context).map(answer).boxed(),
            Err(fault) => ready(Err(fault)).boxed(),
        }
    }
}

fn answer<R: Serialize>(result: Result<R, Fault>) -> Answer {
    to_raw_value(&result?)
        .map_err(|error| Fault::app(code::BAD_RESULT, format!("the result is not JSON: {error}")))
}
