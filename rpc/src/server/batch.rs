//! Methods that take many requests at once: what arrives while one batch is worked on is the next one, so under load
//! the batches grow by themselves, and without load nobody waits.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::extract::{Extract, Needs};
use super::handler::{Answer, IntoAnswer, Start};
use super::request::{Context, Request};
use crate::Fault;

/// How much of what waits is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// So many requests at most. It makes no sense to allow more than the server's
    /// [concurrency](crate::ServerBuilder::concurrency).
    pub requests: usize,
    /// So many bytes of requests at most; a single request may have more.
    pub bytes: usize,
}

impl Default for Batching {
    /// 32 requests and 4 MiB.
    fn default() -> Self {
        Self {
            requests: 32,
            bytes: 4 * 1024 * 1024,
        }
    }
}

/// One request that waits to be taken.
struct Waiting<P> {
    params: P,
    context: Context,
    bytes: usize,
    done: oneshot::Sender<Answer>,
}

/// What puts requests into batches, and what has them answered; both together are a method.
pub(super) struct BatchMethod {
    pub(super) start: Start,
    pub(super) needs: Needs,
    pub(super) run: BoxFuture<'static, ()>,
}

pub(super) fn batch_method<P, F, Running, R, Via>(batching: Batching, handler: F) -> BatchMethod
where
    P: DeserializeOwned + Send + 'static,
    F: Fn(Vec<(P, Context)>) -> Running + Send + Sync + 'static,
    Running: Future<Output = Vec<R>> + Send + 'static,
    R: IntoAnswer<Via> + Send + 'static,
    Via: 'static,
{
    let (queue, waiting) = mpsc::unbounded_channel();
    let start = move |request: Request| {
        let (done, answer) = oneshot::channel();
        let entered = P::extract(&request).map(|params| {
            let bytes = request.text.len();
            let context = request.context;
            // An error means that the server ends, and so does the wait for the answer.
            let _ = queue.send(Waiting {
                params,
                context,
                bytes,
                done,
            });
        });
        let answer = async move {
            entered?;
            answer
                .await
                .unwrap_or_else(|_| Err(Fault::handler("the handler panicked")))
        };
        answer.boxed()
    };
    BatchMethod {
        start: Arc::new(start),
        needs: Needs::default().and::<P, _>(),
        run: work(batching, handler, waiting).boxed(),
    }
}

async fn work<P, F, Running, R, Via>(
    batching: Batching,
    handler: F,
    mut waiting: mpsc::UnboundedReceiver<Waiting<P>>,
) where
    P: Send,
    F: Fn(Vec<(P, Context)>) -> Running + Send,
    Running: Future<Output = Vec<R>> + Send,
    R: IntoAnswer<Via> + Send,
{
    while let Some(first) = waiting.recv().await {
        let (mut batch, mut callers, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(Waiting {
            params,
            context,
            bytes: more,
            done,
        }) = next
        {
            // A caller that has gone does not need this any more.
            if !done.is_closed() {
                batch.push((params, context));
                callers.push(done);
                bytes += more;
            }
            let full = batch.len() >= batching.requests || bytes >= batching.bytes;
            next = if full { None } else { waiting.try_recv().ok() };
        }
        if batch.is_empty() {
            continue;
        }
        let asked = batch.len();
        let answering = AssertUnwindSafe(async { handler(batch).await });
        // Callers whose answer is dropped are told that the handler panicked.
        let Ok(answers) = answering.catch_unwind().await else {
            continue;
        };
        let given = answers.len();
        let mut answers = answers.into_iter();
        for caller in callers {
            let answer = answers.next().map_or_else(
                || {
                    Err(Fault::handler(format!(
                        "the handler gave {given} answers to {asked} requests"
                    )))
                },
                IntoAnswer::into_answer,
            );
            // An error means that the caller has gone meanwhile.
            let _ = caller.send(answer);
        }
    }
}
