//! Making a block from batches.

use std::collections::HashMap;
use std::sync::Arc;

use bumpalo::Bump;
use log_record::{BorrowedFields, BorrowedRecord, BorrowedValue, CallSite, Level, Source, Timestamp};
use smallvec::SmallVec;

use super::filter::{self, Terms};
use super::head::{FieldKey, Head, KnownCallsites, Owner, Run, Shape, Type, label};
use super::{
    CALLSITE, CHUNKS, FIELDS, FILTER, HEAD, MESSAGE, RANKED_SHAPE, SEQ, SHAPE, SPAN_ID, SealedBlock, Summary,
    THREAD, TIME, TRACE_ID,
};
use super::{chunks, codes, floats, integers, packed, texts};
use crate::store::StoredBatch;

/// Beyond so many fields, or so many shapes, records are packed: a service that makes up names must not make a block of
/// a million columns.
const FIELDS_MOST: usize = 4_000;
const SHAPES_MOST: usize = 16_000;

type Map<K> = HashMap<K, u32, foldhash::fast::RandomState>;

/// A batch, or a piece of one, that goes into a block.
pub(in crate::store) struct Piece<'a> {
    pub(in crate::store) batch: i64,
    /// The place of its first record in the batch as it came.
    pub(in crate::store) first: usize,
    pub(in crate::store) source: &'a Arc<Source>,
    pub(in crate::store) records: &'a [BorrowedRecord<'a>],
}

/// Seals the batches that `show` shows, in order of arrival (ids rising; several pieces of one batch in the order of
/// their places). At most [`ROWS_MOST`](super::ROWS_MOST) records in all; `None` if there are no batches. A batch may be
/// gone before the next is there: as records, a block takes several times the memory that its texts do.
pub(in crate::store) fn seal_shown(show: impl FnOnce(&mut dyn FnMut(Piece<'_>))) -> Option<SealedBlock> {
    let arena = Bump::with_capacity(TEXT_ROOM);
    let mut gathered = Gathered::new(&arena);
    let mut ids = None;
    show(&mut |piece| {
        gathered.add_batch(&piece);
        ids = Some((ids.map_or(piece.batch, |(first, _)| first), piece.batch));
    });
    Some(gathered.write(ids?))
}

/// Seals batches as [`seal_shown`] does.
pub(in crate::store) fn seal(batches: impl IntoIterator<Item = Arc<StoredBatch>>) -> Option<SealedBlock> {
    seal_shown(|add| {
        for batch in batches {
            add(Piece {
                batch: batch.id,
                first: batch.first,
                source: &batch.source,
                records: &batch.records,
            });
        }
    })
}

/// Room for the texts of a block before more is asked for.
const TEXT_ROOM: usize = 1 << 20;

/// Records on their way into columns.
struct Gathered<'r> {
    /// Where texts are kept.
    arena: &'r Bump,
    /// Names of spans.
    names: Map<&'r str>,
    times: Vec<i64>,
    seqs: Vec<i64>,
    callsite_codes: Vec<u32>,
    shape_codes: Vec<u32>,
    messages: Vec<&'r str>,
    trace_ids: Vec<&'r str>,
    span_ids: Vec<&'r str>,
    threads: Vec<&'r str>,
    columns: Vec<Column<'r>>,
    known_fields: Map<FieldKey<'r>>,
    callsites: Vec<Arc<CallSite>>,
    known_callsites: Map<Arc<CallSite>>,
    sources: Vec<Arc<Source>>,
    runs: Vec<Run>,
    shapes: Vec<Shape<'r>>,
    known_shapes: Map<Shape<'r>>,
    counts: [u32; Level::ALL.len()],
    /// The shape being made, to be made again without allocation.
    shape: Shape<'r>,
}

struct Column<'r> {
    key: FieldKey<'r>,
    values: Values<'r>,
}

enum Values<'r> {
    /// How many.
    Nulls(usize),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<&'r str>),
    Json(Vec<String>),
}

