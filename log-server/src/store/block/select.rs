//! Which rows of a block a filter finds.
//!
//! Must agree with [`Filter::matches`] on every record: what depends on sender, call-site or shape alone is asked of
//! that very function, once for all rows that share it; the rest is asked of columns.

use std::sync::Arc;

use log_record::{CallSite, Kind, Level, LogRecord, Source, Value};

use super::bytes::{Damaged, damaged};
use super::filter::Filter as Terms;
use super::head::{FieldKey, Owner, Shape, Type, label};
use super::read::{Block, Numbers, field_column};
use super::rows::Rows;
use super::{HEAD, Loaded, MESSAGE, SPAN_ID, Summary, THREAD, TRACE_ID, packed};
use crate::query::{Field, Filter, Name, Needle, Scratch, Test, any_inside, is_in_fields, is_in_value, strip_name};
use crate::store::TimeRange;

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
            *terms = Some(Terms::read(loaded.column(super::FILTER)?)?);
        }
        let terms = terms.as_ref().expect("it was read above");
        Ok(column.map_or_else(
            || terms.may_contain_anywhere(needle),
            |column| terms.may_contain(column, needle),
        ))
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
        Filter::Text(needle) => needle.may_be_in_number() || is_literal(needle) || has(None, needle.folded())?,
        Filter::Level { from, to } => level_count(summary, *from, *to) > 0,
        Filter::Field { field, test } => match (column_of(field), test.hint()) {
            (Some(column), Some(hint)) => has(Some(column), hint)?,
            _ => true,
        },
    })
}

/// Whether the needle may be found in `null`, `true` or `false`.
fn is_literal(needle: &Needle) -> bool {
    ["null", "true", "false"].iter().any(|literal| literal.contains(needle.folded()))
}

