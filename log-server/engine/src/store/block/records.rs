//! Rows of a block as records again.

use log_record::{Fields, Flags, LogRecord, Span, Timestamp, Value};

use super::bytes::{Damaged, damaged};
use super::head::{Owner, Shape, SpanShape, Type, label};
use super::probe::{named_span, probe};
use super::read::{Block, Numbers, field_column};
use super::{Columns, Loaded, MESSAGE, SPAN_ID, Summary, THREAD, TRACE_ID, packed};
use crate::store::{Parts, StoredBatch, StoredRecord};

/// Where in a record a value belongs.
#[derive(Clone, Copy)]
enum Spot {
    Field(usize),
    /// Which span, and which of its fields.
    Span(usize, usize),
    /// All fields and spans are in the value.
    Packed,
}

/// Rows that are made records.
struct Chosen<'r> {
    /// They rise.
    rows: &'r [usize],
    /// The shape of each.
    shapes: Vec<usize>,
    /// Which shapes these are.
    has_shape: Vec<bool>,
    /// For each of few rows, how many rows of each shape are before it.
    before: Option<Vec<Vec<u32>>>,
}

/// Rows that are made records at the same time: enough to share the cost of decoding, few enough to fit a cache.
pub(in crate::store) const ROWS_AT_ONCE: usize = 4_096;
/// Decoding few rows of a block with few shapes counts the rows before each; otherwise every column is walked through.
const COUNTED_MOST: usize = 65_536;

