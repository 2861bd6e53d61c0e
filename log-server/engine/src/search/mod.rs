//! Questions as they come from outside, and answers as they go out: the same over HTTP and over RPC.
//!
//! Parameters are parsed here, once; the store gets a filter, a range and a budget. Bounded: so many queries at once,
//! so long each. Knows nothing of sockets or status codes.

mod params;
mod moment;
mod answer;
mod pipeline;
mod around;
mod fields;
mod fingerprint;
mod issues;
mod novelty;
mod stats;
mod export;
mod file;
mod watch;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod equivalence;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use answer::Account;

use crate::query::{self, Query};
use crate::store::{Budget, Direction, Histogram, Search, Store, StoreError};

pub use answer::record_json;
pub use answer::{HistogramAnswer, SearchAnswer, ShownError, ShownRecord};
pub use export::in_format;
pub use export::{Export, ExportFormat};
pub use fields::{FieldsAnswer, ValuesAnswer};
pub use file::{ExportedFile, forget_exports};
pub use issues::IssuesAnswer;
pub use params::{
    ContextParams, ExportParams, FieldsParams, HistogramParams, IssuesParams, SearchParams, StatsParams,
    TailParams, ValuesParams,
};
pub use pipeline::{Cell, ColumnHead, Kind, ShownTable};
pub use stats::StatsAnswer;
pub use watch::countable;
pub use watch::{Fired, Rule, Watched};

/// Queries that run at once; they are bound by the processor, so more would only make each slower.
const AT_ONCE: usize = 4;
/// How long a query may run before it answers with what it has.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// From when on a query is slow, unless said otherwise.
pub const SLOW: Duration = Duration::from_secs(1);
/// How long a query may wait for its turn.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// Answers questions about one store. Cheap to clone.
#[derive(Clone)]
pub struct Searcher {
    store: Store,
    /// From when on a query is told of as slow.
    slow: Duration,
    turns: Arc<Semaphore>,
    /// Files are written one at a time.
    files: Arc<Semaphore>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A parameter cannot be understood.
    #[error("{name}: {why}")]
    BadParameter {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The query does not parse and was not to be searched as text.
    #[error("{}", .0.error)]
    BadQuery(ShownError),
    /// There is no record of that id.
    #[error("there is no record {0}")]
    NoRecord(String),
    /// It would not be the whole, and half of it is no use.
    #[error("not everything could be looked at: {0}; ask for less")]
    Incomplete(&'static str),
    /// Too many queries are running.
    #[error("too many queries at once; try again in a moment")]
    Busy,
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Searcher {
    /// Answers from `store`.
    pub fn new(store: Store) -> Searcher {
        Searcher {
            store,
            slow: SLOW,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            files: Arc::new(Semaphore::new(1)),
        }
    }

    /// The newest records that match, or what the query's pipeline makes of them. Dropping the future cancels the query.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(&self, params: &SearchParams) -> Result<SearchAnswer, SearchError> {
        let (asked, range) = (params.asked()?, params.range()?);
        let (after, limit, rows) = (params.cursor()?, params.limit()?, params.rows()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            if !asked.query.pipeline.is_empty() {
                let most = if asked.query.pipeline.table.is_some() {
                    rows
                } else {
                    limit
                };
                let outcome = pipeline::run(&store, &asked.query, range, most, budget)?;
                return Ok(SearchAnswer::of_pipeline(outcome, asked, started.elapsed()));
            }
            let page = store.search(&Search {
                filter: &asked.query.filter,
                range,
                after,
                direction: Direction::Older,
                limit,
                budget,
            })?;
            Ok(SearchAnswer::new(page, asked, started.elapsed()))
        });
        self.told_if_slow("search", answer.await, |answer| answer.account())
    }

    /// How many records match, over time. Dropping the future cancels the query.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn histogram(&self, params: &HistogramParams) -> Result<HistogramAnswer, SearchError> {
        let (asked, range, buckets) = (params.which.asked()?, params.which.range()?, params.buckets()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let counted = store.histogram(&Histogram {
                filter: &asked.query.filter,
                range,
                buckets,
                budget,
            })?;
            Ok(HistogramAnswer::new(&counted, asked, started.elapsed()))
        });
        self.told_if_slow("histogram", answer.await, |answer| answer.account())
    }

    /// The same, which tells of queries that take at least so long.
    #[must_use]
    pub fn with_slow(self, slow: Duration) -> Searcher {
        Searcher { slow, ..self }
    }

    /// Hands on an answer; one that took long is told of on stderr with what it was about.
    fn told_if_slow<A>(
        &self,
        kind: &'static str,
        answer: Result<A, SearchError>,
        account: impl FnOnce(&A) -> &Account,
    ) -> Result<A, SearchError> {
        if let Ok(answer) = &answer {
            account(answer).tell_if_slow(kind, self.slow);
        }
        answer
    }

    /// Runs a query on a thread of its own when its turn comes.
    async fn run<A: Send + 'static>(
        &self,
        query: impl FnOnce(&Budget) -> Result<A, SearchError> + Send + 'static,
    ) -> Result<A, SearchError> {
        let turn = tokio::time::timeout(WAIT_LIMIT, self.turns.clone().acquire_owned());
        let turn = turn
            .await
            .map_err(|_| SearchError::Busy)?
            .expect("the semaphore is never closed");
        let budget = Arc::new(Budget::until(Instant::now() + TIME_LIMIT));
        let cancel = CancelOnDrop(budget.clone());
        let answer = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with the caller's interest in it.
            let _turn = turn;
            query(&budget)
        });
        let answer = answer.await.unwrap_or_else(|error| {
            Err(SearchError::Store(StoreError::Failed(format!(
                "the query ended early: {error}"
            ))))
        });
        drop(cancel);
        answer
    }
}

struct CancelOnDrop(Arc<Budget>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A query as it will be searched, and how it came to be.
struct Asked {
    query: Query,
    as_text: bool,
    error: Option<ShownError>,
}

/// How the text of a query is to be understood: as a query if it is one, unless `kind` insists.
fn asked(q: &str, kind: Option<&str>) -> Result<Asked, SearchError> {
    match kind {
        None => {
            let query::Reading {
                query,
                as_text,
                error,
            } = query::read(q);
            Ok(Asked {
                query,
                as_text,
                error: error.map(|error| ShownError::new(&error, q)),
            })
        }
        Some("text") => Ok(Asked {
            query: Query::text(q),
            as_text: true,
            error: None,
        }),
        Some("query") => {
            let query = query::parse(q).map_err(|error| SearchError::BadQuery(ShownError::new(&error, q)))?;
            Ok(Asked {
                query,
                as_text: false,
                error: None,
            })
        }
        Some(other) => Err(SearchError::BadParameter {
            name: "as",
            why: format!("expected text or query, found {other:?}"),
        }),
    }
}
