//! A pipeline over records: which of them are shown, in which order, and which columns of them.

use log_record::Timestamp;

use crate::query::{Column, Filter, Heading, Pipeline, Step};
use crate::store::{
    Budget, Cursor, Direction, Page, Partial, Search, Store, StoreError, StoredRecord, TimeRange,
};

use super::cell::{Cell, Rank};
use super::rows::{Rows, order};

/// Records fetched at once while all that match are looked at.
const PIECE: usize = 1_000;

/// The steps, brought into an order that needs little memory: columns are chosen last, and of sorts in a row the last
/// one counts first.
pub(super) struct Plan {
    /// Applied one after the other: sort, if there is a key, then keep so many, if there is a number.
    rounds: Vec<Round>,
    /// The columns to show; `None`: whole records.
    pub(super) columns: Option<Vec<Column>>,
}

#[derive(Default)]
struct Round {
    keys: Vec<(Column, bool)>,
    limit: Option<usize>,
}

/// Records that came through.
pub(super) struct Chosen {
    pub(super) records: Vec<StoredRecord>,
    pub(super) matched: u64,
    pub(super) scanned: u64,
    pub(super) partial: Option<Partial>,
}

impl Plan {
    pub(super) fn new(pipeline: &Pipeline) -> Plan {
        let column = |heading: &Heading| match heading {
            Heading::Column(column) => Some(column.clone()),
            // The parser allows none without a table.
            Heading::Aggregate(_) => None,
        };
        let (mut rounds, mut columns) = (vec![Round::default()], None);
        for step in &pipeline.steps {
            let last = rounds.last_mut().expect("there is always a round");
            match step {
                Step::Fields(headings) => columns = Some(headings.iter().filter_map(column).collect()),
                Step::Limit(most) => last.limit = Some(last.limit.map_or(*most, |known| known.min(*most))),
                Step::Sort(keys) => {
                    let mut keys: Vec<_> = keys
                        .iter()
                        .filter_map(|key| Some((column(&key.heading)?, key.descending)))
                        .collect();
                    if last.limit.is_some() {
                        rounds.push(Round { keys, limit: None });
                    } else {
                        keys.append(&mut last.keys);
                        last.keys = keys;
                    }
                }
            }
        }
        Plan { rounds, columns }
    }

    /// Whether every record that matches comes through, newest first, so that they need not be held together.
    pub(super) fn is_stream(&self) -> bool {
        matches!(&self.rounds[..], [round] if round.keys.is_empty() && round.limit.is_none())
    }

    /// Looks the records up; where no step says how many, `most`.
    pub(super) fn run(
        &self,
        store: &Store,
        filter: &Filter,
        range: TimeRange,
        most: usize,
        budget: &Budget,
    ) -> Result<Chosen, StoreError> {
        let (first, others) = self.rounds.split_first().expect("there is always a round");
        let limit = first.limit.unwrap_or(most);
        let mut chosen = match &first.keys[..] {
            [] | [(Column::Time, true)] => newest(store, filter, range, limit, Direction::Older, budget)?,
            [(Column::Time, false)] => newest(store, filter, range, limit, Direction::Newer, budget)?,
            keys => best(store, filter, range, limit, keys, budget)?,
        };
        for round in others {
            let mut ranked = chosen
                .records
                .into_iter()
                .map(|record| (ranks(&round.keys, &record), record))
                .collect();
            keep_best(&mut ranked, &round.keys, round.limit.unwrap_or(most));
            chosen.records = ranked.into_iter().map(|(_, record)| record).collect();
        }
        Ok(chosen)
    }
}

/// The records' values of `columns`.
pub(super) fn rows(columns: &[Column], records: &[StoredRecord]) -> Rows {
    let cells = |stored: &StoredRecord| {
        let cell = |column: &Column| match column {
            Column::Time => Cell::Time(stored.record.time),
            Column::Level => Cell::Level(stored.record.level()),
            Column::Field(field) => field
                .shown(&stored.record, &stored.source)
                .map_or(Cell::Nothing, Cell::Text),
        };
        columns.iter().map(cell).collect()
    };
    Rows {
        headings: columns.iter().cloned().map(Heading::Column).collect(),
        rows: records.iter().map(cells).collect(),
    }
}

fn newest(
    store: &Store,
    filter: &Filter,
    range: TimeRange,
    limit: usize,
    direction: Direction,
    budget: &Budget,
) -> Result<Chosen, StoreError> {
    let page = store.search(&Search {
        filter,
        range,
        after: None,
        direction,
        limit,
        budget,
    })?;
    Ok(Chosen {
        matched: page.records.len() as u64,
        scanned: page.scanned,
        partial: page.partial,
        records: page.records,
    })
}

type Ranked = (Vec<Rank>, StoredRecord);

/// Looks at everything that matches and keeps the first `limit` in the order of `keys`.
fn best(
    store: &Store,
    filter: &Filter,
    range: TimeRange,
    limit: usize,
    keys: &[(Column, bool)],
    budget: &Budget,
) -> Result<Chosen, StoreError> {
    let mut kept: Vec<Ranked> = Vec::new();
    let (mut after, mut matched, mut scanned): (Option<Cursor>, u64, u64) = (None, 0, 0);
    let partial = loop {
        let Page {
            records,
            next,
            scanned: looked_at,
            partial,
        } = store.search(&Search {
            filter,
            // What is newer has been seen: it need not even be skipped.
            range: TimeRange {
                to: after.map_or(range.to, |after| {
                    range.to.min(after.time.after(std::time::Duration::from_nanos(1)))
                }),
                from: range.from,
            },
            after,
            direction: Direction::Older,
            limit: PIECE,
            budget,
        })?;
        (matched, scanned) = (matched + records.len() as u64, scanned + looked_at);
        kept.extend(records.into_iter().map(|record| (ranks(keys, &record), record)));
        // Sorting now and then costs less than keeping an order, and bounds the memory as well.
        if kept.len() > 2 * limit + PIECE {
            keep_best(&mut kept, keys, limit);
        }
        after = next;
        if partial.is_some() || after.is_none() {
            break partial;
        }
    };
    keep_best(&mut kept, keys, limit);
    Ok(Chosen {
        records: kept.into_iter().map(|(_, record)| record).collect(),
        matched,
        scanned,
        partial,
    })
}

fn keep_best(ranked: &mut Vec<Ranked>, keys: &[(Column, bool)], limit: usize) {
    ranked.sort_by(|(one, _), (other, _)| order(one, other, keys.iter().map(|(_, descending)| *descending)));
    ranked.truncate(limit);
}

fn ranks(keys: &[(Column, bool)], stored: &StoredRecord) -> Vec<Rank> {
    let rank = |(column, _): &(Column, bool)| {
        let time = |time: Timestamp| Cell::Time(time).rank();
        match column {
            Column::Time => time(stored.record.time),
            Column::Level => Cell::Level(stored.record.level()).rank(),
            Column::Field(field) => {
                let text = field.shown(&stored.record, &stored.source);
                text.map_or(Rank::Nothing, |text| Cell::Text(text).rank())
            }
        }
    };
    keys.iter().map(rank).collect()
}
