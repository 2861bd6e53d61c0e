//! The side of the thread that logs.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use tracing_core::Event;
use tracing_core::field::{Field, Visit};

use super::{Around, has, reserve_length, set_length, tag};
use crate::encode::CAUSES;
use crate::fields::Budget;
use crate::traceparent::{SpanId, TraceId};
#[cfg(all(feature = "valuable", tracing_unstable))]
use crate::{encode, structured};

/// What the JSON of a value takes besides its name and what it takes here, in round figures.
const PUNCTUATION: usize = 4;

/// A name that is no field but the time of what is logged.
const OWN_TIME: &str = "log.time";

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
        let at = reserve_length(packer.out);
        event.record(&mut packer);
        set_length(packer.out, at);
        packer
    }

    /// Appends the rest; `ids` are in place of the span's own. Returns how much JSON the event will be, in round figures
    /// and escapes aside.
    pub(crate) fn surround(
        &mut self,
        around: &Around,
        suppressed: u64,
        ids: Option<(TraceId, SpanId)>,
    ) -> usize {
        let mut here = self.out[self.start] | around.here;
        let at = self.out.len() + around.ids_at;
        self.out.extend_from_slice(&around.bytes);
        if let Some((trace, span)) = ids {
            if here & has::SPANS == 0 {
                here |= has::SPANS;
                self.out.extend_from_slice(&[0; 16 + 8 + 4]);
            }
            self.out[at..at + 16].copy_from_slice(&trace.to_bytes());
            self.out[at + 16..at + 24].copy_from_slice(&span.to_bytes());
        }
        if suppressed > 0 {
            here |= has::SUPPRESSED;
            self.out.extend_from_slice(&suppressed.to_le_bytes());
        }
        self.out[self.start] = here;
        self.out.len() - self.start + self.names
    }

    fn cut(&mut self) {
        self.out[self.start] |= has::TRUNCATED;
    }

    /// Whether there is room for another value.
    fn admits(&mut self, field: &Field) -> Option<u8> {
        let used = self.out.len() - self.values;
        match u8::try_from(field.index()) {
            Ok(index) if !self.budget.is_spent(used) => {
                self.names += field.name().len() + PUNCTUATION;
                Some(index)
            }
            _ => {
                self.cut();
                None
            }
        }
    }

    /// Starts a value. Returns whether there is room for it.
    fn begin(&mut self, field: &Field, tag: u8) -> bool {
        let index = self.admits(field);
        if let Some(index) = index {
            self.out.extend_from_slice(&[tag, index]);
        }
        index.is_some()
    }

    fn number(&mut self, field: &Field, tag: u8, value: u64) {
        if let Some(index) = self.admits(field) {
            // All at once: the vector looks at its room once.
            let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
            self.out.extend_from_slice(&[tag, index, a, b, c, d, e, f, g, h]);
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
        let at = reserve_length(self.out);
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
        set_length(self.out, at);
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
            self.number(field, tag::I64, value.cast_unsigned());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !self.is_time(field, Some(value)) {
            self.number(field, tag::U64, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, tag::F64, value.to_bits());
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
        let at = reserve_length(self.out);
        let stop = self.budget.stop(at - self.values);
        let room = stop.saturating_sub(self.out.len() - self.values);
        let fits = value.floor_char_boundary(room);
        self.out.extend_from_slice(&value.as_bytes()[..fits]);
        set_length(self.out, at);
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

    #[cfg(all(feature = "valuable", tracing_unstable))]
    fn record_value(&mut self, field: &Field, value: valuable::Value<'_>) {
        if matches!(value, valuable::Value::Unit) || !self.begin(field, tag::JSON) {
            return;
        }
        let at = reserve_length(self.out);
        let stop = self.values + self.budget.stop(at - self.values);
        if encode::value(self.out, stop, |json| structured::write(json, value)) {
            self.cut();
        }
        set_length(self.out, at);
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
