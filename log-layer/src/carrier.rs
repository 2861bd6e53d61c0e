//! Carries one batch to the server: sends it, waits for the answer, and decides when to send it again.
//!
//! Promises: a batch is sent again only if nothing of it can be waiting in the queue, so a queue that nobody reads holds
//! one copy of it; a batch is done only when the server says so. Knows nothing of records.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rpc::{Client, Fault, RawArgs, code};
use serde::Deserialize;
use tokio::time::sleep;
use tracing_core::Level;

use crate::batch::Batch;
use crate::buffer::Buffer;

/// The first pause before a resend; it doubles with every failure …
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// … up to this, so that records arrive soon after Redis is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the server may ask for in one answer; it can ask again, but not silence a service by mistake.
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);

/// What the server made of a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is stored, except for these records; and what the server asks for.
    Stored { rejected: BTreeSet<usize>, asked: Asked },
    /// It must be split.
    TooLarge,
    /// It will never be accepted.
    Rejected,
}

/// What the server asks of this layer, until its next answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The mildest level to send; none if any will do.
    pub(crate) level: Option<Level>,
    /// How long to send nothing.
    pub(crate) pause: Duration,
}

pub(crate) struct Carrier {
    client: Client,
    buffer: Arc<Buffer>,
    ack_timeout: Duration,
    /// The run of Redis that was seen last; a request sent to an earlier run may be gone.
    redis_run: RefCell<Option<String>>,
}

/// Why an attempt did not lead to a verdict.
enum Failure {
    /// Nothing of it is in the queue any more, and no answer came.
    Unanswered,
    /// The call failed.
    Call(rpc::Error),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    rejected: Vec<Rejected>,
    min_level: Option<String>,
    #[serde(default)]
    throttle_ms: u64,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
}

/// What a fault's data says when a batch is too large.
#[derive(Deserialize)]
struct TooLarge {
    limit_bytes: Option<u64>,
    limit_records: Option<u64>,
}

impl Carrier {
    pub(crate) fn new(client: Client, buffer: Arc<Buffer>, ack_timeout: Duration) -> Carrier {
        Carrier {
            client,
            buffer,
            ack_timeout,
            redis_run: RefCell::new(None),
        }
    }

    /// Tries until the server has decided.
    pub(crate) async fn carry(&self, batch: &Batch) -> Verdict {
        let mut failures = 0;
        let mut sendings = 0;
        loop {
            let error = match self.attempt(batch, &mut sendings).await {
                Ok(answer) => {
                    let rejected = answer.rejected.iter().map(|rejected| rejected.index);
                    return Verdict::Stored {
                        rejected: rejected.collect(),
                        asked: self.asked(&answer),
                    };
                }
                Err(Failure::Unanswered) => continue,
                Err(Failure::Call(error)) => error,
            };
            let verdict = verdict(&error);
            self.buffer.note_error(describe(&error));
            if let Some(verdict) = verdict {
                return verdict;
            }
            // Redis may be another one when it is back.
            self.redis_run.take();
            failures = self.pause(failures).await;
        }
    }

    fn asked(&self, answer: &Answer) -> Asked {
        let level = answer.min_level.as_ref().and_then(|name| {
            let level = name.parse();
            if level.is_err() {
                self.buffer
                    .note_error(format!("the server asks for a level that is none: {name:?}"));
            }
            level.ok()
        });
        Asked {
            level,
            pause: Duration::from_millis(answer.throttle_ms).min(LONGEST_THROTTLE),
        }
    }

    async fn attempt(&self, batch: &Batch, sendings: &mut u32) -> Result<Answer, Failure> {
        // Known before sending: a restart in between must show as one.
        let sent_to = self.redis_run().await.map_err(Failure::Call)?;
        if *sendings > 0 {
            self.buffer.count_resend();
        }
        *sendings += 1;
        let arguments = RawArgs {
            args: batch.text.clone(),
            kwargs: "{}".to_owned(),
        };
        let call = self.client.request("append").params(arguments).no_deadline();
        let mut answer = pin!(call.send::<Answer>());
        loop {
            let patient = tokio::select! {
                outcome = &mut answer => return outcome.map_err(Failure::Call),
                () = sleep(self.ack_timeout) => true,
                () = self.buffer.hurry.notified() => false,
            };
            if self.is_lost(&sent_to, patient).await {
                return Err(Failure::Unanswered);
            }
            // It waits in the queue, or Redis cannot say; a second copy would only make the queue longer.
        }
    }

    async fn redis_run(&self) -> Result<String, rpc::Error> {
        if let Some(run) = self.redis_run.borrow().clone() {
            return Ok(run);
        }
        let run = self.client.queue_state().await?.redis_run_id;
        self.redis_run.replace(Some(run.clone()));
        Ok(run)
    }

    /// Whether a request that was sent to that run of Redis is gone. Where the server had its time to answer, an empty
    /// queue says so as well.
    async fn is_lost(&self, sent_to: &str, server_had_time: bool) -> bool {
        let Ok(state) = self.client.queue_state().await else {
            return false;
        };
        let lost = state.redis_run_id != sent_to || (server_had_time && state.len == 0);
        if server_had_time {
            // Redis refuses the request for now, or nobody takes it, or it is gone: somebody should know.
            let told = format!("no answer yet; {} requests wait in the queue", state.len);
            self.buffer.note_error(told);
        }
        self.redis_run.replace(Some(state.redis_run_id));
        lost
    }

    /// Waits longer after every failure, but not once somebody flushes. Returns the number of failures in a row.
    async fn pause(&self, failures: u32) -> u32 {
        // Whoever flushes wants to know soon whether Redis is back.
        let failures = if self.buffer.is_flushing() { 0 } else { failures };
        let longest = SHORTEST_PAUSE
            .saturating_mul(2_u32.saturating_pow(failures))
            .min(LONGEST_PAUSE);
        // Many processes lose the same Redis at the same moment and must not come back at the same moment.
        let pause = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        tokio::select! {
            () = sleep(pause) => failures + 1,
            () = self.buffer.hurry.notified() => 0,
        }
    }
}

/// The final ones among the failures.
fn verdict(error: &rpc::Error) -> Option<Verdict> {
    match error {
        rpc::Error::TooLarge { .. } => Some(Verdict::TooLarge),
        rpc::Error::Remote(fault) if says_too_large(fault) => Some(Verdict::TooLarge),
        rpc::Error::Remote(fault) => match fault.code {
            // Refused three times by a dying server, it is not given to a fourth.
            code::INVALID_PARAMS | code::BAD_REQUEST | code::DEAD_LETTERED => Some(Verdict::Rejected),
            _ => None,
        },
        _ => None,
    }
}

fn says_too_large(fault: &Fault) -> bool {
    let data = fault.data.as_ref().map(|data| serde_json::from_str(data.get()));
    matches!(data, Some(Ok(TooLarge { limit_bytes, limit_records })) if limit_bytes.or(limit_records).is_some())
}

/// An error with its causes on one line.
pub(crate) fn describe(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