impl Block<'_> {
    /// The records at `rows`, which rise; of each only `parts`, and always time, sender and call-site.
    pub(in crate::store) fn records(
        &mut self,
        rows: &[usize],
        parts: &Parts,
    ) -> Result<Vec<StoredRecord>, Damaged> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = self.choose(rows)?;
        let mut records = self.bare(&chosen, parts)?;
        if parts.has_message() {
            self.texts(MESSAGE)?.each(
                rows,
                at(rows, |index, text| {
                    records[index].record.message = text.to_owned().into()
                }),
            )?;
        }
        let having = self.shapes_having();
        for (column, bit, wanted) in [
            (TRACE_ID, label::TRACE_ID, parts.has_trace_id()),
            (SPAN_ID, label::SPAN_ID, parts.has_span_id()),
            (THREAD, label::THREAD, parts.has_thread()),
        ] {
            let per_shape = self.per_shape(|shape| usize::from(shape.labels & bit != 0));
            if !wanted || per_shape.iter().all(|count| *count == 0) {
                continue;
            }
            let (indexes, owners) = self.present(&chosen, &per_shape)?;
            self.texts(column)?.each(
                &indexes,
                at(&indexes, |index, text| {
                    let record = &mut records[owners[index]].record;
                    let label = match column {
                        TRACE_ID => &mut record.trace_id,
                        SPAN_ID => &mut record.span_id,
                        _ => &mut record.thread,
                    };
                    *label = Some(text.to_owned().into());
                }),
            )?;
        }
        if parts.has_seq() {
            let per_shape = self.per_shape(|shape| usize::from(shape.labels & label::SEQ != 0));
            let (indexes, owners) = self.present(&chosen, &per_shape)?;
            let seqs = self.seqs()?;
            for (index, owner) in indexes.into_iter().zip(owners) {
                records[owner].record.seq = Some(seqs.at(index)? as u64);
            }
        }
        for (field, having) in having.iter().enumerate() {
            let key = self.head.fields[field];
            let wanted = match key.owner {
                Owner::Record => parts.has_field(key.name),
                Owner::Span => parts.has_span_field(key.name),
                Owner::Packed => parts.has_fields() || parts.has_spans(),
            };
            if wanted && having.iter().any(|shape| chosen.has_shape[*shape]) {
                self.fill(field, having, &chosen, &mut records)?;
            }
        }
        Ok(records)
    }

    /// Records with what needs no column of its own.
    fn bare(&mut self, chosen: &Chosen<'_>, parts: &Parts) -> Result<Vec<StoredRecord>, Damaged> {
        let rows = chosen.rows.iter().zip(&chosen.shapes);
        rows.map(|(row, shape)| {
            let callsite = self.callsite(*row)?.clone();
            let time = Timestamp::from_nanos(self.time(*row)?);
            let (id, source) = self.identity(*row);
            let source = source.clone();
            let shape = &self.head.shapes[*shape];
            let record = LogRecord {
                time,
                flags: Flags::from_bits(shape.flags),
                fields: if parts.has_fields() {
                    self.named(&shape.fields)
                } else {
                    Vec::new()
                },
                spans: if parts.has_spans() {
                    self.spans(shape)
                } else {
                    Vec::new()
                },
                ..probe_of(callsite)
            };
            Ok(StoredRecord { id, source, record })
        })
        .collect()
    }

    fn named(&self, fields: &[u32]) -> Fields {
        let name = |field: &u32| {
            let name = self.head.fields[*field as usize].name.to_owned();
            (name.into(), Value::Null)
        };
        fields.iter().map(name).collect()
    }

    fn spans(&self, shape: &Shape<'_>) -> Vec<Span> {
        let span = |(name, fields): &SpanShape<'_>| Span {
            fields: self.named(fields),
            ..named_span(name)
        };
        shape.spans.iter().map(span).collect()
    }

    /// Fills the values of a field into the records that have it.
    fn fill(
        &mut self,
        field: usize,
        having: &[usize],
        chosen: &Chosen<'_>,
        records: &mut [StoredRecord],
    ) -> Result<(), Damaged> {
        let shapes = &self.head.shapes;
        let mut spots: Vec<Vec<Spot>> = vec![Vec::new(); shapes.len()];
        for shape in having {
            spots[*shape] = self.spots(&shapes[*shape], field as u32);
        }
        let per_shape: Vec<usize> = spots.iter().map(Vec::len).collect();
        let starts = self.starts(chosen, &per_shape)?;
        let mut indexes = Vec::new();
        let mut places = Vec::new();
        for (owner, (code, start)) in chosen.shapes.iter().zip(&starts).enumerate() {
            for (offset, spot) in spots[*code].iter().enumerate() {
                indexes.push(start + offset);
                places.push((owner, *spot));
            }
        }
        let mut put = |index: usize, value: Value| {
            let (owner, spot) = places[index];
            let record = &mut records[owner].record;
            match spot {
                // The part may not be wanted, and then has no place.
                Spot::Field(field) => {
                    if let Some((_, place)) = record.fields.get_mut(field) {
                        *place = value;
                    }
                }
                Spot::Span(span, field) => {
                    if let Some((_, place)) = record
                        .spans
                        .get_mut(span)
                        .and_then(|span| span.fields.get_mut(field))
                    {
                        *place = value;
                    }
                }
                Spot::Packed => {}
            }
        };
        match self.head.fields[field].type_ {
            Type::Text => self.texts(field_column(field))?.each(
                &indexes,
                at(&indexes, |index, text| {
                    put(index, Value::Text(text.to_owned().into()))
                }),
            ),
            Type::Json if self.head.fields[field].owner == Owner::Packed => {
                self.each_readable(field, &indexes, |index, text| {
                    let record = &mut records[places[index].0].record;
                    (record.fields, record.spans) = packed::read(text)?;
                    Ok(())
                })
            }
            Type::Json => self.each_readable(field, &indexes, |index, text| {
                put(
                    index,
                    Value::from_json(text).ok_or(damaged("a value is not JSON"))?,
                );
                Ok(())
            }),
            Type::Null | Type::Bool | Type::Int | Type::UInt | Type::Float => {
                let numbers = self.numbers(field)?;
                for (index, value) in indexes.iter().enumerate() {
                    put(index, numbers.at(*value)?);
                }
                Ok(())
            }
        }
    }

    /// By field, the shapes that have it: most fields are in few of them.
    fn shapes_having(&self) -> Vec<Vec<usize>> {
        let mut having = vec![Vec::new(); self.head.fields.len()];
        for (index, shape) in self.head.shapes.iter().enumerate() {
            for field in shape.columns() {
                // A damaged block may name a field that is not there.
                let shapes: Option<&mut Vec<usize>> = having.get_mut(field as usize);
                shapes
                    .filter(|shapes| shapes.last() != Some(&index))
                    .into_iter()
                    .for_each(|shapes| shapes.push(index));
            }
        }
        having
    }

    /// Shows the JSON texts at `indexes` of a field until one cannot be read.
    fn each_readable(
        &mut self,
        field: usize,
        indexes: &[usize],
        mut read: impl FnMut(usize, &str) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let mut outcome = Ok(());
        let texts = self.texts(field_column(field))?;
        texts.each(
            indexes,
            at(indexes, |index, text| {
                if outcome.is_ok() {
                    outcome = read(index, text);
                }
            }),
        )?;
        outcome
    }

    fn spots(&self, shape: &Shape<'_>, field: u32) -> Vec<Spot> {
        if self.head.fields[field as usize].owner == Owner::Packed {
            let has = shape.fields.contains(&field);
            return if has { vec![Spot::Packed] } else { Vec::new() };
        }
        let own = shape.fields.iter().enumerate();
        let own = own
            .filter(|(_, known)| **known == field)
            .map(|(index, _)| Spot::Field(index));
        let spans = shape.spans.iter().enumerate().flat_map(|(span, (_, fields))| {
            let fields = fields.iter().enumerate().filter(|(_, known)| **known == field);
            fields.map(move |(index, _)| Spot::Span(span, index))
        });
        own.chain(spans).collect()
    }

    fn choose<'r>(&mut self, rows: &'r [usize]) -> Result<Chosen<'r>, Damaged> {
        let known = self.head.shapes.len();
        let codes = self.shape_codes_of_first(rows.last().map_or(0, |last| last + 1))?;
        let shapes: Vec<usize> = rows.iter().map(|row| codes[*row] as usize).collect();
        let mut has_shape = vec![false; known];
        shapes.iter().for_each(|shape| has_shape[*shape] = true);
        let mut counts = vec![0; known];
        let mut from = 0;
        let count = |row: &usize| {
            for code in &codes[from..*row] {
                counts[*code as usize] += 1;
            }
            from = *row;
            counts.clone()
        };
        let are_few = rows.len() * known <= COUNTED_MOST;
        Ok(Chosen {
            rows,
            shapes,
            has_shape,
            before: are_few.then(|| rows.iter().map(count).collect()),
        })
    }

    /// For each row, how many values of a column are before its own.
    fn starts(&mut self, chosen: &Chosen<'_>, per_shape: &[usize]) -> Result<Vec<usize>, Damaged> {
        if let Some(before) = &chosen.before {
            let having: Vec<(usize, usize)> = per_shape
                .iter()
                .copied()
                .enumerate()
                .filter(|(_, n)| *n > 0)
                .collect();
            let sum = |counts: &Vec<u32>| having.iter().map(|(shape, n)| counts[*shape] as usize * n).sum();
            return Ok(before.iter().map(sum).collect());
        }
        let codes = self.shape_codes_of_first(chosen.rows.last().map_or(0, |last| last + 1))?;
        let (mut from, mut start) = (0, 0);
        let walk = |row: &usize| {
            start += codes[from..*row]
                .iter()
                .map(|code| per_shape[*code as usize])
                .sum::<usize>();
            from = *row;
            start
        };
        Ok(chosen.rows.iter().map(walk).collect())
    }

    /// Of the rows that have a column that no row has twice: the values' indexes, and which of the rows has each.
    fn present(
        &mut self,
        chosen: &Chosen<'_>,
        per_shape: &[usize],
    ) -> Result<(Vec<usize>, Vec<usize>), Damaged> {
        let starts = self.starts(chosen, per_shape)?;
        let present = chosen.shapes.iter().zip(starts).enumerate();
        let present = present.filter(|(_, (shape, _))| per_shape[**shape] > 0);
        Ok(present.map(|(owner, (_, start))| (start, owner)).unzip())
    }
}

