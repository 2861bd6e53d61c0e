//! One record, read part by part.

use std::sync::Arc;
use std::time::Duration;

use log_record::{CallSite, Fields, Flag, Flags, Kind, Level, LogRecord, Span, Timestamp, limits};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::text;
use super::value::{cut_value, read_fields, read_map, read_value, text_bytes};

/// A record as it stands on the wire; parts whose type may surprise are unread.
#[derive(Deserialize)]
struct Wire<'a> {
    seq: Option<u64>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    callsite: Option<usize>,
    level: Option<&'a RawValue>,
    target: Option<&'a RawValue>,
    file: Option<&'a RawValue>,
    line: Option<u32>,
    message: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
    spans: Option<Vec<&'a RawValue>>,
    trace_id: Option<&'a RawValue>,
    span_id: Option<&'a RawValue>,
    thread: Option<&'a RawValue>,
    flags: Option<Vec<&'a RawValue>>,
}

/// Reads one record. `callsites` is the batch's dictionary, to which the call-sites of the short form are added.
///
/// # Errors
/// What makes the record unusable, worded for the sender.
pub(super) fn read(
    raw: &RawValue,
    callsites: &mut Vec<Arc<CallSite>>,
    dictionary: usize,
    arrived: Timestamp,
) -> Result<LogRecord, String> {
    let wire: Wire<'_> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    let mut flags = Flags::default();
    for name in wire.flags.iter().flatten() {
        flags.set_named(&text::unquote(name.get(), &mut Flags::default()));
    }
    let mut fields = match wire.fields {
        None => Fields::new(),
        Some(raw) => read_fields(read_map(raw).ok_or("`fields` is not an object")?, 0, &mut flags),
    };
    let mut spans = Vec::new();
    for raw in wire.spans.iter().flatten().take(limits::SPANS) {
        spans.push(read_span(raw, &mut flags)?);
    }
    let time = read_time(wire.ts, arrived, &mut fields, &mut flags);
    let callsite = match wire.callsite {
        Some(index) if index < dictionary => callsites[index].clone(),
        Some(index) => return Err(format!("call-site {index} is not among the batch's {dictionary}")),
        None => {
            let callsite = CallSite {
                target: wire
                    .target
                    .map(|raw| label(raw, &mut flags))
                    .unwrap_or_default()
                    .into(),
                file: wire.file.map(|raw| label(raw, &mut flags).into()),
                line: wire.line,
                level: read_level(wire.level, &mut fields, &mut flags),
                kind: Kind::Event,
            };
            intern(callsite, callsites, dictionary)
        }
    };
    let mut record = LogRecord {
        seq: wire.seq,
        time,
        callsite,
        message: wire
            .message
            .map(|raw| plain(raw, &mut flags))
            .unwrap_or_default()
            .into(),
        fields,
        spans,
        trace_id: wire.trace_id.map(|raw| label(raw, &mut flags).into()),
        span_id: wire.span_id.map(|raw| label(raw, &mut flags).into()),
        thread: wire.thread.map(|raw| label(raw, &mut flags).into()),
        flags,
    };
    cut(&mut record);
    Ok(record)
}

/// A call-site of the short form: the same one as before if it is known.
fn intern(callsite: CallSite, callsites: &mut Vec<Arc<CallSite>>, dictionary: usize) -> Arc<CallSite> {
    // Only a few recent ones are compared: a long list of distinct ones must not make a batch quadratic.
    const RECENT: usize = 16;
    let from = dictionary.max(callsites.len().saturating_sub(RECENT));
    if let Some(known) = callsites[from..].iter().find(|known| ***known == callsite) {
        return known.clone();
    }
    let callsite = Arc::new(callsite);
    callsites.push(callsite.clone());
    callsite
}

fn read_span(raw: &RawValue, flags: &mut Flags) -> Result<Span, String> {
    if raw.get().starts_with('"') {
        return Ok(Span {
            name: label(raw, flags).into(),
            fields: Fields::new(),
        });
    }
    let mut span = Span {
        name: "".into(),
        fields: Fields::new(),
    };
    for (name, value) in read_map(raw).ok_or("a span is neither an object nor a name")? {
        match name.get() {
            "\"name\"" => span.name = label(value, flags).into(),
            "\"fields\"" => {
                span.fields = read_fields(
                    read_map(value).ok_or("a span's `fields` is not an object")?,
                    0,
                    flags,
                )
            }
            // Unknown keys are kept out but never rejected.
            _ => {}
        }
    }
    Ok(span)
}

