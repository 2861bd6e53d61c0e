//! One record. Parts are read where they stand; those that depend on each other are put together at the end.

use std::borrow::Cow;

use super::callsites::CallSites;
use super::cut::cut;
use super::name::Name;
use super::{Part, Reader, Seen};
use crate::flags::{Flag, Flags};
use crate::json::Stop;
use crate::level::Level;
use crate::limits;
use crate::record::{BorrowedRecord, BorrowedSpan};
use crate::timestamp::Timestamp;
use crate::value::BorrowedFields;

/// What became of a value that may be odd.
#[derive(Default)]
pub(super) enum Reading<T> {
    #[default]
    Missing,
    Known(T),
    /// It is at this place, and nobody knows what it means.
    Odd(usize),
}

/// What a record says.
#[derive(Default)]
struct Parts<'a> {
    seq: Option<u64>,
    time: Reading<Timestamp>,
    callsite: Option<usize>,
    level: Reading<Level>,
    target: Option<Part<'a>>,
    file: Option<Part<'a>>,
    line: Option<u32>,
    message: Option<Cow<'a, str>>,
    fields: BorrowedFields<'a>,
    spans: Vec<BorrowedSpan<'a>>,
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    thread: Option<Cow<'a, str>>,
    flags: Flags,
}

impl<'a> Reader<'a> {
    /// The record that comes next.
    pub(super) fn record(
        &mut self,
        callsites: &mut CallSites,
        arrived: Timestamp,
    ) -> Result<BorrowedRecord<'a>, Stop> {
        self.expect(b'{', "a record is not an object")?;
        let start = self.json.place();
        let mut parts = Parts::default();
        let mut seen = Seen::default();
        let mut last = None;
        let mut more = self.json.first_entry()?;
        while more {
            let expected = self.habit.after(last);
            let found = if self.json.name_is(expected.quoted())? {
                Some(expected)
            } else {
                self.unexpected_name(last)?
            };
            match found {
                Some(name) => {
                    seen.once(name as u32, name.quoted(), self.json.place())?;
                    self.part_named(name, &mut parts, arrived)?;
                    last = found;
                }
                // Unknown keys are kept out but never rejected.
                None => {
                    self.json.skip()?;
                }
            }
            more = self.json.next_entry()?;
        }
        let length = self.json.since(start).len();
        let mut record = self.together(parts, callsites, arrived)?;
        // A number counts for eight bytes of text and takes two at least, with its comma.
        if self.keeps && length > limits::RECORD_BYTES / 4 {
            cut(&mut record);
        }
        Ok(record)
    }

    /// The name that comes next after `last`, if it is one of a record's.
    fn unexpected_name(&mut self, last: Option<Name>) -> Result<Option<Name>, Stop> {
        let name = self.json.name()?;
        let found = Name::of(&self.exact(name)?);
        if let Some(name) = found {
            self.habit.learn(last, name);
        }
        Ok(found)
    }

    /// Reads the value of that name.
    #[inline]
    fn part_named(&mut self, name: Name, parts: &mut Parts<'a>, arrived: Timestamp) -> Result<(), Stop> {
        match name {
            Name::Seq => {
                parts.seq =
                    self.optional_number("`seq` is not an unsigned integer", |number| number.as_u64())?;
            }
            Name::Ts => parts.time = self.time(arrived, &mut parts.flags)?,
            Name::Callsite => {
                let what = "`callsite` is not the number of a call-site";
                parts.callsite =
                    self.optional_number(what, |number| usize::try_from(number.as_u64()?).ok())?;
            }
            Name::Message | Name::TraceId | Name::SpanId | Name::Thread if !self.keeps => {
                self.optional_part()?;
            }
            Name::Message => {
                let message = self.optional_part()?;
                parts.message = message.map(|part| part.text(&mut parts.flags));
            }
            Name::Fields => {
                if !self.json.null()? {
                    self.expect(b'{', "`fields` is not an object")?;
                    parts.fields = self.fields(0, &mut parts.flags)?;
                }
            }
            Name::Spans => parts.spans = self.spans(&mut parts.flags)?,
            Name::TraceId => parts.trace_id = self.label(&mut parts.flags)?,
            Name::SpanId => parts.span_id = self.label(&mut parts.flags)?,
            Name::Thread => parts.thread = self.label(&mut parts.flags)?,
            Name::Flags => self.flags(&mut parts.flags)?,
            Name::Level => parts.level = self.level()?,
            Name::Target => parts.target = self.optional_part()?,
            Name::File => parts.file = self.optional_part()?,
            Name::Line => parts.line = self.line()?,
        }
        Ok(())
    }

    fn together(
        &mut self,
        parts: Parts<'a>,
        callsites: &mut CallSites,
        arrived: Timestamp,
    ) -> Result<BorrowedRecord<'a>, Stop> {
        let Parts {
            mut fields,
            mut flags,
            ..
        } = parts;
        let time = match parts.time {
            Reading::Missing => arrived,
            Reading::Known(time) => time,
            Reading::Odd(place) => {
                self.keep("ts", place, &mut fields, &mut flags)?;
                flags.set(Flag::TimeRepaired);
                arrived
            }
        };
        let callsite = match parts.callsite {
            Some(number) => callsites.numbered(number)?,
            None => {
                let level = match parts.level {
                    Reading::Missing => Level::Info,
                    Reading::Known(level) => level,
                    Reading::Odd(place) => {
                        self.keep("level", place, &mut fields, &mut flags)?;
                        flags.set(Flag::LevelUnknown);
                        Level::Info
                    }
                };
                let target = parts
                    .target
                    .map(|part| part.label(&mut flags))
                    .unwrap_or_default();
                let file = parts.file.map(|part| part.label(&mut flags));
                callsites.described(&target, file.as_deref(), parts.line, level)
            }
        };
        Ok(BorrowedRecord {
            seq: parts.seq,
            time,
            callsite,
            message: parts.message.unwrap_or_default(),
            fields,
            spans: parts.spans,
            trace_id: parts.trace_id,
            span_id: parts.span_id,
            thread: parts.thread,
            flags,
        })
    }

    /// Keeps what could not be understood where it can be found.
    #[cold]
    fn keep(
        &mut self,
        name: &'static str,
        place: usize,
        fields: &mut BorrowedFields<'a>,
        flags: &mut Flags,
    ) -> Result<(), Stop> {
        if fields.len() < limits::FIELDS && !fields.iter().any(|(known, _)| known == name) {
            let here = self.json.place();
            self.json.back_to(place);
            fields.push((name.into(), self.value(0, flags)?));
            self.json.back_to(here);
        }
        Ok(())
    }

    /// Names of levels as any system writes them, and Python's numbers.
    fn level(&mut self) -> Result<Reading<Level>, Stop> {
        let place = self.json.place();
        let known = match self.json.peek() {
            Some(b'n') => return self.json.word("null").map(|()| Reading::Missing),
            Some(b'-' | b'0'..=b'9') => self.json.number()?.as_u64().map(Level::from_python),
            Some(b'"') => self.json.string()?.exact().and_then(|name| name.parse().ok()),
            _ => self.json.skip().map(|_| None)?,
        };
        Ok(known.map_or(Reading::Odd(place), Reading::Known))
    }

    #[inline]
    fn label(&mut self, flags: &mut Flags) -> Result<Option<Cow<'a, str>>, Stop> {
        Ok(self.optional_part()?.map(|part| part.label(flags)))
    }

    fn flags(&mut self, flags: &mut Flags) -> Result<(), Stop> {
        if self.json.null()? {
            return Ok(());
        }
        self.expect(b'[', "`flags` is not a list")?;
        let mut more = self.json.first_item()?;
        while more {
            flags.set_named(&self.part()?.text(&mut Flags::default()));
            more = self.json.next_item()?;
        }
        Ok(())
    }

    fn spans(&mut self, flags: &mut Flags) -> Result<Vec<BorrowedSpan<'a>>, Stop> {
        if self.json.null()? {
            return Ok(Vec::new());
        }
        self.expect(b'[', "`spans` is not a list")?;
        let mut more = self.json.first_item()?;
        while more {
            if self.open_spans.len() < limits::SPANS {
                let span = self.span(flags)?;
                self.open_spans.push(span);
            } else {
                self.json.skip()?;
            }
            more = self.json.next_item()?;
        }
        Ok(self.open_spans.drain(..).collect())
    }

    fn span(&mut self, flags: &mut Flags) -> Result<BorrowedSpan<'a>, Stop> {
        let mut span = BorrowedSpan {
            name: Cow::Borrowed(""),
            fields: Vec::new(),
        };
        if self.json.peek() == Some(b'"') {
            span.name = self.part()?.label(flags);
            return Ok(span);
        }
        self.expect(b'{', "a span is neither an object nor a name")?;
        let mut next = self.json.first_name()?;
        while let Some(name) = next {
            match name.raw() {
                "name" => span.name = self.part()?.label(flags),
                "fields" => {
                    self.expect(b'{', "a span's `fields` is not an object")?;
                    span.fields = self.fields(0, flags)?;
                }
                // Unknown keys are kept out but never rejected.
                _ => {
                    self.json.skip()?;
                }
            }
            next = self.json.next_name()?;
        }
        Ok(span)
    }
}
