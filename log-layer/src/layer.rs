//! The [`tracing_subscriber::Layer`]: turns events and spans into JSON and hands the records to the buffer.
//!
//! Promises: never blocks, never panics, and holds no lock while it runs the user's `Debug` code. Knows nothing of
//! Redis or batches.

use std::cell::Cell;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::buffer::Head;
use crate::callsite;
use crate::delivery::Delivery;
use crate::dropped::DropReason;
use crate::encode;
use crate::fields::{Budget, Collector, Fields};
use crate::levels::Levels;
use crate::rate::RateLimit;
use crate::reentry::{self, Entry};
use crate::span::SpanData;

/// More spans around one event are most likely a recursion; the innermost are kept.
const SPAN_DEPTH: usize = 32;

/// Scratch memory beyond this is not kept by a thread.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A layer that ships what is logged; made by [`Builder::build`](crate::Builder::build).
///
/// How values arrive:
///
/// | logged | stored |
/// |---|---|
/// | integers up to 64 bits, `bool`, `&str` | the same |
/// | `f64` | the same number; `NaN` and the infinities as text |
/// | `i128`, `u128` | text |
/// | `&dyn Error` | `{"message", "chain"}`: the error and its causes |
/// | `?value`, `%value` | what it prints, as text; `<panic in Debug>` if that panics |
/// | a field whose name says that it is a secret | `[redacted]` |
/// | a field twice | the last value |
/// | an integer field `log.time` | the record's time, in nanoseconds since 1970, instead of now: for what happened elsewhere |
///
/// It filters for itself: a level that is off here is still on for other layers. Spans are kept from `INFO` up,
/// whatever the level of events, so that an error has its context.
pub type LogLayer<S> = Filtered<Recorder, Levels, S>;

pub(crate) fn layer<S>(
    buffer: Arc<Delivery>,
    levels: Levels,
    max_record_bytes: usize,
    rate_limit: Option<RateLimit>,
) -> LogLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let recorder = Recorder {
        buffer,
        event_budget: Budget::new(max_record_bytes / 4 * 3),
        span_budget: Budget::new(max_record_bytes / 16),
        spans_bytes: max_record_bytes / 4 - FIXED_BYTES,
        rate_limit,
    };
    recorder.with_filter(levels)
}

/// Room for what every record has: number, time, call-site, ids, thread, flags.
const FIXED_BYTES: usize = 512;