impl<'r> Gathered<'r> {
    fn new(arena: &'r Bump) -> Gathered<'r> {
        Gathered {
            arena,
            names: Map::default(),
            times: Vec::new(),
            seqs: Vec::new(),
            callsite_codes: Vec::new(),
            shape_codes: Vec::new(),
            messages: Vec::new(),
            trace_ids: Vec::new(),
            span_ids: Vec::new(),
            threads: Vec::new(),
            columns: Vec::new(),
            known_fields: Map::default(),
            callsites: Vec::new(),
            known_callsites: Map::default(),
            sources: Vec::new(),
            runs: Vec::new(),
            shapes: Vec::new(),
            known_shapes: Map::default(),
            counts: [0; Level::ALL.len()],
            shape: Shape::default(),
        }
    }

    fn add_batch(&mut self, piece: &Piece<'_>) {
        let source = self.source(piece.source);
        self.runs.push(Run {
            batch: piece.batch,
            place: piece.first,
            start: self.times.len(),
            rows: piece.records.len(),
            source,
        });
        // Records of one batch share their call-sites, so that comparing pointers nearly always is enough.
        let mut last: Option<(&Arc<CallSite>, u32)> = None;
        for record in piece.records {
            let code = match last {
                Some((known, code)) if Arc::ptr_eq(known, &record.callsite) => code,
                _ => self.callsite(&record.callsite),
            };
            last = Some((&record.callsite, code));
            self.callsite_codes.push(code);
            self.counts[record.level() as usize] += 1;
            self.times.push(record.time.as_nanos());
            self.messages.push(self.arena.alloc_str(&record.message));
            self.add_record(record);
        }
    }

    fn source(&mut self, source: &Arc<Source>) -> usize {
        if let Some(known) = self.sources.iter().position(|known| known == source) {
            return known;
        }
        self.sources.push(source.clone());
        self.sources.len() - 1
    }

    fn callsite(&mut self, callsite: &Arc<CallSite>) -> u32 {
        if let Some(code) = self.known_callsites.get(callsite) {
            return *code;
        }
        let code = self.callsites.len() as u32;
        self.callsites.push(callsite.clone());
        self.known_callsites.insert(callsite.clone(), code);
        code
    }

    fn add_record(&mut self, record: &BorrowedRecord<'_>) {
        let mut shape = std::mem::take(&mut self.shape);
        shape.flags = record.flags.bits();
        shape.labels = 0;
        if let Some(seq) = record.seq {
            shape.labels |= label::SEQ;
            self.seqs.push(seq as i64);
        }
        for (bit, text, column) in [
            (label::TRACE_ID, &record.trace_id, &mut self.trace_ids),
            (label::SPAN_ID, &record.span_id, &mut self.span_ids),
            (label::THREAD, &record.thread, &mut self.threads),
        ] {
            if let Some(text) = text {
                shape.labels |= bit;
                column.push(self.arena.alloc_str(text));
            }
        }
        shape.fields.clear();
        shape.spans.clear();
        let wanted = record.fields.len() + record.spans.iter().map(|span| span.fields.len()).sum::<usize>();
        // One more for the column of packed records itself.
        let fits = self.columns.len() + wanted < FIELDS_MOST && self.shapes.len() < SHAPES_MOST;
        if fits || self.has_shape(record) {
            self.add_fields(Owner::Record, &record.fields, &mut shape.fields);
            for span in &record.spans {
                let mut fields = SmallVec::new();
                self.add_fields(Owner::Span, &span.fields, &mut fields);
                shape.spans.push((self.name(&span.name), fields));
            }
        } else {
            shape.fields.push(self.pack(record));
        }
        let code = match self.known_shapes.get(&shape) {
            Some(code) => *code,
            None => {
                let code = self.shapes.len() as u32;
                self.shapes.push(shape.clone());
                self.known_shapes.insert(shape.clone(), code);
                code
            }
        };
        self.shape_codes.push(code);
        self.shape = shape;
    }

    /// The name of a span, kept once.
    fn name(&mut self, name: &str) -> &'r str {
        if let Some((known, _)) = self.names.get_key_value(name) {
            return known;
        }
        let kept: &'r str = self.arena.alloc_str(name);
        self.names.insert(kept, 0);
        kept
    }

