//! A block as it is read: every column only when it is needed.

use std::rc::Rc;
use std::sync::Arc;

use log_record::{CallSite, Level, Source, Timestamp};

use super::bytes::{Damaged, damaged};
use super::callsites::Callsites;
use super::chunks::Chunk;
use super::codes::Codes;
use super::filter::Filter;
use super::floats::Floats;
use super::head::{FieldKey, Head, Owner, Shape, Type};
use super::integers::{CHUNK, Integers};
use super::loaded::Loaded;
use super::rows::Rows;
use super::texts::Texts;
use super::{FIELDS, FILTER, HEAD, RANKED_SHAPE, SEQ, SHAPE, Summary, TIME, chunks};
use crate::store::RecordId;

/// An open block.
pub(in crate::store) struct Block<'a> {
    pub(super) summary: Summary,
    pub(super) loaded: &'a Loaded<'a>,
    pub(super) head: Head<'a>,
    filter: Option<Filter<'a>>,
    chunks: Option<Rc<[Chunk]>>,
    times: Option<Integers<'a>>,
    callsites: Option<&'a [u32]>,
    shapes: Option<Codes<'a>>,
    seqs: Option<Integers<'a>>,
    texts: Vec<(u32, Texts<'a>)>,
    /// By number of the field.
    numbers: Vec<(usize, Numbers<'a>)>,
}

/// The level of each row, found by the chunk.
pub(in crate::store) struct Levels<'a> {
    of_callsite: Vec<Level>,
    callsites: &'a Callsites,
    /// The call-sites of some rows, and which the first of these is.
    chunk: &'a [u32],
    first: usize,
}

impl Levels<'_> {
    /// That of a row. Of rows that are near each other it costs less than of others.
    pub(in crate::store) fn of(&mut self, row: usize) -> Result<Level, Damaged> {
        if row.wrapping_sub(self.first) >= self.chunk.len() {
            self.chunk = self.callsites.chunk(row / CHUNK)?;
            self.first = row / CHUNK * CHUNK;
        }
        let callsite = self.chunk.get(row - self.first).ok_or(NO_CALLSITE)?;
        let level = self.of_callsite.get(*callsite as usize);
        level.copied().ok_or(NO_CALLSITE)
    }
}

