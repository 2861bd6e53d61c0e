//! What an alert asks: how many records match within a window that ends now, which they are, and when there would have
//! been too many or too few in the past.

use std::time::Duration;

use log_record::Timestamp;

use super::answer::why;
use super::moment::range;
use super::{SearchError, Searcher, asked};
use crate::query::Filter;
use crate::store::{Direction, Histogram, Search, StoredRecord, TimeRange};

/// Buckets a window is counted in when the past is looked at: it moves in steps of this part of its length.
const STEPS_IN_WINDOW: u32 = 4;
/// Buckets at most; a longer past is looked at in longer steps.
const STEPS_MOST: u128 = 20_000;
/// Times that are told; nobody reads more.
const TIMES_MOST: usize = 1_000;

/// When there is something to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// How many records.
    pub threshold: u64,
    /// Whether more are too many; otherwise fewer are too few.
    pub above: bool,
    /// Within which time.
    pub window: Duration,
}

/// The records within a window.
#[derive(Debug)]
pub struct Watched {
    /// How many match.
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<StoredRecord>,
}

/// A time at which a rule began to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// The end of the window.
    pub time: Timestamp,
    /// The records in it.
    pub count: u64,
}

impl Rule {
    /// Whether that many records are something to tell.
    pub fn holds(&self, count: u64) -> bool {
        if self.above {
            count > self.threshold
        } else {
            count < self.threshold
        }
    }
}

impl Searcher {
    /// What matches between two moments, with its newest `lines` records.
    ///
    /// # Errors
    /// As for a search. A count that is not whole is an error too: a rule must not be judged by it.
    pub async fn watch(&self, q: &str, range: TimeRange, lines: usize) -> Result<Watched, SearchError> {
        let filter = countable(q)?;
        let store = self.store.clone();
        self.run(move |budget| {
            let counted = store.histogram(&Histogram {
                filter: &filter,
                range,
                buckets: 1,
                budget,
            })?;
            if let Some(partial) = counted.partial {
                return Err(SearchError::Incomplete(why(partial)));
            }
            let page = store.search(&Search {
                filter: &filter,
                range,
                after: None,
                direction: Direction::Older,
                limit: lines,
                budget,
            })?;
            Ok(Watched {
                count: counted.total,
                newest: page.records,
            })
        })
        .await
    }

    /// When a rule would have begun to hold between two moments, oldest first.
    ///
    /// # Errors
    /// As for a search.
    pub async fn would_have_fired(
        &self,
        q: &str,
        rule: Rule,
        from: &str,
        to: &str,
    ) -> Result<Vec<Fired>, SearchError> {
        let mut range = range(Some(from), Some(to))?;
        range.to = range.to.min(Timestamp::now());
        let filter = countable(q)?;
        let store = self.store.clone();
        self.run(move |budget| {
            let length = range.to.since(range.from);
            let step = rule.window / STEPS_IN_WINDOW;
            let buckets = (length.as_nanos() / step.as_nanos().max(1)).clamp(1, STEPS_MOST);
            let counted = store.histogram(&Histogram {
                filter: &filter,
                range,
                buckets: usize::try_from(buckets).expect("it is clamped"),
                budget,
            })?;
            let index = |time: Timestamp| {
                let steps = time.since(counted.range.from).as_nanos() / counted.step.as_nanos();
                usize::try_from(steps).expect("the store bounds the number of buckets")
            };
            let mut counts = vec![0; index(counted.range.to)];
            for bucket in &counted.buckets {
                counts[index(bucket.start)] = bucket.counts.iter().sum();
            }
            let steps = (rule.window.as_nanos() / counted.step.as_nanos()).max(1);
            let steps = usize::try_from(steps).unwrap_or(usize::MAX);
            let time = |end: usize| {
                let end = u32::try_from(end).unwrap_or(u32::MAX);
                counted
                    .range
                    .from
                    .after(counted.step.saturating_mul(end))
                    .min(range.to)
            };
            let fired = beginnings(&counts, steps, rule);
            Ok(fired
                .map(|(end, count)| Fired {
                    time: time(end),
                    count,
                })
                .take(TIMES_MOST)
                .collect())
        })
        .await
    }
}

/// The filter of a query whose records can be counted.
///
/// # Errors
/// When it has a pipeline: what that makes of the records is not what would be counted.
pub fn countable(q: &str) -> Result<Filter, SearchError> {
    let query = asked(q, None)?.query;
    if !query.pipeline.is_empty() {
        return Err(SearchError::BadParameter {
            name: "q",
            why:
                "an alert counts the records that match, so its query has no pipeline: leave out what begins \
                  with |"
                    .into(),
        });
    }
    Ok(query.filter)
}

/// Where windows of so many steps begin to satisfy the rule: the step behind each window, and its count.
fn beginnings(counts: &[u64], steps: usize, rule: Rule) -> impl Iterator<Item = (usize, u64)> {
    let mut held = false;
    counts
        .windows(steps.min(counts.len().max(1)))
        .enumerate()
        .filter_map(move |(start, window)| {
            let count = window.iter().sum();
            let holds = rule.holds(count);
            let begins = holds && !held;
            held = holds;
            begins.then_some((start + window.len(), count))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: &[u64], steps: usize, threshold: u64, above: bool, expected: &[(usize, u64)]) {
        let rule = Rule {
            threshold,
            above,
            window: Duration::from_secs(60),
        };
        let found: Vec<(usize, u64)> = beginnings(counts, steps, rule).collect();
        assert_eq!(found, expected, "{counts:?} in windows of {steps}");
    }

    #[test]
    fn a_rule_fires_when_it_begins_to_hold_and_again_only_after_it_ceased() {
        check(&[0, 3, 3, 0, 0, 5, 0], 1, 2, true, &[(2, 3), (6, 5)]);
        check(&[1, 1, 1, 1], 2, 1, true, &[(2, 2)]);
        check(&[1, 1, 0, 0, 1, 1], 2, 1, true, &[(2, 2), (6, 2)]);
        check(&[0, 0, 0], 1, 0, true, &[]);
        check(&[4, 4, 0, 0, 4], 2, 1, false, &[(4, 0)]);
        check(&[], 4, 1, false, &[]);
        check(&[1], 4, 1, true, &[]);
    }
}
