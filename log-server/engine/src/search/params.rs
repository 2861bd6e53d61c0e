//! The parameters of a question. All come as text, or as numbers where JSON writes them so.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::around::Scope;
use super::export::ExportFormat;
use super::moment::range;
use super::{Asked, SearchError, asked};
use crate::query::Filter;
use crate::store::{Cursor, TimeRange};

/// Records in an answer unless said otherwise.
const LIMIT: usize = 100;
/// Records in one answer at most; the next page brings more.
const LIMIT_MOST: usize = 10_000;
/// Rows of a table in an answer unless said otherwise.
const ROWS: usize = 1_000;
/// Buckets in a histogram unless said otherwise; about what a page is wide.
const BUCKETS: usize = 60;
const BUCKETS_MOST: usize = 1_000;
/// Values in a list unless said otherwise: what a person reads at a glance.
const VALUES: usize = 10;
const VALUES_MOST: usize = 1_000;
/// Records before and after a record unless said otherwise.
const AROUND: usize = 20;
const AROUND_MOST: usize = 1_000;

/// Parameters of a search.
#[derive(Debug, Default, Deserialize)]
pub struct SearchParams {
    q: Option<Text>,
    from: Option<Text>,
    to: Option<Text>,
    limit: Option<Text>,
    cursor: Option<Text>,
    #[serde(rename = "as")]
    kind: Option<Text>,
}

/// Which records a question is about. The parameters of a search have the same: remote callers give those in order.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Which {
    q: Option<Text>,
    from: Option<Text>,
    to: Option<Text>,
    #[serde(rename = "as")]
    kind: Option<Text>,
}

/// Parameters of a histogram.
#[derive(Debug, Default, Deserialize)]
pub struct HistogramParams {
    #[serde(flatten)]
    pub(super) which: Which,
    buckets: Option<Text>,
}

/// Parameters of a list of fields.
#[derive(Debug, Default, Deserialize)]
pub struct FieldsParams {
    #[serde(flatten)]
    pub(super) which: Which,
}

/// Parameters of a list of values.
#[derive(Debug, Default, Deserialize)]
pub struct ValuesParams {
    field: Option<Text>,
    #[serde(flatten)]
    pub(super) which: Which,
    limit: Option<Text>,
}

/// Parameters of a list of issues.
#[derive(Debug, Default, Deserialize)]
pub struct IssuesParams {
    #[serde(flatten)]
    pub(super) which: Which,
    limit: Option<Text>,
    sort: Option<Text>,
}

/// Which issues come first, and stay if there are more than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IssueOrder {
    MostFrequent,
    /// Those that nobody had seen before.
    LastBegun,
    LastSeen,
}

/// Parameters of statistics.
#[derive(Debug, Default, Deserialize)]
pub struct StatsParams {
    #[serde(flatten)]
    pub(super) which: Which,
}

/// Parameters of a record's surroundings.
#[derive(Debug, Default, Deserialize)]
pub struct ContextParams {
    before: Option<Text>,
    after: Option<Text>,
    scope: Option<Text>,
}

/// Parameters of an export.
#[derive(Debug, Default, Deserialize)]
pub struct ExportParams {
    #[serde(flatten)]
    pub(super) which: Which,
    format: Option<Text>,
}

/// Parameters of a live tail.
#[derive(Debug, Default, Deserialize)]
pub struct TailParams {
    q: Option<Text>,
    #[serde(rename = "as")]
    kind: Option<Text>,
    after: Option<Text>,
}

/// A text; a number is taken as JSON writes it.
#[derive(Debug)]
struct Text(String);

impl SearchParams {
    pub(super) fn asked(&self) -> Result<Asked, SearchError> {
        asked(text(&self.q).unwrap_or_default(), text(&self.kind))
    }

    pub(super) fn range(&self) -> Result<TimeRange, SearchError> {
        range(text(&self.from), text(&self.to))
    }

    pub(super) fn limit(&self) -> Result<usize, SearchError> {
        count("limit", text(&self.limit), LIMIT, LIMIT_MOST)
    }

    /// The same for the rows of a table.
    pub(super) fn rows(&self) -> Result<usize, SearchError> {
        count("limit", text(&self.limit), ROWS, LIMIT_MOST)
    }

    pub(super) fn cursor(&self) -> Result<Option<Cursor>, SearchError> {
        let cursor = text(&self.cursor).map(str::parse::<Cursor>).transpose();
        cursor.map_err(|error| SearchError::BadParameter {
            name: "cursor",
            why: error.to_string(),
        })
    }
}

impl Which {
    pub(super) fn asked(&self) -> Result<Asked, SearchError> {
        asked(text(&self.q).unwrap_or_default(), text(&self.kind))
    }

    pub(super) fn range(&self) -> Result<TimeRange, SearchError> {
        range(text(&self.from), text(&self.to))
    }
}

impl HistogramParams {
    pub(super) fn buckets(&self) -> Result<usize, SearchError> {
        count("buckets", text(&self.buckets), BUCKETS, BUCKETS_MOST)
    }
}

impl ValuesParams {
    pub(super) fn field(&self) -> Result<&str, SearchError> {
        let missing = || SearchError::BadParameter {
            name: "field",
            why: "name the field whose values to list".into(),
        };
        text(&self.field).ok_or_else(missing)
    }

    pub(super) fn limit(&self) -> Result<usize, SearchError> {
        count("limit", text(&self.limit), VALUES, VALUES_MOST)
    }
}