fn level_count(summary: &Summary, from: Level, to: Level) -> u64 {
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
        Field::Service | Field::Instance | Field::Host | Field::Version | Field::Target | Field::File | Field::Spans => {
            Some(HEAD)
        }
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

/// How much it costs to evaluate; the cheap parts of an `AND` come first.
fn cost(filter: &Filter) -> u8 {
    match filter {
        Filter::All | Filter::Level { .. } => 0,
        Filter::Field { field, .. } => match field {
            Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Target
            | Field::File
            | Field::Line
            | Field::CallSite
            | Field::Flags
            | Field::Spans
            | Field::Attr(_) => 1,
            Field::Thread | Field::TraceId | Field::SpanId | Field::Seq | Field::Span(_) | Field::Own(_) => 2,
            Field::Message => 3,
        },
        Filter::Text(_) => 4,
        Filter::Not(inner) => cost(inner),
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(cost).max().unwrap_or(0),
    }
}

impl Block<'_> {
    /// The rows of that time that the filter finds.
    pub(in crate::store) fn select(&mut self, filter: &Filter, range: TimeRange) -> Result<Rows, Damaged> {
        let (earliest, latest) = self.span();
        let mut rows = if range.holds(earliest) && range.holds(latest) {
            Rows::all(self.rows())
        } else {
            let times = self.times()?;
            Rows::where_true(times.len(), |row| range.holds(log_record::Timestamp::from_nanos(times[row])))
        };
        if !rows.is_empty() && *filter != Filter::All {
            rows.intersect(&self.found(filter)?);
        }
        Ok(rows)
    }

    fn found(&mut self, filter: &Filter) -> Result<Rows, Damaged> {
        match filter {
            Filter::All => Ok(Rows::all(self.rows())),
            Filter::And(parts) => {
                let mut parts: Vec<&Filter> = parts.iter().collect();
                parts.sort_by_key(|part| cost(part));
                let mut rows = Rows::all(self.rows());
                for part in parts {
                    rows.intersect(&self.found(part)?);
                    if rows.is_empty() {
                        break;
                    }
                }
                Ok(rows)
            }
            Filter::Or(parts) => {
                let mut rows = Rows::none(self.rows());
                for part in parts {
                    rows.unite(&self.found(part)?);
                    if rows.is_full() {
                        break;
                    }
                }
                Ok(rows)
            }
            Filter::Not(inner) => {
                let mut rows = self.found(inner)?;
                rows.complement();
                Ok(rows)
            }
            Filter::Text(needle) => self.anywhere(needle),
            Filter::Level { from, to } => {
                let count = level_count(&self.summary, *from, *to);
                if count == 0 {
                    return Ok(Rows::none(self.rows()));
                }
                self.rows_where_callsite(|callsite| (*from..=*to).contains(&callsite.level))
            }
            Filter::Field { field, test } => self.with_field(field, test),
        }
    }

    /// The rows that have the needle in any text.
    fn anywhere(&mut self, needle: &Needle) -> Result<Rows, Damaged> {
        let mut scratch = String::new();
        let mut holds = |text: &str| needle.is_in(text, &mut scratch);
        let mut rows = self.rows_where_source(|source| {
            let labels = [&source.instance, &source.host, &source.version];
            holds(&source.service) || labels.into_iter().flatten().any(|label| holds(label))
        });
        rows.unite(&self.rows_where_callsite(|callsite| {
            holds(&callsite.target) || callsite.file.as_deref().is_some_and(&mut holds)
        })?);
        rows.unite(&self.rows_where_shape(|shape| shape.spans.iter().any(|(name, _)| holds(name)))?);
        for (column, per_shape) in self.label_columns() {
            rows.unite(&self.containing(column, needle.folded(), &per_shape)?);
        }
        for owner in [Owner::Record, Owner::Span] {
            for (number, field) in self.fields_of(owner) {
                if rows.is_full() {
                    return Ok(rows);
                }
                rows.unite(&self.in_field(number, field, needle)?);
            }
        }
        let mut scratch = Scratch::default();
        rows.unite(&self.packed_where(|record| {
            is_in_fields(needle, &record.fields, &mut scratch)
                || record.spans.iter().any(|span| {
                    needle.is_in(&span.name, &mut String::new()) || is_in_fields(needle, &span.fields, &mut scratch)
                })
        })?);
        Ok(rows)
    }

    /// Columns of texts that are no fields, and which rows have them.
    fn label_columns(&self) -> Vec<(u32, Vec<usize>)> {
        let with = |bit: u8| self.per_shape(|shape| usize::from(shape.labels & bit != 0));
        [
            (MESSAGE, self.per_shape(|_| 1)),
            (TRACE_ID, with(label::TRACE_ID)),
            (SPAN_ID, with(label::SPAN_ID)),
            (THREAD, with(label::THREAD)),
        ]
        .into_iter()
        .filter(|(_, per_shape)| per_shape.iter().any(|count| *count > 0))
        .collect()
    }

    fn containing(&mut self, column: u32, needle: &str, per_shape: &[usize]) -> Result<Rows, Damaged> {
        if !self.filter()?.may_contain(column, needle) {
            return Ok(Rows::none(self.rows()));
        }
        let values = self.texts(column)?.containing(needle)?;
        self.rows_with(&values, per_shape)
    }

    fn in_field(&mut self, number: usize, field: FieldKey<'_>, needle: &Needle) -> Result<Rows, Damaged> {
        let per_shape = self.per_shape_of(number);
        match field.type_ {
            Type::Text => self.containing(field_column(number), needle.folded(), &per_shape),
            Type::Json => {
                let mut scratch = Scratch::default();
                let mut holds = |value: &Value| is_in_value(needle, value, &mut scratch);
                self.json_where(number, &per_shape, &mut holds)
            }
            Type::Int | Type::UInt | Type::Float if !needle.may_be_in_number() => Ok(Rows::none(self.rows())),
            Type::Null | Type::Bool | Type::Int | Type::UInt | Type::Float => {
                let mut scratch = Scratch::default();
                self.numbers_where(number, &per_shape, |value| is_in_value(needle, value, &mut scratch))
            }
        }
    }

    fn with_field(&mut self, field: &Field, test: &Test) -> Result<Rows, Damaged> {
        let mut scratch = Scratch::default();
        let mut probe = probe();
        match field {
            Field::Message => {
                let all = self.per_shape(|_| 1);
                self.texts_where(MESSAGE, test, true, &all)
            }
            Field::Thread => self.label_where(THREAD, label::THREAD, test),
            Field::TraceId => self.label_where(TRACE_ID, label::TRACE_ID, test),
            Field::SpanId => self.label_where(SPAN_ID, label::SPAN_ID, test),
            Field::Seq => self.seq_where(test),
            Field::Service | Field::Instance | Field::Host | Field::Version | Field::Boot | Field::Attr(_) => {
                Ok(self.rows_where_source(|source| field.passes(test, &probe, source, &mut scratch)))
            }
            Field::Target | Field::File | Field::Line | Field::CallSite => self.rows_where_callsite(|callsite| {
                probe.callsite = callsite.clone();
                field.passes(test, &probe, &Source::default(), &mut scratch)
            }),
            Field::Flags => self.rows_where_shape(|shape| {
                probe.flags = log_record::Flags::from_bits(shape.flags);
                field.passes(test, &probe, &Source::default(), &mut scratch)
            }),
            Field::Spans => {
                let mut rows = self.rows_where_shape(|shape| {
                    probe.spans = shape.spans.iter().map(|(name, _)| named_span(name)).collect();
                    field.passes(test, &probe, &Source::default(), &mut scratch)
                })?;
                rows.unite(&self.packed_where(|record| {
                    field.passes(test, record, &Source::default(), &mut Scratch::default())
                })?);
                Ok(rows)
            }
            Field::Span(name) => self.own_where(Owner::Span, name, field, test),
            Field::Own(name) => self.own_where(Owner::Record, name, field, test),
        }
    }

    fn label_where(&mut self, column: u32, bit: u8, test: &Test) -> Result<Rows, Damaged> {
        let per_shape = self.per_shape(|shape| usize::from(shape.labels & bit != 0));
        if per_shape.iter().all(|count| *count == 0) {
            return Ok(Rows::none(self.rows()));
        }
        self.texts_where(column, test, false, &per_shape)
    }

    /// The rows of which some text of the column is not empty and passes. Of a message, a part may pass.
    fn texts_where(
        &mut self,
        column: u32,
        test: &Test,
        is_message: bool,
        per_shape: &[usize],
    ) -> Result<Rows, Damaged> {
        let hint = test.hint();
        if let Some(hint) = hint
            && !self.filter()?.may_contain(column, hint)
        {
            return Ok(Rows::none(self.rows()));
        }
        let texts = self.texts(column)?;
        let mut folded = String::new();
        let values = match (test, hint) {
            (Test::Is(pattern), Some(hint)) if is_message && pattern.pieces().len() == 1 => texts.containing(hint)?,
            (Test::Is(pattern), _) if is_message => texts.passing(hint, &mut |text| {
                !text.is_empty() && pattern.is_in(text, &mut folded)
            })?,
            (Test::Compare(..) | Test::Range(..), _) => {
                texts.numbers_passing(&mut |text| test.text(text, &mut folded))?
            }
            (Test::Present | Test::Is(_) | Test::Matches(_), _) => {
                texts.passing(hint, &mut |text| !text.is_empty() && test.text(text, &mut folded))?
            }
        };
        self.rows_with(&values, per_shape)
    }

    fn seq_where(&mut self, test: &Test) -> Result<Rows, Damaged> {
        let per_shape = self.per_shape(|shape| usize::from(shape.labels & label::SEQ != 0));
        let seqs = self.seqs()?.all()?;
        let mut scratch = Scratch::default();
        let values = Rows::where_true(seqs.len(), |index| test.value(&Value::UInt(seqs[index] as u64), &mut scratch));
        self.rows_with(&values, &per_shape)
    }

    /// Fields of records or of spans. A column whose name is the beginning of the path may have the rest inside.
    fn own_where(&mut self, owner: Owner, name: &Name, field: &Field, test: &Test) -> Result<Rows, Damaged> {
        let mut rows = Rows::none(self.rows());
        for (number, known) in self.fields_of(owner) {
            let per_shape = self.per_shape_of(number);
            match strip_name(&name.0, known.name) {
                Some("") => rows.unite(&self.field_where(number, known.type_, test, &per_shape)?),
                Some(rest) if known.type_ == Type::Json => {
                    let Some(rest) = rest.strip_prefix('.') else { continue };
                    let mut scratch = Scratch::default();
                    let mut passes =
                        |value: &Value| any_inside(rest, value, &mut |value| test.value(value, &mut scratch));
                    rows.unite(&self.json_where(number, &per_shape, &mut passes)?);
                }
                Some(_) | None => {}
            }
        }
        let mut scratch = Scratch::default();
        rows.unite(&self.packed_where(|record| field.passes(test, record, &Source::default(), &mut scratch))?);
        Ok(rows)
    }

    fn field_where(
        &mut self,
        number: usize,
        type_: Type,
        test: &Test,
        per_shape: &[usize],
    ) -> Result<Rows, Damaged> {
        let mut scratch = Scratch::default();
        if matches!(test, Test::Present) {
            return self.rows_where_shape_index(|shape| per_shape[shape] > 0);
        }
        match type_ {
            Type::Text => self.field_text_where(number, test, per_shape),
            Type::Json => self.json_where(number, per_shape, &mut |value| test.value(value, &mut scratch)),
            Type::Int | Type::UInt | Type::Float if !test_may_pass_number(test) => Ok(Rows::none(self.rows())),
            Type::Null | Type::Bool | Type::Int | Type::UInt | Type::Float => {
                self.numbers_where(number, per_shape, |value| test.value(value, &mut scratch))
            }
        }
    }

    fn field_text_where(&mut self, number: usize, test: &Test, per_shape: &[usize]) -> Result<Rows, Damaged> {
        let column = field_column(number);
        let hint = test.hint();
        if let Some(hint) = hint
            && !self.filter()?.may_contain(column, hint)
        {
            return Ok(Rows::none(self.rows()));
        }
        let texts = self.texts(column)?;
        let mut folded = String::new();
        let values = match test {
            Test::Compare(..) | Test::Range(..) => texts.numbers_passing(&mut |text| test.text(text, &mut folded))?,
            Test::Present | Test::Is(_) | Test::Matches(_) => {
                texts.passing(hint, &mut |text| test.text(text, &mut folded))?
            }
        };
        self.rows_with(&values, per_shape)
    }

    /// The rows of which some value of a field passes that is neither text nor JSON.
    fn numbers_where(
        &mut self,
        number: usize,
        per_shape: &[usize],
        mut passes: impl FnMut(&Value) -> bool,
    ) -> Result<Rows, Damaged> {
        let mut each = |values: Vec<i64>, value: fn(i64) -> Value| {
            Rows::where_true(values.len(), |index| passes(&value(values[index])))
        };
        let values = match self.numbers(number)? {
            Numbers::Nulls => {
                return if passes(&Value::Null) {
                    self.rows_where_shape_index(|shape| per_shape[shape] > 0)
                } else {
                    Ok(Rows::none(self.rows()))
                };
            }
            Numbers::Bools(values) => each(values.all()?, |value| Value::Bool(value != 0)),
            Numbers::Ints(values) => each(values.all()?, Value::Int),
            Numbers::UInts(values) => each(values.all()?, |value| Value::UInt(value as u64)),
            Numbers::Floats(values) => {
                let values = values.all()?;
                Rows::where_true(values.len(), |index| passes(&Value::Float(values[index])))
            }
        };
        self.rows_with(&values, per_shape)
    }

    fn json_where(
        &mut self,
        number: usize,
        per_shape: &[usize],
        passes: &mut dyn FnMut(&Value) -> bool,
    ) -> Result<Rows, Damaged> {
        let mut all_json = true;
        let values = self.texts(field_column(number))?.passing(None, &mut |text| {
            Value::from_json(text).map_or_else(
                || {
                    all_json = false;
                    false
                },
                |value| passes(&value),
            )
        })?;
        if !all_json {
            return Err(damaged("a value is not JSON"));
        }
        self.rows_with(&values, per_shape)
    }

    /// The rows that were packed and whose fields and spans pass.
    fn packed_where(&mut self, mut passes: impl FnMut(&LogRecord) -> bool) -> Result<Rows, Damaged> {
        let Some((number, _)) = self.fields_of(Owner::Packed).pop() else {
            return Ok(Rows::none(self.rows()));
        };
        let per_shape = self.per_shape_of(number);
        let mut unreadable = None;
        let mut record = probe();
        let values = self.texts(field_column(number))?.passing(None, &mut |text| match packed::read(text) {
            Ok((fields, spans)) => {
                (record.fields, record.spans) = (fields, spans);
                passes(&record)
            }
            Err(error) => {
                unreadable = Some(error);
                false
            }
        })?;
        match unreadable {
            None => self.rows_with(&values, &per_shape),
            Some(error) => Err(error),
        }
    }

    /// How many values of a field the rows of each shape have.
    pub(super) fn per_shape_of(&self, field: usize) -> Vec<usize> {
        self.per_shape(|shape: &Shape<'_>| shape.columns().filter(|column| *column as usize == field).count())
    }

    fn rows_where_shape_index(&mut self, mut passes: impl FnMut(usize) -> bool) -> Result<Rows, Damaged> {
        let mut index = 0;
        self.rows_where_shape(|_| {
            index += 1;
            passes(index - 1)
        })
    }
}

/// Whether a number can pass at all, whichever it is.
fn test_may_pass_number(test: &Test) -> bool {
    match test {
        Test::Is(pattern) => pattern.number().is_some() || pattern.pieces().iter().all(Needle::may_be_in_number),
        Test::Present | Test::Compare(..) | Test::Range(..) | Test::Matches(_) => true,
    }
}

/// A record that has nothing, to be given the one thing that is asked about.
pub(super) fn probe() -> LogRecord {
    LogRecord {
        seq: None,
        time: log_record::Timestamp::default(),
        callsite: Arc::new(CallSite {
            target: "".into(),
            file: None,
            line: None,
            level: Level::Info,
            kind: Kind::Event,
        }),
        message: String::new(),
        fields: Vec::new(),
        spans: Vec::new(),
        trace_id: None,
        span_id: None,
        thread: None,
        flags: log_record::Flags::default(),
    }
}

pub(super) fn named_span(name: &str) -> log_record::Span {
    log_record::Span {
        name: name.to_owned(),
        fields: Vec::new(),
    }
}