/// Text of any value: a string's characters, everything else as JSON writes it.
fn plain(raw: &RawValue, flags: &mut Flags) -> String {
    if raw.get().starts_with('"') {
        text::unquote(raw.get(), flags)
    } else {
        raw.get().to_owned()
    }
}

fn label(raw: &RawValue, flags: &mut Flags) -> String {
    let mut label = plain(raw, flags);
    if text::cut(&mut label, limits::LABEL_BYTES) {
        flags.set(Flag::Truncated);
    }
    label
}

/// Names of levels as any system writes them, and Python's numbers. Missing is `info`; what is neither is kept as field.
fn read_level(raw: Option<&RawValue>, fields: &mut Fields, flags: &mut Flags) -> Level {
    let Some(raw) = raw else { return Level::Info };
    let known = match raw.get().parse() {
        Ok(number) => Some(Level::from_python(number)),
        Err(_) => plain(raw, &mut Flags::default()).parse().ok(),
    };
    known.unwrap_or_else(|| {
        keep(fields, "level", raw, flags);
        flags.set(Flag::LevelUnknown);
        Level::Info
    })
}

/// An integer of nanoseconds or an RFC 3339 string; other languages' seconds, milli- and microseconds are told by their
/// size. Missing is the arrival; what is none of these is kept as a field.
fn read_time(
    raw: Option<&RawValue>,
    arrived: Timestamp,
    fields: &mut Fields,
    flags: &mut Flags,
) -> Timestamp {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let Some(raw) = raw else { return arrived };
    let known = if raw.get().starts_with('"') {
        plain(raw, &mut Flags::default()).parse::<Timestamp>().ok()
    } else {
        match raw.get().parse::<i64>() {
            Ok(number) => Some(Timestamp::from_nanos(scaled(number))),
            Err(_) => raw
                .get()
                .parse::<f64>()
                .ok()
                .map(|number| Timestamp::from_nanos(from_fraction(number))),
        }
    };
    let Some(time) = known else {
        keep(fields, "ts", raw, flags);
        flags.set(Flag::TimeRepaired);
        return arrived;
    };
    if time > arrived.after(DAY) || time < arrived.before(DAY * 3653) {
        flags.set(Flag::TimeSuspect);
    }
    time
}

/// Nanoseconds from a count of seconds, milli-, micro- or nanoseconds. The bounds are the year 5138 in the smaller unit
/// and the spring of 1973 in the larger, so no time of our century is misread.
fn scaled(number: i64) -> i64 {
    let scale = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.saturating_mul(scale)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a nanosecond is dropped; the cast saturates"
)]
#[expect(clippy::cast_precision_loss, reason = "the ratio is 1, 10^3, 10^6 or 10^9")]
fn from_fraction(number: f64) -> i64 {
    let whole = number as i64;
    let scale = if whole == 0 {
        1_000_000_000.0
    } else {
        scaled(whole) as f64 / whole as f64
    };
    (number * scale) as i64
}

/// Keeps what could not be understood where it can be found.
fn keep(fields: &mut Fields, name: &str, raw: &RawValue, flags: &mut Flags) {
    if fields.len() < limits::FIELDS && !fields.iter().any(|(known, _)| known == name) {
        fields.push((name.to_owned().into(), read_value(raw, 0, flags)));
    }
}

/// Cuts text beyond the record limit: fields and spans keep what fits, the message the rest.
fn cut(record: &mut LogRecord) {
    let named = |fields: &Fields| {
        fields
            .iter()
            .map(|(name, value)| name.len() + text_bytes(value))
            .sum::<usize>()
    };
    let around: usize = record
        .spans
        .iter()
        .map(|span| span.name.len() + named(&span.fields))
        .sum();
    if record.message.len() + named(&record.fields) + around <= limits::RECORD_BYTES {
        return;
    }
    let mut budget = limits::RECORD_BYTES;
    let message_share = record.message.len().min(limits::RECORD_BYTES / 2);
    budget -= message_share;
    let values = record
        .fields
        .iter_mut()
        .chain(record.spans.iter_mut().flat_map(|span| span.fields.iter_mut()));
    for (name, value) in values {
        budget = budget.saturating_sub(name.len());
        if cut_value(value, budget) {
            record.flags.set(Flag::Truncated);
        }
        budget = budget.saturating_sub(text_bytes(value));
    }
    if text::cut(record.message.to_mut(), message_share + budget) {
        record.flags.set(Flag::Truncated);
    }
}
