//! Whether an issue came with a version of a service: asked of the whole store, whatever range the issues are of.
//!
//! Promises: what is called new was not there before, in any record that is still stored; what could not be looked at
//! in time is not called new. Knows nothing of what makes records one issue.

use std::collections::HashMap;
use std::sync::Arc;

use log_record::Timestamp;

use crate::query::{Field, Filter, Pattern, Test};
use crate::store::{Budget, Direction, Search, Store, StoreError, TimeRange};

/// Answers for the issues of one question.
pub(super) struct Novelty<'a> {
    store: &'a Store,
    budget: &'a Budget,
    /// Whether a service had another version before this one.
    replaces: HashMap<(Arc<str>, Arc<str>), bool>,
}

impl<'a> Novelty<'a> {
    pub(super) fn new(store: &'a Store, budget: &'a Budget) -> Novelty<'a> {
        Novelty {
            store,
            budget,
            replaces: HashMap::new(),
        }
    }

    pub(super) fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// Whether `first` is the first time the service had this issue, and an earlier version was without it.
    pub(super) fn is_new(
        &mut self,
        issue: &Filter,
        service: &Arc<str>,
        version: &Arc<str>,
        first: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.replaces_another(service, version)? {
            return Ok(false);
        }
        let before = Filter::and([issue.clone(), is(Field::Service, service)]);
        Ok(self.newest_before(&before, first)? == Sought::Nowhere)
    }

    fn replaces_another(&mut self, service: &Arc<str>, version: &Arc<str>) -> Result<bool, StoreError> {
        let key = (service.clone(), version.clone());
        if let Some(known) = self.replaces.get(&key) {
            return Ok(*known);
        }
        let own = Filter::and([is(Field::Service, service), is(Field::Version, version)]);
        let replaces = match self.edge(&own, TimeRange::ALL, Direction::Newer)? {
            Sought::At(begin) => {
                let other = Filter::and([
                    is(Field::Service, service),
                    Filter::Not(Box::new(is(Field::Version, version))),
                ]);
                matches!(self.newest_before(&other, begin)?, Sought::At(_))
            }
            Sought::Nowhere | Sought::Unknown => false,
        };
        self.replaces.insert(key, replaces);
        Ok(replaces)
    }

    fn newest_before(&self, filter: &Filter, end: Timestamp) -> Result<Sought, StoreError> {
        let range = TimeRange {
            from: Timestamp::MIN,
            to: end,
        };
        self.edge(filter, range, Direction::Older)
    }

    fn edge(&self, filter: &Filter, range: TimeRange, direction: Direction) -> Result<Sought, StoreError> {
        let page = self.store.search(&Search {
            filter,
            range,
            after: None,
            direction,
            limit: 1,
            budget: self.budget,
        })?;
        Ok(match (page.records.first(), page.partial) {
            (Some(found), _) => Sought::At(found.record.time),
            (None, None) => Sought::Nowhere,
            (None, Some(_)) => Sought::Unknown,
        })
    }
}

/// Where a record is, if it is known.
#[derive(PartialEq)]
enum Sought {
    At(Timestamp),
    Nowhere,
    /// There was no time to look.
    Unknown,
}

fn is(field: Field, text: &str) -> Filter {
    Filter::Field {
        field,
        test: Test::Is(Pattern::new(&[text])),
    }
}
