//! The [`tracing_subscriber::Layer`]: packs events with their spans and hands them to the buffer.
//!
//! Promises: never blocks, never panics, and holds no lock while it runs the user's `Debug` code. Knows nothing of
//! Redis or batches.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::buffer::Head;
use crate::callsite;
use crate::delivery::Delivery;
use crate::dropped::DropReason;
use crate::fields::{Budget, Collector, Fields};
use crate::levels::Levels;
use crate::lifetime::{self, Lifetime, SpanEvents};
use crate::packed::{self, Around, Packer, Stamp};
use crate::rate::RateLimit;
use crate::reentry::{self, Entry};
use crate::span::{Node, SpanData};
use crate::span_fields::SpanFields;
use crate::traceparent;

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
/// | `valuable(&value)` | its structure, at most 16 deep; needs the feature `valuable` and tracing's `--cfg tracing_unstable` |
/// | `&[u8]` | text in hexadecimal digits, `[de ad]` |
/// | `r#type` | `type` |
/// | `Option` | the value, or no field |
/// | a record of the log crate | as if logged where it was, its `log.*` fields taken away |
/// | a field whose name says that it is a secret | `[redacted]` |
/// | a field twice | the last value |
/// | an integer field `log.time` | the record's time, in nanoseconds since 1970, instead of now: for what happened elsewhere |
///
/// It filters for itself: a level that is off here is still on for other layers. Spans are kept from `INFO` up,
/// whatever the level of events, so that an error has its context.
///
/// What cannot be read off the table: control characters and colours arrive as they were logged, and whoever shows them
/// must not obey them.
pub type LogLayer<S> = Filtered<Recorder, Levels, S>;

/// What a layer is made of.
pub(crate) struct Recording {
    pub(crate) buffer: Arc<Delivery>,
    pub(crate) levels: Levels,
    pub(crate) max_record_bytes: usize,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) span_events: SpanEvents,
    pub(crate) span_fields: SpanFields,
}

pub(crate) fn layer<S>(recording: Recording) -> LogLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Recording {
        buffer,
        levels,
        max_record_bytes,
        rate_limit,
        span_events,
        span_fields,
    } = recording;
    let recorder = Recorder {
        number: LAYERS.fetch_add(1, Relaxed),
        buffer,
        levels: levels.clone(),
        span_events,
        span_fields,
        event_budget: Budget::of_event(max_record_bytes),
        span_budget: Budget::new(max_record_bytes / 16),
        spans_bytes: max_record_bytes / 4 - FIXED_BYTES,
        rate_limit,
    };
    recorder.with_filter(levels)
}

/// Layers made so far.
static LAYERS: AtomicUsize = AtomicUsize::new(0);

/// Room for what every record has: number, time, call-site, ids, thread, flags.
const FIXED_BYTES: usize = 512;

