//! What the rows of a block share: their senders, call-sites, and shapes. A shape is which fields, spans and labels a
//! record has, in order, and each field's type: absent fields cost nothing, and the order of fields survives.
//!
//! Format: five sections. Fields: count, each: owner (0 record, 1 span, 2 packed), type, name. Call-sites: count, each:
//! target, file or none, line and 1 or 0, level, kind. Sources: count, each: service, instance, boot, host and version
//! or none, attributes as JSON. Runs of rows from one batch: count, each: id of the batch less that of the one before,
//! place of the first in the batch, rows, source. Shapes: count, each: flags, labels, fields as count and numbers, spans as count and each name and
//! fields.

use std::cell::OnceCell;
use std::sync::Arc;

use log_record::{BorrowedValue, CallSite, Flags, Kind, Level, Source, Value};
use smallvec::SmallVec;

use super::bytes::{Damaged, Reader, damaged, put_bytes, put_number, put_option, put_section};
use super::filter::Terms;
use super::loaded::Loaded;

/// More than a block has of anything.
const MOST: usize = 1 << 24;
/// Room that is made for a list whatever its length says.
const USUAL: usize = 4_096;

/// Whose field it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Record = 0,
    Span = 1,
    /// The column that holds, as one JSON value, all fields and spans of records for which no columns were left.
    Packed = 2,
}

/// What a column's values are. A field that has values of two types has two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Type {
    Null = 0,
    Bool = 1,
    Int = 2,
    UInt = 3,
    Float = 4,
    Text = 5,
    /// Lists and maps, as JSON.
    Json = 6,
}

impl Type {
    pub(super) fn of(value: &BorrowedValue<'_>) -> Type {
        match value {
            BorrowedValue::Null => Type::Null,
            BorrowedValue::Bool(_) => Type::Bool,
            BorrowedValue::Int(_) => Type::Int,
            BorrowedValue::UInt(_) => Type::UInt,
            BorrowedValue::Float(_) => Type::Float,
            BorrowedValue::Text(_) => Type::Text,
            BorrowedValue::List(_) | BorrowedValue::Map(_) => Type::Json,
        }
    }
}

/// A field that some rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FieldKey<'a> {
    pub(super) owner: Owner,
    pub(super) type_: Type,
    pub(super) name: &'a str,
}

/// Which labels a record has, one bit each.
pub(super) mod label {
    pub(in super::super) const SEQ: u8 = 1;
    pub(in super::super) const TRACE_ID: u8 = 2;
    pub(in super::super) const SPAN_ID: u8 = 4;
    pub(in super::super) const THREAD: u8 = 8;
}

/// What records of one kind have. A block may have thousands of shapes, and opening it reads them all: what most have needs
/// no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Shape<'a> {
    pub(super) flags: u16,
    pub(super) labels: u8,
    /// Numbers of fields, in the record's order.
    pub(super) fields: SmallVec<[u32; 8]>,
    pub(super) spans: SmallVec<[SpanShape<'a>; 2]>,
}

/// The name of a span, and the numbers of its fields.
pub(super) type SpanShape<'a> = (&'a str, SmallVec<[u32; 4]>);

impl Shape<'_> {
    /// Every field's number, with repeats where spans have the same field.
    pub(super) fn columns(&self) -> impl Iterator<Item = u32> {
        let spans = self.spans.iter().flat_map(|(_, fields)| fields);
        self.fields.iter().chain(spans).copied()
    }
}

/// Neighbouring rows that came in one batch, side by side there too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) batch: i64,
    /// The place of the first of them in the batch.
    pub(super) place: usize,
    /// The first of its rows.
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) source: usize,
}

/// The call-sites of a block, of which most that is asked of it needs none.
pub(super) struct KnownCallsites<'a> {
    unread: Reader<'a>,
    read: OnceCell<Vec<Arc<CallSite>>>,
}

impl KnownCallsites<'_> {
    pub(super) fn new(callsites: Vec<Arc<CallSite>>) -> KnownCallsites<'static> {
        KnownCallsites {
            unread: Reader::new(&[]),
            read: callsites.into(),
        }
    }

    /// Those of a head that is written, which never were unread.
    fn written(&self) -> &[Arc<CallSite>] {
        self.read.get().expect("only a head that was made is written")
    }

    pub(super) fn all(&self) -> Result<&[Arc<CallSite>], Damaged> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let read = items(self.unread, |reader| read_callsite(reader).map(Arc::new))?;
        Ok(self.read.get_or_init(|| read))
    }
}

