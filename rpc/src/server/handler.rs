//! What can answer a method: a function from what it [needs](super::extract) of a request to a result.

use std::future::{Future, ready};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::extract::{Extract, Needs};
use super::layer::Wrap;
use super::request::Request;
use super::stats::MethodStats;
use crate::params::{self, Parameters};
use crate::{Fault, code};

/// A result as JSON, or why there is none.
pub type Answer = Result<Box<RawValue>, Fault>;

/// Whatever can answer a method: every function of up to five parameters that are
///
/// - the call's arguments, as [`Params<T>`](crate::Params) or simply as `T`, at most once,
/// - [`State<S>`](crate::State) of the server,
/// - the call's [`Context`](crate::Context),
///
/// and whose future gives anything that can be written as JSON, or a `Result` of it with an error that is, or becomes,
/// a [`Fault`].
///
/// ```
/// use rpc::{Context, Fault, Params, Server, State};
/// use serde::Deserialize;
///
/// #[derive(Clone)]
/// struct Limit(u64);
///
/// #[derive(Deserialize)]
/// struct Sum {
///     x: u64,
///     #[serde(default)]
///     y: u64,
/// }
///
/// async fn sum(State(Limit(limit)): State<Limit>, context: Context, Params(sum): Params<Sum>) -> Result<u64, Fault> {
///     match sum.x.checked_add(sum.y) {
///         Some(total) if total <= limit => Ok(total),
///         _ => Err(Fault::app(100, format!("{} allows at most {limit}", context.method))),
///     }
/// }
///
/// async fn limit(State(Limit(limit)): State<Limit>) -> u64 {
///     limit
/// }
///
/// # fn main() -> Result<(), rpc::Error> {
/// let server = Server::builder("math").state(Limit(1000)).method("sum", sum).method("limit", limit).build()?;
/// # Ok(())
/// # }
/// ```
///
/// `Shape` only tells functions apart; it is never named.
pub trait Handler<Shape>: Send + Sync + 'static {
    /// Takes the parameters from the request and starts the function.
    fn start(&self, request: Request) -> BoxFuture<'static, Answer>;

    /// What the function needs to be started.
    fn needs(&self) -> Needs;
}

/// What a handler's future can give. `Via` tells the kinds apart and is never named.
pub trait IntoAnswer<Via> {
    /// The result as JSON, or why there is none.
    ///
    /// # Errors
    ///
    /// The handler's own, or a fault with code 9 if the result cannot be written as JSON.
    fn into_answer(self) -> Answer;
}

/// How a result that cannot fail is given.
#[derive(Debug)]
pub enum Always {}

/// How a result that may have failed is given.
#[derive(Debug)]
pub enum Perhaps {}

impl<R: Serialize> IntoAnswer<Always> for R {
    fn into_answer(self) -> Answer {
        to_raw_value(&self)
            .map_err(|error| Fault::app(code::BAD_RESULT, format!("the result is not JSON: {error}")))
    }
}

impl<R: Serialize, E: Into<Fault>> IntoAnswer<Perhaps> for Result<R, E> {
    fn into_answer(self) -> Answer {
        self.map_err(Into::into)?.into_answer()
    }
}

macro_rules! functions {
    ($(($($parameter:ident $via:ident),*))+) => {$(
        impl<F, Running, ViaResult, $($parameter, $via),*>
            Handler<(($($parameter,)*), ($($via,)*), ViaResult)> for F
        where
            ViaResult: 'static,
            F: Fn($($parameter),*) -> Running + Send + Sync + 'static,
            Running: Future<Output: IntoAnswer<ViaResult>> + Send + 'static,
            $($parameter: Extract<$via>,)*
        {
            #[allow(non_snake_case, reason = "a parameter is called as its type")]
            fn start(&self, request: Request) -> BoxFuture<'static, Answer> {
                $(let $parameter = match $parameter::extract(&request) {
                    Ok(parameter) => parameter,
                    Err(fault) => return ready(Err(fault)).boxed(),
                };)*
                drop(request);
                self($($parameter),*).map(IntoAnswer::into_answer).boxed()
            }

            fn needs(&self) -> Needs {
                Needs::default()$(.and::<$parameter, $via>())*
            }
        }
    )+};
}

functions! {
    () (A VA) (A VA, B VB) (A VA, B VB, C VC) (A VA, B VB, C VC, D VD) (A VA, B VB, C VC, D VD, E VE)
}

/// Starts a method's handler.
pub(super) type Start = Arc<dyn Fn(Request) -> BoxFuture<'static, Answer> + Send + Sync>;

/// One method of a server.
pub(super) struct Method {
    pub(super) name: Arc<str>,
    pub(super) parameters: Parameters,
    pub(super) needs: Needs,
    pub(super) stats: Arc<MethodStats>,
    start: Start,
}

impl Method {
    pub(super) fn new(name: &str, needs: Needs, start: Start) -> Self {
        Self {
            name: name.into(),
            parameters: needs.parameters.unwrap_or(Parameters::Positional(0)),
            needs,
            stats: Arc::default(),
            start,
        }
    }

    /// The method with layers around its handler, the last one outermost.
    pub(super) fn wrapped(mut self, layers: &[Wrap]) -> Self {
        self.start = layers.iter().fold(self.start, |start, wrap| wrap(start));
        self
    }

    pub(super) fn start(&self, request: Request) -> BoxFuture<'static, Answer> {
        // A function that looks at no arguments is one that takes none.
        if self.needs.parameters.is_none()
            && let Err(fault) = params::bind::<()>(&self.name, request.args(), request.kwargs())
        {
            return ready(Err(fault)).boxed();
        }
        (self.start)(request)
    }
}
