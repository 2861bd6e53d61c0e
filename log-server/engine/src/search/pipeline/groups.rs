//! The groups of a table while records are looked at: one small state per group and column that is computed.
//!
//! Promises: what is reported of a group covers every record of it that was looked at, exactly but for what
//! `sample` and `distinct` say of themselves; memory is bounded, and records that found no room are counted. Groups of
//! two threads merge.

use std::collections::HashMap;
use std::time::Duration;

use log_record::{LogRecord, Source, Timestamp};
use smallvec::SmallVec;

use crate::query::{Aggregate, Column, Function, Number, Scratch, Table};

use super::cell::Cell;
use super::distinct::Distinct;
use super::numbers::Numbers;
use super::sample::Sample;

/// Groups that are told apart.
const GROUPS: usize = 50_000;
/// Memory beyond which no new group is begun; half of what a query may take, for those that are there may still grow.
const MEMORY: usize = 64 << 20;
/// Bytes of a value that tell groups apart; as in a list of values.
const VALUE_BYTES: usize = 1_024;
/// With more groups than this, there may be any number: room is made for all, once.
const SOME: usize = 1_024;
/// Groups that are looked up together: their keys fit the nearest cache.
const TOGETHER: usize = 512;
/// Values of one column that a record is counted under, and groups that it is counted in.
const VALUES: usize = 64;
const COMBINATIONS: usize = 1_024;

/// How groups are found. Where threads share one, one's groups lie in the order of the other's, and merging them walks
/// through memory instead of jumping about.
pub(super) type Hasher = foldhash::fast::RandomState;

/// Groups of records, as many as there is room for.
pub(super) struct Groups<'a> {
    table: &'a Table,
    /// What is kept of each group besides its size; several aggregates may read one.
    states: Vec<(&'a Column, State)>,
    /// By the encoded values.
    groups: HashMap<Key, Group, Hasher>,
    memory: usize,
    matched: u64,
    left_out: u64,
    overflowed: bool,
    scratch: Scratch,
    key: Vec<u8>,
    values: Vec<Vec<Option<Box<str>>>>,
    waiting: Waiting,
}

/// Counts of groups that were not looked up yet. Groups lie all over the memory: of several that are looked up one after the
/// other, with nothing else between, the processor fetches some at once.
#[derive(Default)]
struct Waiting {
    keys: Vec<u8>,
    /// Where the key of each ends, and how many records it is.
    counts: Vec<(usize, u64)>,
}

/// What tells a group apart. Most are short: where the group is, so is its key, and finding it looks at one place.
type Key = SmallVec<[u8; 32]>;

#[derive(Clone)]
struct Group {
    count: u64,
    states: Box<[State]>,
}

#[derive(Clone)]
enum State {
    Numbers(Numbers),
    Distinct(Distinct),
    Sample(Sample),
}

/// The rows that came of groups, in no order.
pub(super) struct Grouped {
    pub(super) rows: Vec<Vec<Cell>>,
    /// Records that were looked at and matched.
    pub(super) matched: u64,
    /// Those of them that belong to a group for which there was no room.
    pub(super) left_out: u64,
    /// Whether even the groups that are there could not be kept up to the end.
    pub(super) overflowed: bool,
}