/// What the rows share.
pub(super) struct Head<'a> {
    pub(super) fields: Vec<FieldKey<'a>>,
    pub(super) callsites: KnownCallsites<'a>,
    pub(super) sources: Vec<Arc<Source>>,
    pub(super) runs: Vec<Run>,
    pub(super) shapes: Vec<Shape<'a>>,
}

impl<'a> Head<'a> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_list(out, &self.fields, |out, field| {
            out.extend_from_slice(&[field.owner as u8, field.type_ as u8]);
            put_bytes(out, field.name.as_bytes());
        });
        put_list(out, self.callsites.written(), |out, callsite| {
            put_bytes(out, callsite.target.as_bytes());
            put_option(out, callsite.file.as_deref());
            put_number(out, callsite.line.map_or(0, |line| u64::from(line) + 1));
            out.extend_from_slice(&[callsite.level as u8, u8::from(callsite.kind == Kind::Span)]);
        });
        put_list(out, &self.sources, |out, source| {
            put_bytes(out, source.service.as_bytes());
            for label in [&source.instance, &source.boot, &source.host, &source.version] {
                put_option(out, label.as_deref());
            }
            put_bytes(out, Value::Map(source.attrs.clone()).to_json().as_bytes());
        });
        let mut before = 0;
        put_list(out, &self.runs, |out, run| {
            put_number(out, (run.batch - before) as u64);
            put_number(out, run.place as u64);
            put_number(out, run.rows as u64);
            put_number(out, run.source as u64);
            before = run.batch;
        });
        put_list(out, &self.shapes, |out, shape| {
            put_number(out, shape.flags.into());
            out.push(shape.labels);
            put_numbers(out, &shape.fields);
            put_number(out, shape.spans.len() as u64);
            for (name, fields) in &shape.spans {
                put_bytes(out, name.as_bytes());
                put_numbers(out, fields);
            }
        });
    }

    /// The terms of all its texts that a search for words sees, under the number of the head's column.
    pub(super) fn terms(&self) -> Terms {
        let mut terms = Terms::of_column(super::HEAD, 0);
        let mut add = |text: &str| terms.add_text(text.as_bytes());
        for callsite in self.callsites.written() {
            add(&callsite.target);
            callsite.file.as_deref().into_iter().for_each(&mut add);
        }
        for source in &self.sources {
            add(&source.service);
            for label in [&source.instance, &source.host, &source.version] {
                label.as_deref().into_iter().for_each(&mut add);
            }
        }
        let names = self.shapes.iter().flat_map(|shape| &shape.spans);
        names.for_each(|(name, _)| add(name));
        terms
    }

    pub(super) fn read(
        mut reader: Reader<'a>,
        loaded: &'a Loaded<'a>,
        rows: usize,
    ) -> Result<Head<'a>, Damaged> {
        let fields = list(&mut reader, loaded, read_field)?;
        let callsites = KnownCallsites {
            unread: section(&mut reader, loaded)?,
            read: OnceCell::new(),
        };
        let sources = list(&mut reader, loaded, |reader| read_source(reader).map(Arc::new))?;
        let (mut batch, mut start) = (0_i64, 0);
        let runs = list(&mut reader, loaded, |reader| {
            batch = batch.wrapping_add(reader.number()? as i64);
            let run = Run {
                batch,
                place: reader.count(MOST)?,
                start,
                rows: reader.count(rows)?,
                source: reader.count(sources.len().saturating_sub(1))?,
            };
            start += run.rows;
            Ok(run)
        })?;
        if start != rows {
            return Err(damaged("the batches of a block have other rows than the block"));
        }
        if sources.is_empty() && !runs.is_empty() {
            return Err(damaged("a batch has a sender that is not there"));
        }
        let shapes = list(&mut reader, loaded, |reader| read_shape(reader, fields.len()))?;
        Ok(Head {
            fields,
            callsites,
            sources,
            runs,
            shapes,
        })
    }
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    let mut section = Vec::new();
    put_number(&mut section, items.len() as u64);
    items.iter().for_each(|item| put(&mut section, item));
    put_section(out, &section);
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    loaded: &'a Loaded<'a>,
    item: impl FnMut(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Vec<T>, Damaged> {
    items(section(reader, loaded)?, item)
}

/// The next section, to be read as long as the block is.
fn section<'a>(reader: &mut Reader<'a>, loaded: &'a Loaded<'a>) -> Result<Reader<'a>, Damaged> {
    let section = reader.section()?.open()?.into_owned();
    Ok(Reader::new(loaded.keep(section)))
}