/// The layer below its filter.
#[derive(Debug)]
pub struct Recorder {
    buffer: Arc<Delivery>,
    /// Message and fields of an event.
    event_budget: Budget,
    /// Fields of one span.
    span_budget: Budget,
    /// All spans around one event.
    spans_bytes: usize,
    rate_limit: Option<RateLimit>,
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        shielded(|| {
            let mut fields = Fields::default();
            attributes.record(&mut self.collector(&mut fields));
            let Some(span) = context.span(id) else { return };
            let inherited = span
                .parent()
                .and_then(|parent| parent.extensions().get::<SpanData>().map(|data| data.trace));
            let data = SpanData::new(attributes.metadata(), fields, inherited);
            // A second layer of ours finds the span taken care of: ids must be the same in both.
            let mut extensions = span.extensions_mut();
            if extensions.get_mut::<SpanData>().is_none() {
                extensions.insert(data);
            }
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        shielded(|| {
            let mut fields = Fields::default();
            values.record(&mut self.collector(&mut fields));
            let Some(span) = context.span(id) else { return };
            if let Some(data) = span.extensions_mut().get_mut::<SpanData>() {
                data.record(fields, self.span_budget);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Before the fields: the user's code may take its time.
        let time = SystemTime::now();
        let level = *event.metadata().level();
        let refuse = |reason| self.buffer.refuse(level, reason, time);
        let _inside = match reentry::enter() {
            Entry::Open(inside) => inside,
            Entry::TooDeep => return refuse(DropReason::Recursion),
            Entry::Shipper => return,
        };
        // An overload must cost less than the work it cannot keep.
        if self.buffer.refuses(level) {
            return refuse(DropReason::Full);
        }
        let Some(suppressed) = self.admit(event) else {
            return refuse(DropReason::RateLimited);
        };
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            scratch.clear();
            self.record(event, &context, &mut scratch, time, suppressed);
        }));
        if recorded.is_err() {
            refuse(DropReason::Panicked);
        }
        if scratch.capacity() <= SCRATCH_BYTES {
            // A thread that is ending keeps nothing.
            let _ = SCRATCH.try_with(|kept| kept.set(scratch));
        }
    }
}

impl Recorder {
    fn collector<'a>(&self, fields: &'a mut Fields) -> Collector<'a> {
        Collector {
            fields,
            message: None,
            budget: self.span_budget,
        }
    }

    /// Whether the call-site has not logged too often, and then how many of its records were not let through before.
    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        let Some(limit) = &self.rate_limit else {
            return Some(0);
        };
        let foreign = event.normalized_metadata();
        limit.admit(event.metadata(), foreign.as_ref(), Instant::now())
    }

    /// Encodes the event and buffers it.
    fn record<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        scratch: &mut Scratch,
        time: SystemTime,
        suppressed: u64,
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Scratch {
            body,
            message,
            fields,
            spans,
        } = scratch;
        event.record(&mut Collector {
            fields,
            message: Some(message),
            budget: self.event_budget,
        });

        if suppressed > 0 {
            fields.set("suppressed", self.event_budget, message.len(), |json| {
                json.plain(suppressed);
            });
        }
        let time = own_time(fields).unwrap_or(time);
        // The log crate's records share one call-site per level; the true one is in their fields.
        let mut site_bytes = 0;
        if let Some(metadata) = event.normalized_metadata() {
            for name in ["log.target", "log.module_path", "log.file", "log.line"] {
                fields.remove(name);
            }
            callsite::write(body, &metadata);
            site_bytes = body.len();
        }
        if !message.is_empty() {
            body.extend_from_slice(b",\"message\":");
            body.extend_from_slice(message);
        }
        if !fields.json().is_empty() {
            body.extend_from_slice(b",\"fields\":{");
            body.extend_from_slice(fields.json());
            body.push(b'}');
        }
        let truncated = self.write_context(event, context, body, spans) | fields.truncated;
        if let Some(thread) = std::thread::current().name() {
            body.extend_from_slice(b",\"thread\":");
            encode::text(body, thread);
        }
        match (truncated, fields.repeated) {
            (false, false) => {}
            (true, false) => body.extend_from_slice(b",\"flags\":[\"truncated\"]"),
            (false, true) => body.extend_from_slice(b",\"flags\":[\"duplicate_field\"]"),
            (true, true) => body.extend_from_slice(b",\"flags\":[\"truncated\",\"duplicate_field\"]"),
        }
        self.buffer
            .push(Head::new(time, event.metadata(), site_bytes), body);
    }

    /// Writes the spans around the event, outermost first, and the ids of the innermost. Returns whether some were left
    /// out or cut.
    fn write_context<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        body: &mut Vec<u8>,
        spans: &mut Vec<u8>,
    ) -> bool
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut truncated = false;
        let mut ends = [0; SPAN_DEPTH + 1];
        let mut count = 0;
        // Innermost first, because those are kept when there are too many.
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(data) = extensions.get::<SpanData>() else {
                continue;
            };
            if count == SPAN_DEPTH {
                truncated = true;
                break;
            }
            if count == 0 {
                write!(
                    body,
                    ",\"trace_id\":\"{}\",\"span_id\":\"{}\"",
                    data.trace.hex(),
                    data.id.hex()
                )
                .expect("a Vec takes every byte");
            }
            data.write(spans);
            if spans.len() > self.spans_bytes {
                spans.truncate(ends[count]);
                truncated = true;
                break;
            }
            truncated |= data.truncated();
            count += 1;
            ends[count] = spans.len();
        }
        if count > 0 {
            body.extend_from_slice(b",\"spans\":[");
            for index in (0..count).rev() {
                body.extend_from_slice(&spans[ends[index]..ends[index + 1]]);
                if index > 0 {
                    body.push(b',');
                }
            }
            body.push(b']');
        }
        truncated
    }
}

/// The time that an event brings along, taken out of its fields.
fn own_time(fields: &mut Fields) -> Option<SystemTime> {
    let nanos = std::str::from_utf8(fields.value("log.time")?)
        .ok()?
        .parse()
        .ok()?;
    fields.remove("log.time");
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}

/// Memory a thread reuses for every event. It is taken, not borrowed: a nested event finds none and brings its own, and
/// a panic loses nothing but memory.
#[derive(Default)]
struct Scratch {
    body: Vec<u8>,
    message: Vec<u8>,
    fields: Fields,
    spans: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Scratch {
    fn clear(&mut self) {
        self.body.clear();
        self.message.clear();
        self.fields.clear();
        self.spans.clear();
    }

    fn capacity(&self) -> usize {
        self.body.capacity() + self.message.capacity() + self.fields.capacity() + self.spans.capacity()
    }
}

/// Runs a span callback. What it would have kept is context, not a record, so there is nothing to count if it cannot.
fn shielded(work: impl FnOnce()) {
    match reentry::enter() {
        Entry::Open(_inside) => {
            // The span stays without its data; events in it go on.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
        Entry::TooDeep | Entry::Shipper => {}
    }
}
