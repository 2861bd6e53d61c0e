//! What surrounds a record: the records just before and after it, and all records of its trace.

use std::time::Instant;

use log_record::Timestamp;

use super::answer::SearchAnswer;
use super::params::ContextParams;
use super::{Asked, SearchError, Searcher};
use crate::query::{Field, Filter, Pattern, Query, Test};
use crate::store::{Budget, Cursor, Direction, Page, RecordId, Search, Store, StoredRecord, TimeRange};

/// Records of one trace in an answer; a longer trace is a loop, not a request.
const TRACE_MOST: usize = 10_000;

/// Whose records count as surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of the same run of the same process.
    Boot,
    /// Those of the same service.
    Service,
    /// Everybody's.
    All,
}

impl Searcher {
    /// The record of that id among its neighbours, newest first. Dropping the future cancels the query.
    ///
    /// # Errors
    /// [`SearchError::NoRecord`], and as for a search.
    pub async fn context(&self, id: &str, params: &ContextParams) -> Result<SearchAnswer, SearchError> {
        let number: RecordId = id.parse().map_err(|_| SearchError::NoRecord(id.to_owned()))?;
        let (before, after, scope) = (params.before()?, params.after()?, params.scope()?);
        let started = Instant::now();
        let (store, id) = (self.store.clone(), id.to_owned());
        self.run(move |budget| {
            let center = store.record(number)?.ok_or(SearchError::NoRecord(id))?;
            let query = Query::from(surroundings(&center, scope));
            let place = Cursor {
                time: center.record.time,
                id: center.id,
            };
            let mut newer = neighbours(&store, &query.filter, place, Direction::Newer, after, budget)?;
            let older = neighbours(&store, &query.filter, place, Direction::Older, before, budget)?;
            newer.records.reverse();
            let records = newer
                .records
                .into_iter()
                .chain([center])
                .chain(older.records)
                .collect();
            let scanned = newer.scanned + older.scanned;
            let page = Page {
                records,
                next: None,
                scanned,
                partial: newer.partial.or(older.partial),
            };
            Ok(SearchAnswer::new(
                page,
                Asked {
                    query,
                    as_text: false,
                    error: None,
                },
                started.elapsed(),
            ))
        })
        .await
    }

    /// The records of a trace, oldest first. Dropping the future cancels the query.
    ///
    /// # Errors
    /// As for a search.
    pub async fn trace(&self, id: &str) -> Result<SearchAnswer, SearchError> {
        let query = Query::from(equal(Field::TraceId, id));
        let started = Instant::now();
        let store = self.store.clone();
        self.run(move |budget| {
            let page = store.search(&Search {
                filter: &query.filter,
                range: TimeRange::ALL,
                after: None,
                direction: Direction::Newer,
                limit: TRACE_MOST,
                budget,
            })?;
            Ok(SearchAnswer::new(
                page,
                Asked {
                    query,
                    as_text: false,
                    error: None,
                },
                started.elapsed(),
            ))
        })
        .await
    }
}

fn neighbours(
    store: &Store,
    filter: &Filter,
    place: Cursor,
    direction: Direction,
    limit: usize,
    budget: &Budget,
) -> Result<Page, SearchError> {
    // The rest of time in that direction: batches on the other side are not even looked at.
    let range = match direction {
        Direction::Older => TimeRange {
            from: Timestamp::MIN,
            to: place.time.after(std::time::Duration::from_nanos(1)),
        },
        Direction::Newer => TimeRange {
            from: place.time,
            to: Timestamp::MAX,
        },
    };
    Ok(store.search(&Search {
        filter,
        range,
        after: Some(place),
        direction,
        limit,
        budget,
    })?)
}

fn surroundings(center: &StoredRecord, scope: Scope) -> Filter {
    let service = || equal(Field::Service, &center.source.service);
    match (scope, &center.source.boot) {
        (Scope::Boot, Some(boot)) => equal(Field::Boot, boot),
        // A sender that does not tell its runs apart is all one.
        (Scope::Boot, None) | (Scope::Service, _) => service(),
        (Scope::All, _) => Filter::All,
    }
}

fn equal(field: Field, value: &str) -> Filter {
    Filter::Field {
        field,
        test: Test::Is(Pattern::new(&[value])),
    }
}
