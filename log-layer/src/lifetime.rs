//! Records of spans' beginnings and ends, for those who want them, with how long each was worked in.
//!
//! Promises: a span that is entered by several threads at once is busy once; a clock or a count that does not fit gives
//! zero, never a panic. Knows nothing of the registry.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::span::Node;

/// Which moments of a span's life become records; see [`Builder::span_events`](crate::Builder::span_events).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanEvents {
    /// None.
    #[default]
    Off,
    /// Its beginning.
    New,
    /// Its end, with the nanoseconds it was worked in and those it waited.
    Close,
    /// Both.
    All,
}

impl SpanEvents {
    pub(crate) fn on_new(self) -> bool {
        match self {
            SpanEvents::New | SpanEvents::All => true,
            SpanEvents::Off | SpanEvents::Close => false,
        }
    }

    pub(crate) fn on_close(self) -> bool {
        match self {
            SpanEvents::Close | SpanEvents::All => true,
            SpanEvents::Off | SpanEvents::New => false,
        }
    }
}

/// `off`, `new`, `close` or `all`.
impl FromStr for SpanEvents {
    type Err = UnknownMoment;

    fn from_str(text: &str) -> Result<SpanEvents, UnknownMoment> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(SpanEvents::Off),
            "new" => Ok(SpanEvents::New),
            "close" => Ok(SpanEvents::Close),
            "all" | "new,close" => Ok(SpanEvents::All),
            _ => Err(UnknownMoment),
        }
    }
}

/// A text that names no [`SpanEvents`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownMoment;

impl fmt::Display for UnknownMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of off, new, close, all")
    }
}

impl std::error::Error for UnknownMoment {}

/// Since when there is a span, and how long it was worked in.
#[derive(Debug)]
pub(crate) struct Lifetime {
    opened: Instant,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    busy: Duration,
    /// How many threads are in it, and since when it is not none.
    inside: u32,
    since: Option<Instant>,
}

impl Lifetime {
    pub(crate) fn new(now: Instant) -> Lifetime {
        Lifetime {
            opened: now,
            work: Mutex::default(),
        }
    }

    pub(crate) fn enter(&self, now: Instant) {
        let mut work = self.lock();
        work.inside += 1;
        work.since.get_or_insert(now);
    }

    pub(crate) fn exit(&self, now: Instant) {
        let mut work = self.lock();
        // It may have been entered before anybody counted.
        work.inside = work.inside.saturating_sub(1);
        if work.inside == 0
            && let Some(since) = work.since.take()
        {
            work.busy += now.saturating_duration_since(since);
        }
    }

    /// Busy and idle until now.
    pub(crate) fn times(&self, now: Instant) -> (Duration, Duration) {
        let work = self.lock();
        let inside = work
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let busy = work.busy + inside;
        (
            busy,
            now.saturating_duration_since(self.opened).saturating_sub(busy),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends the inside of the record of a span's beginning, or of its end if there are times.
pub(crate) fn write(out: &mut Vec<u8>, node: &Node, times: Option<(Duration, Duration)>, spans_bytes: usize) {
    let moment = if times.is_some() { "close" } else { "new" };
    write!(out, ",\"message\":\"{moment}\"").expect(VEC);
    let parent = node.parent().map(|parent| parent.id.hex());
    let mut separator = ",\"fields\":{";
    if let Some((busy, idle)) = times {
        let (busy, idle) = (busy.as_nanos(), idle.as_nanos());
        write!(out, "{separator}\"busy_ns\":{busy},\"idle_ns\":{idle}").expect(VEC);
        separator = ",";
    }
    if let Some(parent) = &parent {
        write!(out, "{separator}\"parent_span_id\":\"{parent}\"").expect(VEC);
    }
    if times.is_some() || parent.is_some() {
        out.push(b'}');
    }
    let (trace, span) = (node.trace().hex(), node.id.hex());
    write!(
        out,
        ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",\"spans\":["
    )
    .expect(VEC);
    let truncated = node.write_chain(out, spans_bytes);
    out.push(b']');
    if truncated {
        out.extend_from_slice(b",\"flags\":[\"truncated\"]");
    }
}

/// Why writing into memory cannot fail.
const VEC: &str = "a Vec takes every byte";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_counted_once_however_many_are_inside_and_idle_is_the_rest() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let life = Lifetime::new(start);
        life.exit(at(1));
        life.enter(at(10));
        life.enter(at(12));
        life.exit(at(15));
        life.exit(at(20));
        life.enter(at(30));
        let ms = Duration::from_millis;
        assert_eq!(life.times(at(35)), (ms(15), ms(20)));
        life.exit(at(40));
        assert_eq!(life.times(at(100)), (ms(20), ms(80)));
        assert_eq!(life.times(start), (ms(20), ms(0)), "a clock that goes back");
    }

    #[test]
    fn the_words_name_the_moments() {
        let read = |text: &str| text.parse::<SpanEvents>();
        assert_eq!(read("off"), Ok(SpanEvents::Off));
        assert_eq!(read("New"), Ok(SpanEvents::New));
        assert_eq!(read("close"), Ok(SpanEvents::Close));
        assert_eq!(read("new,close"), Ok(SpanEvents::All));
        assert_eq!(read("all"), Ok(SpanEvents::All));
        assert_eq!(read("enter"), Err(UnknownMoment));
    }
}
