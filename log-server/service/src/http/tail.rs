//! `GET /api/tail?q`: the records that match, as they arrive, as server-sent events.
//!
//! Event `record` carries a record and its id; a reader that comes back with `Last-Event-ID` goes on after it. A reader
//! that is too slow misses the oldest and is told so by an event `gap`, with how many it misses if that is known. `after`
//! says the same as `Last-Event-ID` for who cannot send a header. Without both it begins now.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::watch;

use super::AppState;
use super::error::{ApiError, Query};
use crate::query::{Filter, Scratch};
use crate::search::{ShownRecord, TailParams};
use crate::store::{RecordId, Store, StoredRecord};

/// Batches looked at per step; a reader further behind misses the older ones.
const BATCHES_AT_ONCE: usize = 64;
/// Matching records sent per step; nobody reads more, and the page paints them all.
const RECORDS_AT_ONCE: usize = 1_000;
/// What arrives within this time of other records is sent together with them: an eye sees no difference.
const PACE: Duration = Duration::from_millis(50);
/// Proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn tail(
    State(state): State<AppState>,
    Query(params): Query<TailParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let mut newest = state.store.newest();
    // Who comes back has got further than where it began.
    let came_back = headers
        .get("last-event-id")
        .map(|id| id.to_str().unwrap_or_default());
    let after = match came_back.or(params.after()) {
        None => *newest.borrow_and_update(),
        Some(id) => {
            let id = id.parse().ok();
            id.ok_or_else(|| ApiError::BadRequest("what to go on after is not a record's id".into()))?
        }
    };
    let filter = params.filter()?;
    let follower = Follower {
        store: state.store,
        filter,
        after,
        scratch: Scratch::default(),
    };
    let state = Some((follower, newest, state.stop));
    let events = futures_util::stream::unfold(state, async |state| {
        let (follower, newest, stop) = state?;
        tokio::select! {
            next = next(follower, newest) => {
                let (follower, newest, events) = next?;
                Some((futures_util::stream::iter(events.into_iter().map(Ok)), Some((follower, newest, stop))))
            }
            () = stop.clone().cancelled_owned() => None,
        }
    });
    Ok(Sse::new(events.flatten()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Waits for something that matches; `None` when the store cannot tell.
async fn next(mut follower: Follower, mut newest: Newest) -> Option<(Follower, Newest, Vec<Event>)> {
    loop {
        newest.mark_unchanged();
        let step = tokio::task::spawn_blocking(move || {
            let events = follower.step();
            (follower, events)
        });
        let (moved, events) = step.await.ok()?;
        follower = moved;
        let events = events?;
        if !events.is_empty() {
            return Some((follower, newest, events));
        }
        newest.changed().await.ok()?;
        tokio::time::sleep(PACE).await;
    }
}

type Newest = watch::Receiver<RecordId>;

/// How far one reader has got.
struct Follower {
    store: Store,
    filter: Filter,
    after: RecordId,
    scratch: Scratch,
}

impl Follower {
    /// What has come since the last step; `None` when the store cannot tell.
    fn step(&mut self) -> Option<Vec<Event>> {
        let (batches, unseen) = self.store.since(self.after, BATCHES_AT_ONCE).ok()?;
        let (mut found, mut left_out) = (VecDeque::new(), 0);
        for batch in batches {
            for (index, record) in batch.records.iter().enumerate() {
                let id = batch.record_id(index);
                if id <= self.after {
                    continue;
                }
                self.after = id;
                if self.filter.matches(record, &batch.source, &mut self.scratch) {
                    found.push_back(StoredRecord {
                        id,
                        source: batch.source.clone(),
                        record: record.clone(),
                    });
                    if found.len() > RECORDS_AT_ONCE {
                        found.pop_front();
                        left_out += 1;
                    }
                }
            }
        }
        let mut events = Vec::with_capacity(found.len() + 1);
        // How many of the records that were not even looked at match is not known, so then no number is given.
        let gap = if unseen {
            Some(json!({}))
        } else {
            (left_out > 0).then(|| json!({ "skipped": left_out }))
        };
        events.extend(gap.map(|gap| Event::default().event("gap").data(gap.to_string())));
        for record in found {
            let event = Event::default().event("record").id(record.id.to_string());
            events.push(
                event
                    .json_data(ShownRecord(record))
                    .expect("a record serialises without I/O"),
            );
        }
        Some(events)
    }
}
