//! How often rows of a block have which names, levels or values, counted by column.

use std::collections::HashMap;

use log_record::{Level, Source, Value};

use super::bytes::{Damaged, damaged};
use super::head::{Owner, Shape, Type};
use super::probe::probe;
use super::read::{Block, Numbers, field_column};
use super::records::ROWS_AT_ONCE;
use super::rows::Rows;
use super::{MESSAGE, SPAN_ID, THREAD, TRACE_ID, head::label};
use crate::query::{Column, Field, Filter, Name, Scratch, Test, strip_name};
use crate::store::{CountOf, Parts, TimeRange};

type Counts = HashMap<i64, u64, foldhash::fast::RandomState>;

impl Block<'_> {
    /// Shows what is counted, and how often `rows` have it. The same text may be shown more than once.
    pub(in crate::store) fn count(
        &mut self,
        what: &CountOf<'_>,
        rows: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        if rows.is_empty() {
            return Ok(());
        }
        match what {
            CountOf::Names => self.count_names(rows, see),
            CountOf::Levels => {
                let mut counts = [0; Level::ALL.len()];
                let mut levels = self.levels()?;
                for row in rows.iter() {
                    counts[levels.of(row)? as usize] += 1;
                }
                for (level, count) in Level::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
                    see(level.as_str(), count);
                }
                Ok(())
            }
            CountOf::Values(field) => self.count_values(field, rows, see),
        }
    }

    /// Shows what groups the `rows` fall into by one column, or by none, and how many fall into each: a value, or nothing
    /// for those that have none. `false` if only the records themselves can tell.
    pub(in crate::store) fn group(
        &mut self,
        by: Option<&Column>,
        rows: &Rows,
        see: &mut dyn FnMut(Option<&str>, u64),
    ) -> Result<bool, Damaged> {
        let all = rows.count() as u64;
        let mut with = 0;
        let mut see_value = |value: &str, count: u64| {
            with += count;
            see(Some(value), count);
        };
        match by {
            None => {}
            Some(Column::Level) => self.count(&CountOf::Levels, rows, &mut see_value)?,
            Some(Column::Field(field)) if self.is_single(field) => {
                self.count(&CountOf::Values(field), rows, &mut see_value)?;
            }
            Some(Column::Time | Column::Field(_)) => return Ok(false),
        }
        match all.checked_sub(with) {
            Some(0) => {}
            Some(without) => see(None, without),
            None => return Err(damaged("a column has other values than its rows")),
        }
        Ok(true)
    }

    /// As [`Block::group`], if all that the filter asks of rows is a value of the column that they are grouped by: then
    /// every value counts, and which rows have them need not be known. `false` if it asks for something else.
    pub(in crate::store) fn group_present(
        &mut self,
        by: Option<&Column>,
        filter: &Filter,
        range: TimeRange,
        see: &mut dyn FnMut(Option<&str>, u64),
    ) -> Result<bool, Damaged> {
        let (
            Some(Column::Field(field @ Field::Own(_))),
            Filter::Field {
                field: asked,
                test: Test::Present,
            },
        ) = (by, filter)
        else {
            return Ok(false);
        };
        if asked != field || !self.is_within(range) || !self.is_single(field) {
            return Ok(false);
        }
        let all = Rows::all(self.rows());
        self.count(&CountOf::Values(field), &all, &mut |value, count| {
            see(Some(value), count)
        })?;
        Ok(true)
    }

    /// Whether no record has two values of the field, and its values are columns.
    fn is_single(&self, field: &Field) -> bool {
        match field {
            Field::Message
            | Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Target
            | Field::File
            | Field::Line
            | Field::CallSite
            | Field::Thread
            | Field::TraceId
            | Field::SpanId => true,
            Field::Own(name) => {
                let is_it =
                    |number: &&u32| strip_name(&name.0, self.head.fields[**number as usize].name) == Some("");
                let once = |shape: &Shape<'_>| shape.fields.iter().filter(is_it).count() <= 1;
                self.is_column(name) && self.head.shapes.iter().all(once)
            }
            Field::Seq | Field::Flags | Field::Spans | Field::Span(_) | Field::Attr(_) => false,
        }
    }

    fn count_names(&mut self, rows: &Rows, see: &mut dyn FnMut(&str, u64)) -> Result<(), Damaged> {
        let packed = self.fields_of(Owner::Packed);
        if !packed.is_empty() {
            return self.one_by_one(&Parts::Names, rows, &mut |stored, _| {
                stored.record.fields.iter().for_each(|(name, _)| see(name, 1));
            });
        }
        let mut of_shape = vec![0; self.head.shapes.len()];
        let codes = self.shape_codes()?;
        rows.iter().for_each(|row| of_shape[codes[row] as usize] += 1);
        let mut of_field = vec![0; self.head.fields.len()];
        for (shape, count) in self.head.shapes.iter().zip(of_shape) {
            shape
                .fields
                .iter()
                .for_each(|field| of_field[*field as usize] += count);
        }
        for (field, count) in self
            .head
            .fields
            .iter()
            .zip(of_field)
            .filter(|(_, count)| *count > 0)
        {
            see(field.name, count);
        }
        Ok(())
    }

    fn count_values(
        &mut self,
        field: &Field,
        rows: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        match field {
            Field::Message => self.count_label(MESSAGE, None, rows, see),
            Field::Thread => self.count_label(THREAD, Some(label::THREAD), rows, see),
            Field::TraceId => self.count_label(TRACE_ID, Some(label::TRACE_ID), rows, see),
            Field::SpanId => self.count_label(SPAN_ID, Some(label::SPAN_ID), rows, see),
            Field::Service
            | Field::Instance
            | Field::Host
            | Field::Version
            | Field::Boot
            | Field::Attr(_) => {
                self.count_sources(field, rows, see);
                Ok(())
            }
            Field::Target | Field::File | Field::Line | Field::CallSite => {
                self.count_callsites(field, rows, see)
            }
            Field::Own(name) if self.is_column(name) => self.count_own(name, rows, see),
            Field::Own(_) | Field::Span(_) | Field::Spans | Field::Seq | Field::Flags => {
                let parts = Parts::Of(vec![field.clone()]);
                self.one_by_one(&parts, rows, &mut |stored, scratch| {
                    field.each_value(&stored.record, &stored.source, scratch, &mut |value| {
                        see(value, 1)
                    });
                })
            }
        }
    }

    /// Whether the field's values are columns: nothing packed, and nothing inside of maps.
    fn is_column(&self, name: &Name) -> bool {
        let fields = self.head.fields.iter();
        let mut own = fields.filter(|field| field.owner != Owner::Span);
        own.all(|field| {
            field.owner == Owner::Record
                && (field.type_ != Type::Json || strip_name(&name.0, field.name).is_none())
        })
    }

    fn count_own(&mut self, name: &Name, rows: &Rows, see: &mut dyn FnMut(&str, u64)) -> Result<(), Damaged> {
        for (number, field) in self.fields_of(Owner::Record) {
            if strip_name(&name.0, field.name) != Some("") {
                continue;
            }
            let per_shape = self.per_shape_of(number);
            if field.type_ == Type::Text {
                if rows.is_full() {
                    // Whose value each is need not be known.
                    let texts = self.texts(field_column(number))?;
                    texts.count(&Rows::all(texts.length()), &mut *see)?;
                    continue;
                }
                let values = self.values_of(rows, &per_shape)?;
                let texts = self.texts(field_column(number))?;
                if texts.length() != values.length() {
                    return Err(damaged("a column has other values than its rows"));
                }
                texts.count(&values, &mut *see)?;
            } else {
                let values = self.values_of(rows, &per_shape)?;
                self.count_numbers(number, &values, see)?;
            }
        }
        Ok(())
    }

    fn count_numbers(
        &mut self,
        number: usize,
        values: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        let (all, value): (Vec<i64>, fn(i64) -> Value) = match self.numbers(number)? {
            Numbers::Nulls => {
                see("null", values.count() as u64);
                return Ok(());
            }
            Numbers::Bools(column) => (column.all()?, |value| Value::Bool(value != 0)),
            Numbers::Ints(column) => (column.all()?, Value::Int),
            Numbers::UInts(column) => (column.all()?, |value| Value::UInt(value as u64)),
            Numbers::Floats(column) => {
                let bits = column
                    .all()?
                    .into_iter()
                    .map(|value| value.to_bits() as i64)
                    .collect();
                (bits, |value| Value::Float(f64::from_bits(value as u64)))
            }
        };
        if all.len() != values.length() {
            return Err(damaged("a column has other values than its rows"));
        }
        let mut counts = Counts::default();
        values
            .iter()
            .for_each(|index| *counts.entry(all[index]).or_default() += 1);
        let mut scratch = String::new();
        for (bits, count) in counts {
            value(bits).with_text(&mut scratch, |text| see(text, count));
        }
        Ok(())
    }

    fn count_label(
        &mut self,
        column: u32,
        bit: Option<u8>,
        rows: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        let per_shape = self.per_shape(|shape| usize::from(bit.is_none_or(|bit| shape.labels & bit != 0)));
        let values = self.values_of(rows, &per_shape)?;
        if values.is_empty() {
            return Ok(());
        }
        let texts = self.texts(column)?;
        if texts.length() != values.length() {
            return Err(damaged("a column has other values than its rows"));
        }
        texts.count(&values, |text, count| {
            if !text.is_empty() {
                see(text, count);
            }
        })
    }

    fn count_sources(&self, field: &Field, rows: &Rows, see: &mut dyn FnMut(&str, u64)) {
        let mut counts = vec![0; self.head.sources.len()];
        for run in &self.head.runs {
            let found = (run.start..run.start + run.rows).filter(|row| rows.holds(*row));
            counts[run.source] += found.count() as u64;
        }
        let (probe, mut scratch) = (probe(), Scratch::default());
        for (source, count) in self
            .head
            .sources
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
        {
            field.each_value(&probe, source, &mut scratch, &mut |value| see(value, count));
        }
    }

    fn count_callsites(
        &mut self,
        field: &Field,
        rows: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        let mut counts = vec![0; self.head.callsites.all()?.len()];
        let codes = self.callsite_codes()?;
        rows.iter().for_each(|row| counts[codes[row] as usize] += 1);
        let (mut probe, mut scratch) = (probe(), Scratch::default());
        for (callsite, count) in self
            .head
            .callsites
            .all()?
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
        {
            probe.callsite = callsite.clone();
            field.each_value(&probe, &Source::default(), &mut scratch, &mut |value| {
                see(value, count)
            });
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        parts: &Parts,
        rows: &Rows,
        see: &mut dyn FnMut(&crate::store::StoredRecord, &mut Scratch),
    ) -> Result<(), Damaged> {
        let rows: Vec<usize> = rows.iter().collect();
        let mut scratch = Scratch::default();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.records(rows, parts)?
                .iter()
                .for_each(|stored| see(stored, &mut scratch));
        }
        Ok(())
    }
}
