//! The RPC side: `append` takes batches, `search` answers as `GET /api/search` does.
//!
//! Rule: `append` is answered only after [`Store::append`] returned, so whoever has the answer knows that the records
//! are on disk. A batch that cannot be used is answered with what is wrong; it never stops the next one.
//!
//! Reading order: this file, then `turn` (when it serves), `losses` (what was lost becomes records), `notice` (those records) and `gaps` (what
//! never arrived).

mod turn;
mod losses;
mod notice;
mod gaps;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use log_record::{BatchError, Rejected, Timestamp, limits};
use rpc::{Fault, RawParams, Server};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::metrics::Metrics;
use crate::search::{SearchAnswer, SearchError, SearchParams, Searcher};
use crate::store::{Appended, Incoming, Store, StoreError};

pub(crate) use losses::Losses;
use losses::Note;
pub(crate) use turn::{Arrival, name, serve, shown};

/// The answer to `append`.
#[derive(Debug, Serialize)]
struct Stored {
    /// Records stored, now or by the batch that this one repeats.
    stored: usize,
    /// Whether the batch was stored before.
    duplicate: bool,
    /// Records that could not be read.
    rejected: Vec<Rejected>,
}

/// The RPC server of `queue`, not yet running.
///
/// # Errors
/// When the address of Redis makes no sense.
pub(crate) fn server(
    queue: &str,
    redis: &str,
    store: Store,
    searcher: Searcher,
    losses: Losses,
    metrics: Arc<Metrics>,
) -> Result<Server, rpc::Error> {
    Server::builder(queue)
        .redis(redis)
        .method("append", move |params: RawParams| {
            let (store, losses, metrics) = (store.clone(), losses.clone(), metrics.clone());
            async move {
                let started = Instant::now();
                let answer = append(store, losses, params).await;
                metrics.appended(
                    answer
                        .as_ref()
                        .ok()
                        .map(|stored| (stored.stored, stored.rejected.len(), stored.duplicate)),
                    started.elapsed(),
                );
                answer
            }
        })
        .method("search", move |params: SearchParams| {
            search(searcher.clone(), params)
        })
        .build()
}

async fn append(store: Store, losses: Losses, params: RawParams) -> Result<Stored, Fault> {
    let arrived = Timestamp::now();
    let read = match only_argument(&params).map(|text| Incoming::read(text, arrived)) {
        None | Some(Err(BatchError::Malformed(_))) => Incoming::read(&batch(params)?, arrived),
        Some(read) => read,
    };
    let incoming = read.map_err(refused)?;
    let (records, rejected) = (incoming.records, incoming.rejected.clone());
    let note = Note::of(&incoming);
    let appended = store.append(incoming).await.map_err(not_stored)?;
    losses.take_note(&note).await.map_err(not_stored)?;
    Ok(Stored {
        stored: records,
        duplicate: appended == Appended::Duplicate,
        rejected,
    })
}

async fn search(searcher: Searcher, params: SearchParams) -> Result<SearchAnswer, Fault> {
    searcher.search(&params).await.map_err(|error| {
        let text = error.to_string();
        match error {
            SearchError::BadParameter { .. } | SearchError::BadQuery(_) | SearchError::NoRecord(_) => {
                Fault::invalid_params(text)
            }
            SearchError::Busy | SearchError::Incomplete(_) => Fault::overloaded(text),
            SearchError::Store(_) => Fault::handler(text),
        }
    })
}

/// The batch of a call that has one argument and nothing else: its text is cut out, for reading it again only to find
/// where it ends costs as much as reading the batch. What is cut out wrongly is not JSON.
fn only_argument(params: &RawParams) -> Option<&str> {
    let args = params.args.strip_prefix('[')?.strip_suffix(']')?.trim();
    (&*params.kwargs == "{}" && args.starts_with('{')).then_some(args)
}

/// The batch in any of the ways a call can carry it: `append(batch)`, `append(batch=…)`, `append(source=…, records=…)`.
fn batch(params: RawParams) -> Result<Box<str>, Fault> {
    let usage = || {
        Fault::invalid_params("append() takes one batch: {\"source\": {\"service\": …}, \"records\": […]}")
    };
    let args: Vec<&RawValue> = serde_json::from_str(&params.args).map_err(|_| usage())?;
    let kwargs: HashMap<String, &RawValue> = serde_json::from_str(&params.kwargs).map_err(|_| usage())?;
    match (args.as_slice(), kwargs.get("batch"), kwargs.len()) {
        ([batch], None, 0) => Ok(batch.get().into()),
        ([], Some(batch), 1) => Ok(batch.get().into()),
        ([], None, 1..) => Ok(params.kwargs),
        _ => Err(usage()),
    }
}

/// What is wrong with the batch; a limit is named so that the sender can split it.
fn refused(error: BatchError) -> Fault {
    let mut fault = Fault::invalid_params(error.to_string());
    let limit = match error {
        BatchError::Malformed(_) | BatchError::Version { .. } => None,
        BatchError::TooManyRecords { .. } => Some(format!("{{\"limit_records\":{}}}", limits::BATCH_RECORDS)),
        BatchError::TooLarge { .. } => Some(format!("{{\"limit_bytes\":{}}}", limits::BATCH_BYTES)),
    };
    fault.data = limit.map(|json| RawValue::from_string(json).expect("a number in an object is JSON"));
    fault
}

fn not_stored(error: StoreError) -> Fault {
    let text = error.to_string();
    match error {
        StoreError::Reused { .. } => Fault::invalid_params(text),
        StoreError::Full | StoreError::Closed | StoreError::Failed(_) => Fault::unavailable(text),
        StoreError::InUse(_) | StoreError::Unusable { .. } | StoreError::Damaged { .. } => {
            Fault::handler(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, kwargs: &str, expected: Option<&str>) {
        let found = batch(RawParams {
            args: args.into(),
            kwargs: kwargs.into(),
        })
        .ok();
        assert_eq!(found.as_deref(), expected, "{args} {kwargs}");
    }

    #[test]
    fn a_batch_is_found_however_the_caller_passes_it() {
        check(r#"[{"source":1}]"#, "{}", Some(r#"{"source":1}"#));
        check("[]", r#"{"batch":{"source":1}}"#, Some(r#"{"source":1}"#));
        check(
            "[]",
            r#"{"source":1,"records":[]}"#,
            Some(r#"{"source":1,"records":[]}"#),
        );
        check("[]", "{}", None);
        check("[1,2]", "{}", None);
        check("[1]", r#"{"batch":2}"#, None);
        check("[]", r#"{"batch":2,"x":3}"#, None);
    }
}