/// The layer below its filter.
#[derive(Debug)]
pub struct Recorder {
    /// No other layer of this process has it.
    number: usize,
    buffer: Arc<Delivery>,
    levels: Levels,
    span_events: SpanEvents,
    span_fields: SpanFields,
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
            let parent = span.scope().skip(1).find_map(|span| self.node(&span));
            let lifetime = self.span_events.on_close().then(|| Lifetime::new(Instant::now()));
            let twin = span.extensions().get::<SpanData>().map(|data| data.any().clone());
            let node = Arc::new(Node::new(
                attributes.metadata(),
                fields,
                parent,
                lifetime,
                twin.as_deref(),
            ));
            let mut extensions = span.extensions_mut();
            match extensions.get_mut::<SpanData>() {
                Some(data) => data.add(self.number, node.clone()),
                None => extensions.insert(SpanData::new(self.number, node.clone())),
            }
            drop(extensions);
            if self.span_events.on_new() {
                self.record_moment(attributes.metadata(), &node, None);
            }
        });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        packed::moved();
        if self.span_events.on_close() {
            self.with_lifetime(id, &context, |life| life.enter(Instant::now()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        packed::moved();
        if self.span_events.on_close() {
            self.with_lifetime(id, &context, |life| life.exit(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if !self.span_events.on_close() {
            return;
        }
        shielded(|| {
            let Some(span) = context.span(&id) else { return };
            if let Some(node) = self.node(&span)
                && let Some(life) = &node.lifetime
            {
                self.record_moment(span.metadata(), &node, Some(life.times(Instant::now())));
            }
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        shielded(|| {
            let mut fields = Fields::default();
            values.record(&mut self.collector(&mut fields));
            let Some(span) = context.span(id) else { return };
            if let Some(node) = self.node(&span) {
                node.record(fields, self.span_budget);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Before the fields: the user's code may take its time.
        let time = SystemTime::now();
        let level = *event.metadata().level();
        let refuse = |reason| self.buffer.refuse(event.metadata(), reason, time);
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
        let mut scratch = Scratch::take();
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            self.record(event, &context, &mut scratch, time, suppressed);
        }));
        if recorded.is_err() {
            refuse(DropReason::Panicked);
        }
        scratch.keep();
    }
}

impl Recorder {
    fn collector<'a>(&'a self, fields: &'a mut Fields) -> Collector<'a> {
        Collector {
            fields,
            message: None,
            budget: self.span_budget,
            wanted: Some(&self.span_fields),
        }
    }

    /// What this layer keeps with the span.
    fn node<S>(&self, span: &SpanRef<'_, S>) -> Option<Arc<Node>>
    where
        S: for<'a> LookupSpan<'a>,
    {
        span.extensions().get::<SpanData>()?.of(self.number).cloned()
    }

    fn with_lifetime<S>(&self, id: &Id, context: &Context<'_, S>, work: impl FnOnce(&Lifetime))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let node = context.span(id).and_then(|span| self.node(&span));
        if let Some(life) = node.as_ref().and_then(|node| node.lifetime.as_ref()) {
            work(life);
        }
    }

    /// Whether the call-site has not logged too often, and then how many of its records were not let through before.
    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        let Some(limit) = &self.rate_limit else {
            return Some(0);
        };
        let foreign = foreign(event);
        limit.admit(event.metadata(), foreign.as_ref(), Instant::now())
    }

    /// Records the beginning of a span, or its end if there are times.
    fn record_moment(
        &self,
        metadata: &'static Metadata<'static>,
        node: &Node,
        times: Option<(Duration, Duration)>,
    ) {
        let time = SystemTime::now();
        if !self.levels.admit_record(metadata) {
            return;
        }
        if self.buffer.refuses(*metadata.level()) {
            return self.buffer.refuse(metadata, DropReason::Full, time);
        }
        let mut scratch = Scratch::take();
        lifetime::write(&mut scratch.body, node, times, self.spans_bytes);
        self.buffer.push(Head::new(time, metadata, 0), &scratch.body);
        scratch.keep();
    }

    /// Packs the event and buffers it.
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
        let Scratch { body, around } = scratch;
        // The log crate's records share one call-site per level; the true one is in their fields.
        if let Some(metadata) = foreign(event) {
            callsite::write(body, &metadata);
        }
        let site_bytes = body.len();
        let mut packer = Packer::new(body, self.event_budget, event);
        // After the values: printing them may have recorded something in a span.
        let stamp = event.is_contextual().then(|| Stamp::now(self.number));
        if !around.is(stamp) {
            let node = context.event_span(event).and_then(|span| self.node(&span));
            around.pack(stamp, node.as_deref(), self.spans_bytes);
        }
        let weight = packer.surround(around, suppressed, traceparent::of_others());
        let time = packer.time.unwrap_or(time);
        let head = Head::packed(time, event.metadata(), site_bytes, weight);
        self.buffer.push(head, body);
    }
}

/// The true call-site of a record of the log crate. Those have this target, by which they are told from all others in no
/// time; to look closer costs as much as to pack two fields.
fn foreign<'a>(event: &'a Event<'a>) -> Option<Metadata<'a>> {
    if event.metadata().target() != "log" {
        return None;
    }
    event.normalized_metadata()
}

/// Memory a thread reuses for every event. It is taken, not borrowed: a nested event finds none and brings its own, and
/// a panic loses nothing but memory.
struct Scratch {
    body: Vec<u8>,
    around: Around,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    fn take() -> Box<Scratch> {
        let kept = SCRATCH.try_with(Cell::take).ok().flatten();
        let mut scratch = kept.unwrap_or_else(|| {
            Box::new(Scratch {
                body: Vec::new(),
                around: Around::new(std::thread::current().name().unwrap_or_default()),
            })
        });
        scratch.body.clear();
        scratch
    }

    fn keep(self: Box<Scratch>) {
        if self.body.capacity() <= SCRATCH_BYTES && self.around.capacity() <= SCRATCH_BYTES {
            // A thread that is ending keeps nothing.
            let _ = SCRATCH.try_with(|kept| kept.set(Some(self)));
        }
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