    /// Whether the record's columns are all there and it adds no shape.
    fn has_shape(&self, record: &BorrowedRecord<'_>) -> bool {
        let fields = |owner, fields: &BorrowedFields<'_>| {
            fields
                .iter()
                .map(|(name, value)| self.known_fields.get(&key(owner, name, value)).copied())
                .collect::<Option<Vec<u32>>>()
        };
        let spans = record.spans.iter().map(|span| {
            let (name, _) = self.names.get_key_value(&*span.name)?;
            Some((*name, fields(Owner::Span, &span.fields)?.into()))
        });
        let spans = spans.collect::<Option<_>>();
        let Some((fields, spans)) = fields(Owner::Record, &record.fields).zip(spans) else {
            return false;
        };
        let labels = |labels: u8, bit, has| if has { labels | bit } else { labels };
        let labels = labels(
            labels(
                labels(
                    labels(0, label::SEQ, record.seq.is_some()),
                    label::TRACE_ID,
                    record.trace_id.is_some(),
                ),
                label::SPAN_ID,
                record.span_id.is_some(),
            ),
            label::THREAD,
            record.thread.is_some(),
        );
        let flags = record.flags.bits();
        self.known_shapes.contains_key(&Shape {
            flags,
            labels,
            fields: fields.into(),
            spans,
        })
    }

    fn add_fields(&mut self, owner: Owner, fields: &BorrowedFields<'_>, numbers: &mut impl Extend<u32>) {
        for (name, value) in fields {
            let number = self.column(key(owner, name, value));
            self.columns[number as usize].values.add(value, self.arena);
            numbers.extend([number]);
        }
    }

    fn pack(&mut self, record: &BorrowedRecord<'_>) -> u32 {
        let number = self.column(FieldKey {
            owner: Owner::Packed,
            type_: Type::Json,
            name: "",
        });
        if let Values::Json(packed) = &mut self.columns[number as usize].values {
            packed.push(packed::write(record));
        }
        number
    }

    fn column(&mut self, key: FieldKey<'_>) -> u32 {
        if let Some(number) = self.known_fields.get(&key) {
            return *number;
        }
        let number = self.columns.len() as u32;
        let name: &'r str = self.arena.alloc_str(key.name);
        let key = FieldKey {
            owner: key.owner,
            type_: key.type_,
            name,
        };
        self.known_fields.insert(key, number);
        let values = Values::of(key.type_);
        self.columns.push(Column { key, values });
        number
    }

    fn write(self, (first_batch, last_batch): (i64, i64)) -> SealedBlock {
        let time = |time: Option<&i64>| Timestamp::from_nanos(time.copied().unwrap_or(0));
        let summary = Summary {
            first_batch,
            last_batch,
            rows: self.times.len() as u32,
            earliest: time(self.times.iter().min()),
            latest: time(self.times.iter().max()),
            counts: self.counts,
        };
        let levels: Vec<Level> = self.callsites.iter().map(|callsite| callsite.level).collect();
        let mut out = Written::default();
        let head = Head {
            fields: self.columns.iter().map(|column| column.key).collect(),
            callsites: KnownCallsites::new(self.callsites),
            sources: self.sources,
            runs: self.runs,
            shapes: self.shapes,
        };
        out.with(HEAD, |bytes| head.put(bytes));
        let level = |row: usize| levels[self.callsite_codes[row] as usize];
        out.with(CHUNKS, |bytes| chunks::put(bytes, &summary, &self.times, level));
        out.with(TIME, |bytes| integers::put(bytes, &self.times));
        out.with(CALLSITE, |bytes| integers::put_codes(bytes, &self.callsite_codes));
        let mut shapes = Vec::new();
        let ranked = codes::put(&mut shapes, &self.shape_codes, Some(&self.callsite_codes));
        let number = if ranked { RANKED_SHAPE } else { SHAPE };
        out.columns.push((number, shapes));
        out.with(SEQ, |bytes| integers::put(bytes, &self.seqs));
        out.texts(MESSAGE, &self.messages, Some(&self.callsite_codes));
        out.texts(TRACE_ID, &self.trace_ids, None);
        out.texts(SPAN_ID, &self.span_ids, None);
        out.texts(THREAD, &self.threads, None);
        for (number, column) in (FIELDS..).step_by(2).zip(&self.columns) {
            match &column.values {
                Values::Nulls(_) => {}
                Values::Ints(ints) => out.with(number, |bytes| integers::put(bytes, ints)),
                Values::Floats(floats) => out.with(number, |bytes| floats::put(bytes, floats)),
                Values::Texts(texts) => out.texts(number, texts, None),
                // Its escapes are not the text that is searched: no terms.
                Values::Json(json) => {
                    let texts: Vec<&str> = json.iter().map(String::as_str).collect();
                    out.two(number, texts::put(&texts, None, &mut Terms::default()));
                }
            }
        }
        let mut terms = std::mem::take(&mut out.terms);
        terms.push(head.terms());
        let all = head.fields.iter().all(|field| field.type_ != Type::Json);
        out.with(FILTER, |bytes| filter::put(bytes, &terms, all));
        SealedBlock {
            summary,
            columns: out.columns,
        }
    }
}

