//! What the layer keeps with each span: its fields as JSON text, and its place in a trace.
//!
//! Lives in the registry's extensions. Whoever fills it has run the user's code before it takes their lock.

use tracing_core::Metadata;

use crate::encode;
use crate::fields::{Budget, Fields};
use crate::traceparent::{SpanId, TraceId};

/// A span that has this field continues the trace it names; the field itself is not shown.
const TRACEPARENT: &str = "traceparent";

/// Data of one open span.
#[derive(Debug)]
pub(crate) struct SpanData {
    name: &'static str,
    fields: Fields,
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
}

impl SpanData {
    /// A span below one of the trace `inherited`, or a root if there is none.
    pub(crate) fn new(
        metadata: &'static Metadata<'static>,
        mut fields: Fields,
        inherited: Option<TraceId>,
    ) -> SpanData {
        let trace = take_trace(&mut fields)
            .or(inherited)
            .unwrap_or_else(TraceId::random);
        SpanData {
            name: metadata.name(),
            fields,
            trace,
            id: SpanId::random(),
        }
    }

    /// Takes fields that were recorded later; the last value wins.
    pub(crate) fn record(&mut self, mut later: Fields, budget: Budget) {
        if let Some(trace) = take_trace(&mut later) {
            self.trace = trace;
        }
        self.fields.absorb(&later, budget);
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"name\":");
        encode::text(out, self.name);
        out.extend_from_slice(b",\"fields\":{");
        out.extend_from_slice(self.fields.json());
        out.extend_from_slice(b"}}");
    }

    pub(crate) fn truncated(&self) -> bool {
        self.fields.truncated
    }
}

/// The trace named by a valid `traceparent`; an invalid one stays an ordinary field, where it can be seen.
fn take_trace(fields: &mut Fields) -> Option<TraceId> {
    let header = fields.value(TRACEPARENT)?;
    let trace = TraceId::parse(header.get(1..header.len() - 1)?)?;
    fields.remove(TRACEPARENT);
    Some(trace)
}