fn items<'a, T>(
    mut section: Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Vec<T>, Damaged> {
    let count = section.count(MOST)?;
    let mut items = Vec::with_capacity(count.min(USUAL));
    for _ in 0..count {
        items.push(item(&mut section)?);
    }
    Ok(items)
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    put_number(out, numbers.len() as u64);
    numbers
        .iter()
        .for_each(|number| put_number(out, u64::from(*number)));
}

fn read_field<'a>(reader: &mut Reader<'a>) -> Result<FieldKey<'a>, Damaged> {
    let owner = match reader.byte()? {
        0 => Owner::Record,
        1 => Owner::Span,
        2 => Owner::Packed,
        _ => return Err(damaged("a field belongs to nothing known")),
    };
    let type_ = match reader.byte()? {
        0 => Type::Null,
        1 => Type::Bool,
        2 => Type::Int,
        3 => Type::UInt,
        4 => Type::Float,
        5 => Type::Text,
        6 => Type::Json,
        _ => return Err(damaged("a field is of no known type")),
    };
    let name = reader.text()?;
    Ok(FieldKey { owner, type_, name })
}

fn read_callsite(reader: &mut Reader<'_>) -> Result<CallSite, Damaged> {
    Ok(CallSite {
        target: reader.text()?.into(),
        file: reader.option()?.map(Into::into),
        line: match reader.count(u32::MAX as usize + 1)? {
            0 => None,
            line => u32::try_from(line - 1).ok(),
        },
        level: *Level::ALL
            .get(usize::from(reader.byte()?))
            .ok_or(damaged("a level is not known"))?,
        kind: if reader.byte()? == 0 {
            Kind::Event
        } else {
            Kind::Span
        },
    })
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source, Damaged> {
    let service = reader.text()?.into();
    let mut label = || reader.option().map(|label| label.map(Into::into));
    let (instance, boot, host, version) = (label()?, label()?, label()?, label()?);
    let attrs = match reader.text()? {
        "{}" => Vec::new(),
        json => match Value::from_json(json) {
            Some(Value::Map(attrs)) => attrs,
            Some(_) | None => return Err(damaged("the attributes of a source are none")),
        },
    };
    Ok(Source {
        service,
        instance,
        boot,
        host,
        version,
        attrs,
    })
}

fn read_shape<'a>(reader: &mut Reader<'a>, fields: usize) -> Result<Shape<'a>, Damaged> {
    let flags = u16::try_from(reader.count(u16::MAX.into())?).unwrap_or(0);
    let mut shape = Shape {
        // Flags of a newer version are left out.
        flags: Flags::from_bits(flags).bits(),
        labels: reader.byte()?,
        fields: read_numbers(reader, fields)?,
        spans: SmallVec::new(),
    };
    for _ in 0..reader.count(MOST)? {
        shape.spans.push((reader.text()?, read_numbers(reader, fields)?));
    }
    Ok(shape)
}

/// Numbers of fields, of which there are so many.
fn read_numbers<const INLINE: usize>(
    reader: &mut Reader<'_>,
    fields: usize,
) -> Result<SmallVec<[u32; INLINE]>, Damaged>
where
    [u32; INLINE]: smallvec::Array<Item = u32>,
{
    let count = reader.count(MOST)?;
    if fields == 0 && count > 0 {
        return Err(damaged("a shape has a field that is not there"));
    }
    let mut numbers = SmallVec::new();
    for _ in 0..count {
        numbers.push(reader.count(fields.saturating_sub(1))? as u32);
    }
    Ok(numbers)
}
