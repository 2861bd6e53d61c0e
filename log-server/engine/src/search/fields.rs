//! What fields the matching records have, and which values those take most often.

use std::collections::HashMap;
use std::time::Instant;

use super::answer::{Account, why};
use super::params::{FieldsParams, ValuesParams};
use super::{Asked, SearchError, Searcher};
use crate::query::Field;
use crate::store::{Budget, CountOf, Parts, Scan, Scanned, Store, StoreError, TimeRange};

/// Names that are told apart; a service that makes up names record by record must not fill the memory.
const NAMES_MOST: usize = 5_000;
/// Values that are told apart.
const VALUES_APART: usize = 10_000;
/// Bytes of a value that are shown.
const VALUE_BYTES: usize = 1_024;

/// The fields of the records that match.
#[derive(serde::Serialize)]
pub struct FieldsAnswer {
    fields: Vec<Counted>,
    /// Whether there are more names than are told apart.
    capped: bool,
    #[serde(flatten)]
    account: Account,
}

/// The most frequent values of a field.
#[derive(serde::Serialize)]
pub struct ValuesAnswer {
    field: String,
    values: Vec<Counted>,
    /// How many there are; at least, if `capped`.
    distinct: usize,
    /// Whether there are more values than are told apart, so that rare ones may be missing.
    capped: bool,
    #[serde(flatten)]
    account: Account,
}

/// A name or a value, and how many records have it.
#[derive(serde::Serialize)]
struct Counted {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    records: u64,
}

impl Searcher {
    /// The names of the fields that matching records have of their own, most frequent first.
    ///
    /// # Errors
    /// As for a search.
    pub async fn fields(&self, params: &FieldsParams) -> Result<FieldsAnswer, SearchError> {
        let (asked, range) = (params.which.asked()?, params.which.range()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let (tally, done) = tally(&store, &asked, range, budget, CountOf::Names, NAMES_MOST)?;
            let account = Account::new(asked, done.scanned, done.partial.map(why), started.elapsed());
            let capped = tally.capped;
            let fields = tally.most_frequent(NAMES_MOST);
            let name = |(name, records)| Counted {
                name: Some(Field::own(name).name()),
                value: None,
                records,
            };
            Ok(FieldsAnswer {
                fields: fields.into_iter().map(name).collect(),
                capped,
                account,
            })
        });
        self.told_if_slow("fields", answer.await, |answer| &answer.account)
    }

    /// The most frequent values of a field among the matching records.
    ///
    /// # Errors
    /// As for a search, and when no field is named.
    pub async fn values(&self, params: &ValuesParams) -> Result<ValuesAnswer, SearchError> {
        let (asked, range, limit) = (params.which.asked()?, params.which.range()?, params.limit()?);
        let named = params.field()?.to_owned();
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let field = Field::named(&named);
            let what = if named.eq_ignore_ascii_case("level") {
                CountOf::Levels
            } else {
                CountOf::Values(&field)
            };
            let (tally, done) = tally(&store, &asked, range, budget, what, VALUES_APART)?;
            let account = Account::new(asked, done.scanned, done.partial.map(why), started.elapsed());
            let (distinct, capped) = (tally.counts.len(), tally.capped);
            let value = |(value, records)| Counted {
                name: None,
                value: Some(value),
                records,
            };
            let values = tally.most_frequent(limit).into_iter().map(value).collect();
            Ok(ValuesAnswer {
                field: named,
                values,
                distinct,
                capped,
                account,
            })
        });
        self.told_if_slow("values", answer.await, |answer| &answer.account)
    }
}

/// Counts on all threads.
fn tally(
    store: &Store,
    asked: &Asked,
    range: TimeRange,
    budget: &Budget,
    what: CountOf<'_>,
    most: usize,
) -> Result<(Tally, Scanned), StoreError> {
    let scan = Scan {
        filter: &asked.query.filter,
        range,
        parts: Parts::All,
        budget,
    };
    let (tallies, done) = store.count(&scan, what, || Tally::new(most), Tally::add)?;
    let mut all = Tally::new(most);
    for tally in tallies {
        all.capped |= tally.capped;
        tally
            .counts
            .iter()
            .for_each(|(text, count)| all.add(text, *count));
    }
    Ok((all, done))
}

/// Counts texts, so many of them apart.
struct Tally {
    counts: HashMap<String, u64>,
    most: usize,
    capped: bool,
}

impl Tally {
    fn new(most: usize) -> Tally {
        Tally {
            counts: HashMap::new(),
            most,
            capped: false,
        }
    }

    fn add(&mut self, text: &str, times: u64) {
        let text = &text[..text.floor_char_boundary(VALUE_BYTES)];
        if let Some(count) = self.counts.get_mut(text) {
            *count += times;
        } else if self.counts.len() < self.most {
            self.counts.insert(text.to_owned(), times);
        } else {
            self.capped = true;
        }
    }

    /// The texts, most frequent first, and by their letters where they are equally frequent.
    fn most_frequent(self, limit: usize) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = self.counts.into_iter().collect();
        counts.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        counts.truncate(limit);
        counts
    }
}