impl<'a> Groups<'a> {
    pub(super) fn new(table: &'a Table, hasher: Hasher) -> Groups<'a> {
        let mut states: Vec<(&Column, State)> = Vec::new();
        for aggregate in &table.aggregates {
            if let Aggregate::Of(function, column) = aggregate {
                let state = State::of(*function);
                if !states
                    .iter()
                    .any(|(known, kept)| *known == column && kept.is_like(&state))
                {
                    states.push((column, state));
                }
            }
        }
        Groups {
            table,
            states,
            groups: HashMap::with_hasher(hasher),
            memory: 0,
            matched: 0,
            left_out: 0,
            overflowed: false,
            scratch: Scratch::default(),
            key: Vec::new(),
            values: vec![Vec::new(); table.by.len()],
            waiting: Waiting::default(),
        }
    }

    /// Counts a record in each of its groups.
    pub(super) fn add(&mut self, record: &LogRecord, source: &Source) {
        self.overflowed |= self.memory > 2 * MEMORY;
        if self.overflowed {
            return;
        }
        self.matched += 1;
        for (column, values) in self.table.by.iter().zip(&mut self.values) {
            values.clear();
            column.each_value(record, source, &mut self.scratch, &mut |text| {
                let value = Some(Box::from(&text[..text.floor_char_boundary(VALUE_BYTES)]));
                if values.len() < VALUES && !values.contains(&value) {
                    values.push(value);
                }
            });
            if values.is_empty() {
                values.push(None);
            }
        }
        let combinations = self.values.iter().map(Vec::len).product::<usize>();
        let mut room = true;
        for combination in 0..combinations.min(COMBINATIONS) {
            self.encode(record.time, combination);
            room &= self.add_to_group(record, source);
        }
        if !room || combinations > COMBINATIONS {
            self.left_out += 1;
        }
    }

    /// Counts `count` records that are of this time, if times are told apart, have this value of the one column, and are
    /// not looked at otherwise.
    pub(super) fn add_counted(&mut self, time: Option<Timestamp>, value: Option<&str>, count: u64) {
        self.matched += count;
        let Waiting { keys, counts } = &mut self.waiting;
        if let Some((time, every)) = time.zip(self.table.every) {
            encode_time(keys, time, every);
        }
        if !self.table.by.is_empty() {
            let value = value.map(|text| &text[..text.floor_char_boundary(VALUE_BYTES)]);
            encode_value(keys, value);
        }
        counts.push((keys.len(), count));
        if counts.len() == TOGETHER {
            self.look_up();
        }
    }

    /// Counts what waits.
    fn look_up(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut start = 0;
        for (end, count) in waiting.counts.drain(..) {
            let key = &waiting.keys[start..end];
            start = end;
            if let Some(group) = self.groups.get_mut(key) {
                group.count += count;
            } else if let Some(group) = self.begin(key) {
                group.count = count;
            } else {
                self.left_out += count;
            }
        }
        waiting.keys.clear();
        self.waiting = waiting;
    }

    /// Adds what another thread has found of the same table.
    pub(super) fn merge(&mut self, mut other: Groups<'_>) {
        self.look_up();
        other.look_up();
        self.matched += other.matched;
        self.left_out += other.left_out;
        self.overflowed |= other.overflowed;
        for (key, theirs) in other.groups {
            if let Some(ours) = self.groups.get_mut(&key) {
                ours.count += theirs.count;
                for (our, their) in ours.states.iter_mut().zip(&theirs.states) {
                    let before = our.bytes();
                    our.merge(their);
                    self.memory = self.memory + our.bytes() - before;
                }
            } else if self.groups.len() < GROUPS && self.memory < MEMORY {
                self.memory += cost(&key) + theirs.states.iter().map(State::bytes).sum::<usize>();
                self.groups.insert(key, theirs);
            } else {
                self.left_out += theirs.count;
            }
        }
    }

    /// The rows of the groups; only of the `most` that are counted most often, and of those that are counted as often as
    /// the last of them, if no more will be shown.
    pub(super) fn rows(mut self, most: Option<usize>) -> Grouped {
        self.look_up();
        // Of no records, nothing is there to tell apart; but how many they are is 0 and not nothing.
        if self.groups.is_empty() && self.table.by.is_empty() && self.table.every.is_none() {
            let states = self.states.iter().map(|(_, state)| state.clone()).collect();
            self.groups.insert(Key::new(), Group { count: 0, states });
        }
        let (table, states) = (self.table, self.states);
        let mut counts: Vec<u64> = self.groups.values().map(|group| group.count).collect();
        let least = match most.and_then(|most| most.checked_sub(1)) {
            Some(last) if last < counts.len() => {
                *counts.select_nth_unstable_by(last, |one, other| other.cmp(one)).1
            }
            Some(_) | None => 0,
        };
        let shown = self.groups.iter().filter(|(_, group)| group.count >= least);
        let rows = shown.map(|(key, group)| {
            let mut row = decode(table, key);
            row.extend(table.aggregates.iter().map(|aggregate| match aggregate {
                Aggregate::Count => Cell::Number(Number::Int(group.count.into())),
                Aggregate::Of(function, column) => {
                    let wanted = State::of(*function);
                    let place = states
                        .iter()
                        .position(|(known, state)| *known == column && state.is_like(&wanted));
                    group.states[place.expect("every aggregate has its state")].read(*function, column)
                }
            }));
            row
        });
        Grouped {
            rows: rows.collect(),
            matched: self.matched,
            left_out: self.left_out,
            overflowed: self.overflowed,
        }
    }

    /// Writes the key of one combination of the record's values.
    fn encode(&mut self, time: Timestamp, mut combination: usize) {
        self.key.clear();
        if let Some(every) = self.table.every {
            encode_time(&mut self.key, time, every);
        }
        for values in &self.values {
            let value = &values[combination % values.len()];
            combination /= values.len();
            encode_value(&mut self.key, value.as_deref());
        }
    }

    /// Makes a group for the key if there is room for one.
    fn begin(&mut self, key: &[u8]) -> Option<&mut Group> {
        if self.groups.len() >= GROUPS || self.memory >= MEMORY {
            return None;
        }
        if self.groups.len() == SOME {
            self.groups.reserve(GROUPS - SOME);
        }
        let states = self.states.iter().map(|(_, state)| state.clone()).collect();
        self.memory += cost(key);
        let group = Group { count: 0, states };
        Some(
            self.groups
                .entry(Key::from_slice(key))
                .insert_entry(group)
                .into_mut(),
        )
    }

    /// Whether there was room.
    fn add_to_group(&mut self, record: &LogRecord, source: &Source) -> bool {
        let key = std::mem::take(&mut self.key);
        let room = self.groups.contains_key(&*key) || self.begin(&key).is_some();
        if let Some(group) = self.groups.get_mut(&*key) {
            group.count += 1;
            for ((column, _), state) in self.states.iter().zip(&mut group.states) {
                let before = state.bytes();
                state.add(column, record, source, &mut self.scratch);
                self.memory = self.memory + state.bytes() - before;
            }
        }
        self.key = key;
        room
    }
}

/// Writes the span of that length in which the time lies.
fn encode_time(key: &mut Vec<u8>, time: Timestamp, every: Duration) {
    let start = time
        .as_nanos()
        .div_euclid(nanos(every))
        .saturating_mul(nanos(every));
    key.extend(start.to_be_bytes());
}

/// What tells groups apart, cut to far less than a length can say.
fn encode_value(key: &mut Vec<u8>, value: Option<&str>) {
    let length = value.map_or(u16::MAX, |text| {
        u16::try_from(text.len()).expect("values are cut to far less")
    });
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(value.unwrap_or_default().as_bytes());
}

/// Bytes that a group takes before anything is kept of it, about.
fn cost(key: &[u8]) -> usize {
    key.len() + 128
}

fn nanos(every: Duration) -> i64 {
    i64::try_from(every.as_nanos()).expect("a span of time has at most a hundred years")
}

fn decode(table: &Table, mut key: &[u8]) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut take = |count: usize| {
        let (taken, rest) = key.split_at(count);
        key = rest;
        taken
    };
    if table.every.is_some() {
        let start = i64::from_be_bytes(take(8).try_into().expect("eight bytes"));
        cells.push(Cell::Time(Timestamp::from_nanos(start)));
    }
    for column in &table.by {
        let length = u16::from_be_bytes(take(2).try_into().expect("two bytes"));
        let text = (length != u16::MAX).then(|| {
            let text = take(length.into()).to_vec();
            String::from_utf8(text).expect("it was written as text")
        });
        cells.push(Cell::of(column, text));
    }
    cells
}