fn key<'r>(owner: Owner, name: &'r str, value: &BorrowedValue<'_>) -> FieldKey<'r> {
    FieldKey {
        owner,
        type_: Type::of(value),
        name,
    }
}

impl<'r> Values<'r> {
    fn of(type_: Type) -> Values<'r> {
        match type_ {
            Type::Null => Values::Nulls(0),
            Type::Bool | Type::Int | Type::UInt => Values::Ints(Vec::new()),
            Type::Float => Values::Floats(Vec::new()),
            Type::Text => Values::Texts(Vec::new()),
            Type::Json => Values::Json(Vec::new()),
        }
    }

    /// Adds a value of the type that the column has.
    fn add(&mut self, value: &BorrowedValue<'_>, arena: &'r Bump) {
        match (self, value) {
            (Values::Nulls(count), BorrowedValue::Null) => *count += 1,
            (Values::Ints(ints), BorrowedValue::Bool(value)) => ints.push(i64::from(*value)),
            (Values::Ints(ints), BorrowedValue::Int(value)) => ints.push(*value),
            (Values::Ints(ints), BorrowedValue::UInt(value)) => ints.push(*value as i64),
            (Values::Floats(floats), BorrowedValue::Float(value)) => floats.push(*value),
            (Values::Texts(texts), BorrowedValue::Text(value)) => texts.push(arena.alloc_str(value)),
            (Values::Json(json), BorrowedValue::List(_) | BorrowedValue::Map(_)) => {
                json.push(value.to_json())
            }
            _ => unreachable!("the type is part of the column's key"),
        }
    }
}

/// Columns as they are written.
#[derive(Default)]
struct Written {
    columns: Vec<(u32, Vec<u8>)>,
    terms: Vec<Terms>,
}

impl Written {
    fn with(&mut self, number: u32, put: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        put(&mut bytes);
        self.columns.push((number, bytes));
    }

    fn texts(&mut self, number: u32, values: &[&str], callsites: Option<&[u32]>) {
        if values.is_empty() {
            return;
        }
        let mut terms = Terms::of_column(number, values.len());
        self.two(number, texts::put(values, callsites, &mut terms));
        self.terms.push(terms);
    }

    fn two(&mut self, number: u32, (head, body): (Vec<u8>, Vec<u8>)) {
        self.columns.push((number, head));
        self.columns.push((number + 1, body));
    }
}
