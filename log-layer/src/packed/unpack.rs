//! The shipper's side.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;

use serde::de::IgnoredAny;
use tracing_core::callsite::Identifier;

use super::{has, tag};
use crate::buffer::Head;
use crate::encode;
use crate::fields::{Budget, Collector, Fields};
use crate::traceparent::{SpanId, TraceId};

/// What the log crate's records say of their call-site, which is told apart from the fields.
const OF_THE_LOG_CRATE: [&str; 4] = ["log.target", "log.module_path", "log.file", "log.line"];

/// Writes packed events as JSON; keeps its memory between them.
#[derive(Debug, Default)]
pub(crate) struct Unpacker {
    /// Of the fields of each call-site.
    names: HashMap<Identifier, Vec<&'static str>>,
    message: Vec<u8>,
    fields: Fields,
    /// The spans that were seen last to be JSON: an event mostly has those of the one before.
    spans: Vec<u8>,
}

impl Unpacker {
    /// Appends the inside of a record's object, from a comma on: message, fields, ids, spans, thread and flags. `body` is
    /// what stands behind a call-site of its own, if it has one.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, head: &Head, body: &[u8], record_bytes: usize) {
        if !head.packed {
            return out.extend_from_slice(body);
        }
        let of_the_site = || head.metadata.fields().iter().map(|field| field.name()).collect();
        let names = self
            .names
            .entry(head.metadata.callsite())
            .or_insert_with(of_the_site);
        let mut packed = Reader(body);
        let here = packed.byte().unwrap_or(0);
        let mut values = Reader(packed.long().unwrap_or_default());
        let thread = if here & has::THREAD > 0 {
            packed.short()
        } else {
            None
        };
        let spans = if here & has::SPANS > 0 {
            packed.spans()
        } else {
            None
        };
        let suppressed = if here & has::SUPPRESSED > 0 {
            packed.number()
        } else {
            None
        };

        self.message.clear();
        self.fields.clear();
        self.fields.truncated = here & has::TRUNCATED > 0;
        let mut collector = Collector {
            fields: &mut self.fields,
            message: Some(&mut self.message),
            budget: Budget::of_event(record_bytes),
            wanted: None,
        };
        while values.value(names, &mut collector).is_some() {}
        if let Some(suppressed) = suppressed {
            collector.put("suppressed", |json| json.plain(u64::from_le_bytes(suppressed)));
        }
        if head.site_bytes > 0 {
            for name in OF_THE_LOG_CRATE {
                self.fields.remove(name);
            }
        }

        if !self.message.is_empty() {
            out.extend_from_slice(b",\"message\":");
            out.extend_from_slice(&self.message);
        }
        if !self.fields.json().is_empty() {
            out.extend_from_slice(b",\"fields\":{");
            out.extend_from_slice(self.fields.json());
            out.push(b'}');
        }
        if let Some((trace, span, chain)) = spans {
            write!(
                out,
                ",\"trace_id\":\"{}\",\"span_id\":\"{}\"",
                trace.hex(),
                span.hex()
            )
            .expect("a Vec takes every byte");
            if !chain.is_empty() {
                write_spans(out, chain, &mut self.spans);
            }
        }
        if let Some(thread) = thread {
            out.extend_from_slice(b",\"thread\":");
            encode::text(out, &String::from_utf8_lossy(thread));
        }
        match (self.fields.truncated, self.fields.repeated) {
            (false, false) => {}
            (true, false) => out.extend_from_slice(b",\"flags\":[\"truncated\"]"),
            (false, true) => out.extend_from_slice(b",\"flags\":[\"duplicate_field\"]"),
            (true, true) => out.extend_from_slice(b",\"flags\":[\"truncated\",\"duplicate_field\"]"),
        }
    }
}

/// Appends the spans if they are the inside of a JSON array; those that were seen to be one are not looked at again.
fn write_spans(out: &mut Vec<u8>, chain: &[u8], seen: &mut Vec<u8>) {
    const NAME: &[u8] = b",\"spans\":";
    let start = out.len();
    out.extend_from_slice(NAME);
    out.push(b'[');
    out.extend_from_slice(chain);
    out.push(b']');
    if *seen != chain {
        match serde_json::from_slice::<IgnoredAny>(&out[start + NAME.len()..]) {
            Ok(_) => chain.clone_into(seen),
            Err(_) => out.truncate(start),
        }
    }
}

/// What is left of a packed event. Everything it reads was packed by this process; it stops where that does not fit.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<[u8; 8]> {
        self.array()
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.byte()?;
        self.take(usize::from(len))
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?);
        self.take(len as usize)
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        self.long().map(String::from_utf8_lossy)
    }

    fn spans(&mut self) -> Option<(TraceId, SpanId, &'a [u8])> {
        let trace = TraceId::from_bytes(self.array()?);
        let span = SpanId::from_bytes(self.array()?);
        Some((trace, span, self.long()?))
    }

    /// Hands the next value to the collector; none if there is none.
    fn value(&mut self, names: &[&'static str], collector: &mut Collector<'_>) -> Option<()> {
        let (tag, index) = (self.byte()?, self.byte()?);
        let name = names.get(usize::from(index))?;
        match tag {
            tag::FALSE => collector.put(name, |json| json.plain(false)),
            tag::TRUE => collector.put(name, |json| json.plain(true)),
            tag::I64 => {
                let value = i64::from_le_bytes(self.number()?);
                collector.put(name, |json| json.plain(value));
            }
            tag::U64 => {
                let value = u64::from_le_bytes(self.number()?);
                collector.put(name, |json| json.plain(value));
            }
            tag::F64 => {
                let value = f64::from_le_bytes(self.number()?);
                collector.put(name, |json| json.float(value));
            }
            tag::TEXT => {
                let text = self.text()?;
                collector.put(name, |json| json.text(&text));
            }
            #[cfg(feature = "valuable")]
            tag::JSON => {
                let text = self.text()?;
                collector.put(name, |json| json.written(&text));
            }
            tag::ERROR => {
                let count = usize::from(self.byte()?);
                let texts: Vec<_> = (0..count).map_while(|_| self.text()).collect();
                let (message, causes) = texts.split_first()?;
                if collector.is_message(name) {
                    collector.put(name, |json| json.text(message));
                } else {
                    collector.put(name, |json| json.error(message, causes.iter().map(AsRef::as_ref)));
                }
            }
            _ => return None,
        }
        Some(())
    }
}
