//! Which rows of a block a filter finds.
//!
//! Must agree with [`Filter::matches`] on every record: what depends on sender, call-site or shape alone is asked of
//! that very function, once for all rows that share it; the rest is asked of columns.

use log_record::{Flags, Source, Timestamp, Value};

use super::bytes::Damaged;
use super::head::{Owner, Type, label};
use super::probe::{named_span, probe};
use super::prune::level_count;
use super::read::{Block, field_column};
use super::rows::Rows;
use super::{MESSAGE, SPAN_ID, THREAD, TRACE_ID};
use crate::query::{Field, Filter, Needle, Scratch, Test, is_in_fields};
use crate::store::TimeRange;

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
        let mut rows = if self.is_within(range) {
            Rows::all(self.rows())
        } else {
            self.within(range)?
        };
        if !rows.is_empty() && *filter != Filter::All {
            rows.intersect(&self.found(filter)?);
        }
        Ok(rows)
    }

    /// How many rows of that time the filter finds, if that can be told without finding out which they are.
    pub(in crate::store) fn count_found(
        &mut self,
        filter: &Filter,
        range: TimeRange,
    ) -> Result<Option<u64>, Damaged> {
        if !self.is_within(range) {
            return Ok(None);
        }
        Ok(match filter {
            Filter::All => Some(self.rows() as u64),
            Filter::Level { from, to } => Some(level_count(&self.summary, *from, *to)),
            Filter::Field { field, test } if *field == Field::Message => match only_piece(test) {
                Some(piece) if self.filter()?.may_contain(MESSAGE, piece)? => {
                    let texts = self.texts(MESSAGE)?;
                    let found = texts.find(piece)?;
                    Some(texts.count_of(&found) as u64)
                }
                Some(_) => Some(0),
                None => None,
            },
            Filter::Text(needle) => self.count_anywhere(needle)?,
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) | Filter::Field { .. } => None,
        })
    }

    /// How many rows have the needle in any text, if that is a text of their own. Which rows these are need not be known if
    /// only one column has it, and rows have one value of that.
    fn count_anywhere(&mut self, needle: &Needle) -> Result<Option<u64>, Damaged> {
        if !self.fields_of(Owner::Packed).is_empty() || !self.sharing(needle)?.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for (column, per_shape) in self.label_columns() {
            if self.filter()?.may_contain(column, needle.folded())? {
                columns.push((column, per_shape));
            }
        }
        for owner in [Owner::Record, Owner::Span] {
            for (number, field) in self.fields_of(owner) {
                if !self.may_hold(number, field, needle)? {
                    continue;
                }
                if field.type_ != Type::Text {
                    return Ok(None);
                }
                columns.push((field_column(number), self.per_shape_of(number)));
            }
        }
        let mut having = Vec::new();
        for (column, per_shape) in columns {
            let texts = self.texts(column)?;
            let found = texts.find(needle.folded())?;
            if texts.count_of(&found) > 0 {
                having.push((column, per_shape, found));
            }
        }
        if let [(column, per_shape, found)] = &*having
            && per_shape.iter().all(|values| *values <= 1)
        {
            return Ok(Some(self.texts(*column)?.count_of(found) as u64));
        }
        let mut rows = Rows::none(self.rows());
        for (column, per_shape, found) in having {
            let values = self.texts(column)?.rows_of(found)?;
            rows.unite(&self.rows_with(&values, &per_shape)?);
        }
        Ok(Some(rows.count() as u64))
    }

    /// Whether all rows are of that time.
    pub(super) fn is_within(&self, range: TimeRange) -> bool {
        let (earliest, latest) = self.span();
        range.holds(earliest) && range.holds(latest)
    }

    /// The rows of that time.
    fn within(&mut self, range: TimeRange) -> Result<Rows, Damaged> {
        let mut rows = Rows::none(self.rows());
        let holds = |time| range.holds(Timestamp::from_nanos(time));
        for chunk in self.chunks()?.iter() {
            let (first, last) = (holds(chunk.earliest), holds(chunk.latest));
            let around = range.from.as_nanos() > chunk.earliest && range.to.as_nanos() <= chunk.latest;
            if first && last {
                chunk.rows.clone().for_each(|row| rows.insert(row));
            } else if first || last || around {
                for row in chunk.rows.clone() {
                    if holds(self.time(row)?) {
                        rows.insert(row);
                    }
                }
            }
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

    /// The rows that have the needle in a text that they share with others: of their sender, call-site or shape.
    fn sharing(&mut self, needle: &Needle) -> Result<Rows, Damaged> {
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
        Ok(rows)
    }

    /// The rows that have the needle in any text.
    fn anywhere(&mut self, needle: &Needle) -> Result<Rows, Damaged> {
        let mut rows = self.sharing(needle)?;
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
                    needle.is_in(&span.name, &mut String::new())
                        || is_in_fields(needle, &span.fields, &mut scratch)
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

    pub(super) fn containing(
        &mut self,
        column: u32,
        needle: &str,
        per_shape: &[usize],
    ) -> Result<Rows, Damaged> {
        if !self.filter()?.may_contain(column, needle)? {
            return Ok(Rows::none(self.rows()));
        }
        let values = self.texts(column)?.containing(needle)?;
        self.rows_with(&values, per_shape)
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
            Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Attr(_) => {
                Ok(self.rows_where_source(|source| field.passes(test, &probe, source, &mut scratch)))
            }
            Field::Target | Field::File | Field::Line | Field::CallSite => {
                self.rows_where_callsite(|callsite| {
                    probe.callsite = callsite.clone();
                    field.passes(test, &probe, &Source::default(), &mut scratch)
                })
            }
            Field::Flags => self.rows_where_shape(|shape| {
                probe.flags = Flags::from_bits(shape.flags);
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
            && !self.filter()?.may_contain(column, hint)?
        {
            return Ok(Rows::none(self.rows()));
        }
        let texts = self.texts(column)?;
        let mut folded = String::new();
        let values = match (test, hint) {
            (Test::Is(_), Some(hint)) if is_message && only_piece(test).is_some() => {
                texts.containing(hint)?
            }
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
        let values = Rows::where_true(seqs.len(), |index| {
            test.value(&Value::UInt(seqs[index] as u64), &mut scratch)
        });
        self.rows_with(&values, &per_shape)
    }
}

/// What a message must contain, without case, if that is all that the test asks of it.
fn only_piece(test: &Test) -> Option<&str> {
    match test {
        Test::Is(pattern) if pattern.pieces().len() == 1 => test.hint(),
        Test::Is(_) | Test::Present | Test::Matches(_) | Test::Compare(..) | Test::Range(..) => None,
    }
}