impl State {
    fn of(function: Function) -> State {
        match function {
            Function::Sum | Function::Avg | Function::Min | Function::Max => {
                State::Numbers(Numbers::default())
            }
            Function::Distinct => State::Distinct(Distinct::default()),
            Function::Percentile(_) => State::Sample(Sample::default()),
        }
    }

    fn is_like(&self, other: &State) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    fn add(&mut self, column: &Column, record: &LogRecord, source: &Source, scratch: &mut Scratch) {
        match self {
            State::Numbers(numbers) => column.each_number(record, source, &mut |number| numbers.add(number)),
            State::Sample(sample) => {
                column.each_number(record, source, &mut |number| sample.add(number.float()));
            }
            State::Distinct(distinct) => {
                column.each_value(record, source, scratch, &mut |text| distinct.add(text));
            }
        }
    }

    fn merge(&mut self, other: &State) {
        match (self, other) {
            (State::Numbers(ours), State::Numbers(theirs)) => ours.merge(theirs),
            (State::Distinct(ours), State::Distinct(theirs)) => ours.merge(theirs),
            (State::Sample(ours), State::Sample(theirs)) => ours.merge(theirs),
            (State::Numbers(_) | State::Distinct(_) | State::Sample(_), _) => {
                unreachable!("groups of one table keep the same states")
            }
        }
    }

    /// Bytes that it takes besides its own size.
    fn bytes(&self) -> usize {
        match self {
            State::Numbers(_) => 0,
            State::Distinct(distinct) => distinct.bytes(),
            State::Sample(sample) => sample.bytes(),
        }
    }

    fn read(&self, function: Function, column: &Column) -> Cell {
        let numbered =
            |number: Option<_>| number.map_or(Cell::Nothing, |number| Cell::numbered(column, number));
        match self {
            State::Numbers(numbers) => match function {
                Function::Sum => numbered(numbers.sum()),
                Function::Min => numbered(numbers.least()),
                Function::Max => numbered(numbers.greatest()),
                Function::Avg | Function::Distinct | Function::Percentile(_) => {
                    numbers.mean().map_or(Cell::Nothing, Cell::float)
                }
            },
            State::Distinct(distinct) => Cell::Number(Number::Int(distinct.count().into())),
            State::Sample(sample) => {
                let Function::Percentile(tenths) = function else {
                    unreachable!("only percentiles keep samples")
                };
                sample.percentile(tenths).map_or(Cell::Nothing, Cell::float)
            }
        }
    }
}