/// The values of a field that are no texts.
pub(super) enum Numbers<'a> {
    Nulls,
    Bools(Integers<'a>),
    Ints(Integers<'a>),
    UInts(Integers<'a>),
    Floats(Floats<'a>),
}

const NO_CALLSITE: Damaged = damaged("a row has no call-site");
const OTHER_TIME: Damaged = damaged("a row is of another time than its block");

impl<'a> Block<'a> {
    pub(in crate::store) fn open(summary: &Summary, loaded: &'a Loaded<'a>) -> Result<Block<'a>, Damaged> {
        let head = Head::read(loaded.column(HEAD)?, loaded, summary.rows as usize)?;
        Ok(Block {
            summary: *summary,
            loaded,
            head,
            filter: None,
            chunks: None,
            times: None,
            callsites: None,
            shapes: None,
            seqs: None,
            texts: Vec::new(),
            numbers: Vec::new(),
        })
    }

    pub(in crate::store) fn rows(&self) -> usize {
        self.summary.rows as usize
    }

    /// What is known of the rows by the chunk.
    pub(in crate::store) fn chunks(&mut self) -> Result<Rc<[Chunk]>, Damaged> {
        if let Some(chunks) = &self.chunks {
            return Ok(chunks.clone());
        }
        let chunks: Rc<[Chunk]> = chunks::of(&self.summary, self.loaded)?.into();
        self.chunks = Some(chunks.clone());
        Ok(chunks)
    }

    /// The time of a row. Of rows that are near each other it costs less than of others.
    pub(in crate::store) fn time(&mut self, row: usize) -> Result<i64, Damaged> {
        let time = open(&mut self.times, self.loaded, TIME)?.at(row)?;
        if (self.summary.earliest.as_nanos()..=self.summary.latest.as_nanos()).contains(&time) {
            Ok(time)
        } else {
            Err(OTHER_TIME)
        }
    }

    /// The call-site of each row.
    pub(in crate::store) fn callsite_codes(&mut self) -> Result<&'a [u32], Damaged> {
        if let Some(codes) = self.callsites {
            return Ok(codes);
        }
        let codes = self.loaded.callsites()?.all()?;
        let known = self.head.callsites.all()?.len();
        if codes.len() != self.rows() || codes.iter().any(|code| *code as usize >= known) {
            return Err(NO_CALLSITE);
        }
        Ok(self.callsites.insert(codes))
    }

    /// The shape of each row.
    pub(super) fn shape_codes(&mut self) -> Result<&[u32], Damaged> {
        self.shape_codes_of_first(self.rows())
    }

    /// The shape of each of the first `count` rows, and of some behind them.
    pub(super) fn shape_codes_of_first(&mut self, count: usize) -> Result<&[u32], Damaged> {
        let (rows, most) = (self.rows(), self.head.shapes.len().saturating_sub(1));
        let codes = match &mut self.shapes {
            Some(codes) => codes,
            none => none.insert(match self.loaded.column_if_there(RANKED_SHAPE)? {
                Some(mut ranked) => Codes::read_ranked(&mut ranked, self.loaded)?,
                None => Codes::read(&mut self.loaded.column(SHAPE)?)?,
            }),
        };
        if codes.length() != rows {
            return Err(damaged("a column has other rows than its block"));
        }
        if self.head.shapes.is_empty() && rows > 0 {
            return Err(damaged("a row has no shape"));
        }
        codes.first(count, most)
    }

    /// The call-site of a row. Of rows that are near each other it costs less than of others.
    pub(super) fn callsite(&self, row: usize) -> Result<&Arc<CallSite>, Damaged> {
        let code = self.loaded.callsites()?.at(row)?;
        self.head.callsites.all()?.get(code as usize).ok_or(NO_CALLSITE)
    }

    pub(super) fn filter(&mut self) -> Result<&Filter<'a>, Damaged> {
        if self.filter.is_none() {
            self.filter = Some(Filter::read(self.loaded.column(FILTER)?)?);
        }
        Ok(self.filter.as_ref().expect("it was read above"))
    }

    /// The sequence numbers of the rows that have one.
    pub(super) fn seqs(&mut self) -> Result<&mut Integers<'a>, Damaged> {
        open(&mut self.seqs, self.loaded, SEQ)
    }

    /// The column of texts of that number, opened once.
    pub(super) fn texts(&mut self, number: u32) -> Result<&mut Texts<'a>, Damaged> {
        let index = match self.texts.iter().position(|(known, _)| *known == number) {
            Some(index) => index,
            None => {
                self.texts.push((number, Texts::read(self.loaded, number)?));
                self.texts.len() - 1
            }
        };
        Ok(&mut self.texts[index].1)
    }

    /// The values of a field whose type is neither text nor JSON, opened once.
    pub(super) fn numbers(&mut self, field: usize) -> Result<&mut Numbers<'a>, Damaged> {
        let index = match self.numbers.iter().position(|(known, _)| *known == field) {
            Some(index) => index,
            None => {
                self.numbers.push((field, self.read_numbers(field)?));
                self.numbers.len() - 1
            }
        };
        Ok(&mut self.numbers[index].1)
    }

    fn read_numbers(&self, field: usize) -> Result<Numbers<'a>, Damaged> {
        let column = || self.loaded.column(field_column(field));
        let ints = || Integers::read(&mut column()?);
        Ok(match self.head.fields[field].type_ {
            Type::Null => Numbers::Nulls,
            Type::Bool => Numbers::Bools(ints()?),
            Type::Int => Numbers::Ints(ints()?),
            Type::UInt => Numbers::UInts(ints()?),
            Type::Float => Numbers::Floats(Floats::read(&mut column()?)?),
            Type::Text | Type::Json => unreachable!("who asks has looked at the type"),
        })
    }

    /// The fields of an owner, and their numbers.
    pub(super) fn fields_of(&self, owner: Owner) -> Vec<(usize, FieldKey<'a>)> {
        let fields = self.head.fields.iter().copied().enumerate();
        fields.filter(|(_, field)| field.owner == owner).collect()
    }

    /// How many values of a column the rows of each shape have.
    pub(super) fn per_shape(&self, count: impl Fn(&Shape<'a>) -> usize) -> Vec<usize> {
        self.head.shapes.iter().map(count).collect()
    }

    /// From values of a column to the rows that have them.
    pub(super) fn rows_with(&mut self, values: &Rows, per_shape: &[usize]) -> Result<Rows, Damaged> {
        let rows = self.rows();
        if values.is_empty() {
            return Ok(Rows::none(rows));
        }
        if per_shape.iter().all(|count| *count == 1) && values.length() == rows {
            return Ok(values.clone());
        }
        let mut with = Rows::none(rows);
        let mut rest = values.iter();
        let mut next = rest.next();
        // Behind the values of the rows so far.
        let mut end = 0;
        for (row, code) in self.shape_codes()?.iter().enumerate() {
            end += per_shape[*code as usize];
            while next.is_some_and(|value| value < end) {
                with.insert(row);
                next = rest.next();
            }
        }
        if end != values.length() {
            return Err(damaged("a column has other values than its rows"));
        }
        Ok(with)
    }

    /// From rows to the values they have of a column.
    pub(super) fn values_of(&mut self, rows: &Rows, per_shape: &[usize]) -> Result<Rows, Damaged> {
        if per_shape.iter().all(|count| *count == 1) {
            return Ok(rows.clone());
        }
        let codes = self.shape_codes()?;
        let all: usize = codes.iter().map(|code| per_shape[*code as usize]).sum();
        let mut values = Rows::none(all);
        let mut at = 0;
        for (row, code) in codes.iter().enumerate() {
            let count = per_shape[*code as usize];
            if count > 0 && rows.holds(row) {
                (at..at + count).for_each(|value| values.insert(value));
            }
            at += count;
        }
        Ok(values)
    }

    /// The rows whose shape, and so everything it says, passes.
    pub(super) fn rows_where_shape(
        &mut self,
        passes: impl FnMut(&Shape<'a>) -> bool,
    ) -> Result<Rows, Damaged> {
        let passing: Vec<bool> = self.head.shapes.iter().map(passes).collect();
        self.rows_of_codes(&passing, Block::shape_codes)
    }

    /// The rows whose call-site passes.
    pub(super) fn rows_where_callsite(
        &mut self,
        passes: impl FnMut(&Arc<log_record::CallSite>) -> bool,
    ) -> Result<Rows, Damaged> {
        let passing: Vec<bool> = self.head.callsites.all()?.iter().map(passes).collect();
        self.rows_of_codes(&passing, |block| block.callsite_codes())
    }

    fn rows_of_codes(
        &mut self,
        passing: &[bool],
        codes: impl FnOnce(&mut Self) -> Result<&[u32], Damaged>,
    ) -> Result<Rows, Damaged> {
        let rows = self.rows();
        if !passing.contains(&true) {
            return Ok(Rows::none(rows));
        }
        if !passing.contains(&false) {
            return Ok(Rows::all(rows));
        }
        let codes = codes(self)?;
        Ok(Rows::where_true(rows, |row| passing[codes[row] as usize]))
    }

    /// The rows whose sender passes.
    pub(super) fn rows_where_source(&self, mut passes: impl FnMut(&Source) -> bool) -> Rows {
        let passing: Vec<bool> = self.head.sources.iter().map(|source| passes(source)).collect();
        let mut rows = Rows::none(self.rows());
        for run in self.head.runs.iter().filter(|run| passing[run.source]) {
            (run.start..run.start + run.rows).for_each(|row| rows.insert(row));
        }
        rows
    }

    /// The row of a record, if the block has it.
    pub(in crate::store) fn row_of(&self, id: RecordId) -> Option<usize> {
        let asked = (id.batch(), id.place());
        let after = self
            .head
            .runs
            .partition_point(|run| (run.batch, run.place) <= asked);
        let run = self.head.runs.get(after.checked_sub(1)?)?;
        let offset = id.place() - run.place.min(id.place());
        (run.batch == id.batch() && offset < run.rows).then(|| run.start + offset)
    }

    /// The id and the sender of a row.
    pub(in crate::store) fn identity(&self, row: usize) -> (RecordId, &Arc<Source>) {
        let index = self.head.runs.partition_point(|run| run.start + run.rows <= row);
        let run = &self.head.runs[index];
        (
            RecordId::new(run.batch, run.place + row - run.start),
            &self.head.sources[run.source],
        )
    }

    /// The levels of rows.
    pub(in crate::store) fn levels(&self) -> Result<Levels<'a>, Damaged> {
        let callsites = self.head.callsites.all()?.iter();
        Ok(Levels {
            of_callsite: callsites.map(|callsite| callsite.level).collect(),
            callsites: self.loaded.callsites()?,
            first: 0,
            chunk: &[],
        })
    }

    /// The time of the earliest and the latest row.
    pub(in crate::store) fn span(&self) -> (Timestamp, Timestamp) {
        (self.summary.earliest, self.summary.latest)
    }
}

/// A column of integers, opened once.
fn open<'b, 'a>(
    known: &'b mut Option<Integers<'a>>,
    loaded: &'a Loaded<'a>,
    number: u32,
) -> Result<&'b mut Integers<'a>, Damaged> {
    match known {
        Some(column) => Ok(column),
        none => Ok(none.insert(Integers::read(&mut loaded.column(number)?)?)),
    }
}

/// The number of the column of a field.
pub(super) fn field_column(field: usize) -> u32 {
    FIELDS + 2 * field as u32
}