impl IssuesParams {
    pub(super) fn limit(&self) -> Result<usize, SearchError> {
        count("limit", text(&self.limit), LIMIT, VALUES_MOST)
    }

    pub(super) fn order(&self) -> Result<IssueOrder, SearchError> {
        match text(&self.sort) {
            None | Some("count") => Ok(IssueOrder::MostFrequent),
            Some("first") => Ok(IssueOrder::LastBegun),
            Some("last") => Ok(IssueOrder::LastSeen),
            Some(other) => Err(SearchError::BadParameter {
                name: "sort",
                why: format!("expected count, first or last, found {other:?}"),
            }),
        }
    }
}

impl StatsParams {
    /// By default the last hour: statistics are for now.
    pub(super) fn range(&self) -> Result<TimeRange, SearchError> {
        let Which { from, to, .. } = &self.which;
        range(text(from).or(Some("-1h")), text(to).or(Some("now")))
    }
}

impl ContextParams {
    pub(super) fn before(&self) -> Result<usize, SearchError> {
        count("before", text(&self.before), AROUND, AROUND_MOST)
    }

    pub(super) fn after(&self) -> Result<usize, SearchError> {
        count("after", text(&self.after), AROUND, AROUND_MOST)
    }

    pub(super) fn scope(&self) -> Result<Scope, SearchError> {
        match text(&self.scope) {
            None | Some("boot") => Ok(Scope::Boot),
            Some("service") => Ok(Scope::Service),
            Some("all") => Ok(Scope::All),
            Some(other) => Err(SearchError::BadParameter {
                name: "scope",
                why: format!("expected boot, service or all, found {other:?}"),
            }),
        }
    }
}

impl SearchParams {
    /// The newest `limit` records that match `q`.
    pub fn new(q: String, from: Option<String>, to: Option<String>, limit: usize) -> SearchParams {
        let (q, limit) = (Some(Text(q)), Some(Text(limit.to_string())));
        SearchParams {
            q,
            from: from.map(Text),
            to: to.map(Text),
            limit,
            ..SearchParams::default()
        }
    }
}

impl ExportParams {
    /// Everything that matches `q`.
    pub fn new(q: String, from: Option<String>, to: Option<String>, format: String) -> ExportParams {
        let (q, format) = (Some(Text(q)), Some(Text(format)));
        let which = Which {
            q,
            from: from.map(Text),
            to: to.map(Text),
            kind: None,
        };
        ExportParams { which, format }
    }
}

impl ExportParams {
    /// Which records an export is of; a pipeline makes none of its own.
    ///
    /// # Errors
    /// [`SearchError`] as for a search, and when there is a pipeline.
    pub fn records(&self) -> Result<(Filter, TimeRange), SearchError> {
        let query = self.which.asked()?.query;
        if !query.pipeline.is_empty() {
            return Err(SearchError::BadParameter {
                name: "q",
                why: "this format has records only; leave out what comes behind |".into(),
            });
        }
        Ok((query.filter, self.which.range()?))
    }

    /// Whether a SQLite file is wanted, which no [`ExportFormat`] is.
    pub fn is_sqlite(&self) -> bool {
        text(&self.format) == Some("sqlite")
    }

    pub(super) fn format(&self) -> Result<ExportFormat, SearchError> {
        match text(&self.format) {
            None | Some("ndjson") => Ok(ExportFormat::Ndjson),
            Some("csv") => Ok(ExportFormat::Csv),
            Some(other) => Err(SearchError::BadParameter {
                name: "format",
                why: format!("expected ndjson, csv or sqlite, found {other:?}"),
            }),
        }
    }
}

impl TailParams {
    /// The id of the record to go on after, where a reader cannot send `Last-Event-ID`.
    pub fn after(&self) -> Option<&str> {
        text(&self.after)
    }

    /// Which records are followed; what a pipeline would make of them is left out, for it never ends.
    ///
    /// # Errors
    /// [`SearchError`] as for a search.
    pub fn filter(&self) -> Result<Filter, SearchError> {
        Ok(asked(text(&self.q).unwrap_or_default(), text(&self.kind))?
            .query
            .filter)
    }
}

/// What was given; an empty text is nothing.
fn text(given: &Option<Text>) -> Option<&str> {
    given
        .as_ref()
        .map(|text| text.0.as_str())
        .filter(|text| !text.is_empty())
}

fn count(name: &'static str, given: Option<&str>, default: usize, most: usize) -> Result<usize, SearchError> {
    let Some(given) = given else { return Ok(default) };
    match given.parse() {
        Ok(0) | Err(_) => Err(SearchError::BadParameter {
            name,
            why: format!("expected a number from 1 to {most}, found {given:?}"),
        }),
        Ok(number) => Ok(most.min(number)),
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_and_named_when_wrong() {
        let limit = |text: &str| count("limit", Some(text), LIMIT, LIMIT_MOST);
        assert_eq!(count("limit", None, LIMIT, LIMIT_MOST).unwrap(), 100);
        assert_eq!(limit("7").unwrap(), 7);
        assert_eq!(limit("1000000000").unwrap(), 10_000);
        for wrong in ["0", "-1", "1e3", "ten", "18446744073709551616"] {
            assert!(
                limit(wrong)
                    .unwrap_err()
                    .to_string()
                    .starts_with("limit: expected"),
                "{wrong}"
            );
        }
    }
}
