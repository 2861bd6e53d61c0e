//! The side of the thread that logs.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use tracing_core::Event;
use tracing_core::field::{Field, Visit};

use super::{has, tag};
use crate::encode::CAUSES;
use crate::fields::Budget;
use crate::span::Node;
use crate::traceparent::{SpanId, TraceId};

/// What the JSON of a value takes besides its name and what it takes here, in round figures.
const PUNCTUATION: usize = 4;

/// A name that is no field but the time of what is logged.
const OWN_TIME: &str = "log.time";

/// What stands around an event's values.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) thread: &'a str,
    pub(crate) suppressed: u64,
    pub(crate) span: Option<&'a Node>,
    /// In place of the span's own.
    pub(crate) ids: Option<(TraceId, SpanId)>,
    /// How much the spans may take.
    pub(crate) spans_bytes: usize,
}

/// Packs one event.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the packed event starts, and where its values do.
    start: usize,
    values: usize,
    budget: Budget,
    /// What the JSON takes besides what is in `out`.
    names: usize,
    /// The time that the event brings along.
    pub(crate) time: Option<SystemTime>,
}

impl<'a> Packer<'a> {
    /// Appends the event's values to `out`, with as much text as `budget` has.
    pub(crate) fn new(out: &'a mut Vec<u8>, budget: Budget, event: &Event<'_>) -> Packer<'a> {
        let start = out.len();
        out.push(0);
        let mut packer = Packer {
            out,
            start,
            values: start + 5,
            budget,
            names: 0,
            time: None,
        };
        let at = packer.reserve_length();
        event.record(&mut packer);
        packer.set_length(at);
        packer
    }

    /// Appends the rest. Returns how much JSON the event will be, in round figures and escapes aside.
    pub(crate) fn surround(&mut self, around: &Surroundings<'_>) -> usize {
        let mut here = self.out[self.start];
        if let Ok(len @ 1..) = u8::try_from(around.thread.len()) {
            here |= has::THREAD;
            self.out.push(len);
            self.out.extend_from_slice(around.thread.as_bytes());
        }
        if around.suppressed > 0 {
            here |= has::SUPPRESSED;
            self.out.extend_from_slice(&around.suppressed.to_le_bytes());
        }
        let ids = around
            .ids
            .or_else(|| around.span.map(|span| (span.trace(), span.id)));
        if let Some((trace, span)) = ids {
            here |= has::SPANS;
            self.out.extend_from_slice(&trace.to_bytes());
            self.out.extend_from_slice(&span.to_bytes());
            let at = self.reserve_length();
            let chain = around
                .span
                .map(|span| span.write_chain(self.out, around.spans_bytes));
            if chain == Some(true) {
                here |= has::TRUNCATED;
            }
            self.set_length(at);
        }
        self.out[self.start] = here;
        self.out.len() - self.start + self.names
    }

    fn cut(&mut self) {
        self.out[self.start] |= has::TRUNCATED;
    }

    /// Starts a value. Returns whether there is room for it.
    fn begin(&mut self, field: &Field, tag: u8) -> bool {
        let used = self.out.len() - self.values;
        match u8::try_from(field.index()) {
            Ok(index) if !self.budget.is_spent(used) => {
                self.out.extend_from_slice(&[tag, index]);
                self.names += field.name().len() + PUNCTUATION;
                true
            }
            _ => {
                self.cut();
                false
            }
        }
    }

    fn number(&mut self, field: &Field, tag: u8, bytes: [u8; 8]) {
        if self.begin(field, tag) {
            self.out.extend_from_slice(&bytes);
        }
    }

    /// Packs what prints itself; user code, which may panic.
    fn printed(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if let Some(text) = value.as_str() {
            return self.record_str(field, text);
        }
        if !self.begin(field, tag::TEXT) {
            return;
        }
        let start = self.out.len();
        let printed = catch_unwind(AssertUnwindSafe(|| self.print(value)));
        if printed.is_err() {
            self.out.truncate(start);
            self.print(format_args!("<panic in Debug>"));
        }
    }

    /// Appends a length and what is printed, as far as there is room.
    fn print(&mut self, value: fmt::Arguments<'_>) {
        let at = self.reserve_length();
        let stop = self.values + self.budget.stop(at - self.values);
        let mut writer = Writer {
            out: self.out,
            stop,
            full: false,
        };
        let failed = writer.write_fmt(value).is_err();
        let full = writer.full;
        if full {
            self.cut();
        } else if failed {
            self.out.extend_from_slice(b"<error in Debug>");
        }
        self.set_length(at);
    }

    fn chain(&mut self, error: &dyn Error) {
        let count = self.out.len();
        self.out.push(0);
        let causes = std::iter::successors(Some(error), |&cause| cause.source());
        for error in causes.take(1 + CAUSES) {
            self.print(format_args!("{error}"));
            self.out[count] += 1;
        }
    }

    fn reserve_length(&mut self) -> usize {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        at
    }

    fn set_length(&mut self, at: usize) {
        let len = u32::try_from(self.out.len() - at - 4).expect("an event is far below 4 GiB");
        self.out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Whether this was the event's own time, which is no field.
    fn is_time(&mut self, field: &Field, nanoseconds: Option<u64>) -> bool {
        if field.name() != OWN_TIME {
            return false;
        }
        let time = nanoseconds
            .map(Duration::from_nanos)
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        self.time = time.or(self.time);
        time.is_some()
    }
}

impl Visit for Packer<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if !self.is_time(field, u64::try_from(value).ok()) {
            self.number(field, tag::I64, value.to_le_bytes());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !self.is_time(field, Some(value)) {
            self.number(field, tag::U64, value.to_le_bytes());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, tag::F64, value.to_le_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.begin(field, if value { tag::TRUE } else { tag::FALSE });
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.printed(field, format_args!("{value}"));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.printed(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.begin(field, tag::TEXT) {
            return;
        }
        let at = self.reserve_length();
        let stop = self.budget.stop(at - self.values);
        let room = stop.saturating_sub(self.out.len() - self.values);
        let fits = value.floor_char_boundary(room);
        self.out.extend_from_slice(&value.as_bytes()[..fits]);
        self.set_length(at);
        if fits < value.len() {
            self.cut();
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if !self.begin(field, tag::ERROR) {
            return;
        }
        let start = self.out.len();
        let printed = catch_unwind(AssertUnwindSafe(|| self.chain(value)));
        if printed.is_err() {
            self.out.truncate(start);
            self.out.push(1);
            self.print(format_args!("<panic in Debug>"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.printed(field, format_args!("{value:?}"));
    }
}

/// Text up to a limit: a hundred megabytes stop there.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    stop: usize,
    full: bool,
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.stop.saturating_sub(self.out.len());
        let fits = text.floor_char_boundary(room);
        self.out.extend_from_slice(&text.as_bytes()[..fits]);
        if fits == text.len() {
            return Ok(());
        }
        self.full = true;
        Err(fmt::Error)
    }
}