/// All records of a block again, as batches, in the order in which they were sealed.
pub(in crate::store) fn unseal(
    summary: &Summary,
    columns: &dyn Columns,
) -> Result<Vec<StoredBatch>, Damaged> {
    let loaded = Loaded::new(columns);
    let mut block = Block::open(summary, &loaded)?;
    let rows: Vec<usize> = (0..block.rows()).collect();
    let mut records = block.records(&rows, &Parts::All)?.into_iter();
    let runs = block.head.runs.iter().filter(|run| run.rows > 0);
    Ok(runs
        .map(|run| StoredBatch {
            id: run.batch,
            source: block.head.sources[run.source].clone(),
            first: run.place,
            records: records
                .by_ref()
                .take(run.rows)
                .map(|stored| stored.record)
                .collect(),
        })
        .collect())
}

impl Numbers<'_> {
    fn at(&mut self, index: usize) -> Result<Value, Damaged> {
        Ok(match self {
            Numbers::Nulls => Value::Null,
            Numbers::Bools(values) => Value::Bool(values.at(index)? != 0),
            Numbers::Ints(values) => Value::Int(values.at(index)?),
            Numbers::UInts(values) => Value::UInt(values.at(index)? as u64),
            Numbers::Floats(values) => Value::Float(values.at(index)?),
        })
    }
}

/// From an index into a column to the place of that index in `indexes`, which rise.
fn at(indexes: &[usize], mut see: impl FnMut(usize, &str)) -> impl FnMut(usize, &str) {
    // Distinct texts are not shown in order of rows.
    move |index, text| {
        let place = indexes
            .binary_search(&index)
            .expect("only what is asked is shown");
        see(place, text);
    }
}

fn probe_of(callsite: std::sync::Arc<log_record::CallSite>) -> LogRecord {
    LogRecord { callsite, ..probe() }
}
