//! Whether a block can hold anything that a filter finds, told from its summary and its filter alone.

use log_record::Level;

use super::bytes::Damaged;
use super::filter::Filter as Terms;
use super::{FILTER, HEAD, Loaded, MESSAGE, SPAN_ID, Summary, THREAD, TRACE_ID};
use crate::query::{Field, Filter, Needle};

/// Whether the block may hold records that the filter finds; certainly none if `false`. Reads next to nothing.
pub(in crate::store) fn may_match(
    summary: &Summary,
    loaded: &Loaded<'_>,
    filter: &Filter,
) -> Result<bool, Damaged> {
    let mut terms = None;
    may(summary, &mut terms, loaded, filter)
}

fn may<'a>(
    summary: &Summary,
    terms: &mut Option<Terms<'a>>,
    loaded: &'a Loaded<'a>,
    filter: &Filter,
) -> Result<bool, Damaged> {
    let mut has = |column: Option<u32>, needle: &str| -> Result<bool, Damaged> {
        if terms.is_none() {
            *terms = Some(Terms::read(loaded.column(FILTER)?)?);
        }
        let terms = terms.as_ref().expect("it was read above");
        column.map_or_else(
            || terms.may_contain_anywhere(needle),
            |column| terms.may_contain(column, needle),
        )
    };
    Ok(match filter {
        Filter::All | Filter::Not(_) => true,
        Filter::And(parts) => {
            for part in parts {
                if !may(summary, terms, loaded, part)? {
                    return Ok(false);
                }
            }
            true
        }
        Filter::Or(parts) => {
            for part in parts {
                if may(summary, terms, loaded, part)? {
                    return Ok(true);
                }
            }
            false
        }
        Filter::Text(needle) => {
            needle.may_be_in_number() || is_literal(needle) || has(None, needle.folded())?
        }
        Filter::Level { from, to } => level_count(summary, *from, *to) > 0,
        Filter::Field { field, test } => match (column_of(field), test.hint()) {
            (Some(column), Some(hint)) => has(Some(column), hint)?,
            _ => true,
        },
    })
}

/// Whether the needle may be found in `null`, `true` or `false`.
fn is_literal(needle: &Needle) -> bool {
    ["null", "true", "false"]
        .iter()
        .any(|literal| literal.contains(needle.folded()))
}

pub(super) fn level_count(summary: &Summary, from: Level, to: Level) -> u64 {
    Level::ALL
        .into_iter()
        .zip(summary.counts)
        .filter(|(level, _)| (from..=to).contains(level))
        .map(|(_, count)| u64::from(count))
        .sum()
}

/// The column under which the filter has the terms of the field's texts.
fn column_of(field: &Field) -> Option<u32> {
    match field {
        Field::Message => Some(MESSAGE),
        Field::Thread => Some(THREAD),
        Field::TraceId => Some(TRACE_ID),
        Field::SpanId => Some(SPAN_ID),
        Field::Service
        | Field::Instance
        | Field::Host
        | Field::Version
        | Field::Target
        | Field::File
        | Field::Spans => Some(HEAD),
        Field::Boot
        | Field::Line
        | Field::CallSite
        | Field::Seq
        | Field::Flags
        | Field::Span(_)
        | Field::Attr(_)
        | Field::Own(_) => None,
    }
}
