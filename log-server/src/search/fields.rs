//! What fields the matching records have, and which values those take most often.

use std::collections::HashMap;
use std::time::Instant;

use super::answer::{Account, why};
use super::params::{FieldsParams, ValuesParams};
use super::{SearchError, Searcher};
use crate::query::{Field, Scratch};
use crate::store::Scan;

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
        let (asked, range) = (params.asked()?, params.range()?);
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let mut tally = Tally::new(NAMES_MOST);
            let scan = Scan {
                filter: &asked.query.filter,
                range,
                budget,
            };
            let done = store.scan(&scan, |record, _| {
                record.fields.iter().for_each(|(name, _)| tally.add(name));
            })?;
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
        let (asked, range, limit) = (params.asked()?, params.range()?, params.limit()?);
        let named = params.field()?.to_owned();
        let started = Instant::now();
        let store = self.store.clone();
        let answer = self.run(move |budget| {
            let (mut tally, mut scratch) = (Tally::new(VALUES_APART), Scratch::default());
            let is_level = named.eq_ignore_ascii_case("level");
            let field = Field::named(&named);
            let scan = Scan {
                filter: &asked.query.filter,
                range,
                budget,
            };
            let done = store.scan(&scan, |record, source| {
                if is_level {
                    tally.add(record.level().as_str());
                } else {
                    field.each_value(record, source, &mut scratch, &mut |value| tally.add(value));
                }
            })?;
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

    fn add(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(VALUE_BYTES)];
        if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
        } else if self.counts.len() < self.most {
            self.counts.insert(text.to_owned(), 1);
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
