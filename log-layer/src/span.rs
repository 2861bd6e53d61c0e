//! What the layer keeps with each span: its fields as JSON text, its place in a trace, and the spans around it.
//!
//! Promises: an event finds everything in one look-up, and takes no lock unless a field was recorded late; whoever fills
//! it has run the user's code before. A span keeps the data of those around it alive, never the other way round.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_core::Metadata;

use crate::encode;
use crate::fields::{Budget, Fields};
use crate::lifetime::Lifetime;
use crate::traceparent::{SpanId, TraceId};

/// A span that has this field continues the trace it names; the field itself is not shown.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// More spans around one event are most likely a recursion; the innermost are kept.
const DEPTH: usize = 32;

/// How often a field was recorded late, in any span: what was packed before may be old.
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// Differs once a span has changed. Read it before the span.
pub(crate) fn changes() -> usize {
    CHANGES.load(Acquire)
}

/// What stands in the registry's extensions for each span: a node for each layer of ours that keeps the span, because each
/// may keep other spans around it. Ids are the same in all.
#[derive(Debug)]
pub(crate) struct SpanData {
    first: (usize, Arc<Node>),
    others: Vec<(usize, Arc<Node>)>,
}

impl SpanData {
    /// The node of the first layer that came, which has that number.
    pub(crate) fn new(layer: usize, node: Arc<Node>) -> SpanData {
        SpanData {
            first: (layer, node),
            others: Vec::new(),
        }
    }

    /// The node of another layer.
    pub(crate) fn add(&mut self, layer: usize, node: Arc<Node>) {
        self.others.push((layer, node));
    }

    /// The node of the layer with that number.
    pub(crate) fn of(&self, layer: usize) -> Option<&Arc<Node>> {
        let mut nodes = std::iter::once(&self.first).chain(&self.others);
        nodes.find(|(number, _)| *number == layer).map(|(_, node)| node)
    }

    /// A node that has the ids.
    pub(crate) fn any(&self) -> &Arc<Node> {
        &self.first.1
    }
}

/// One open span.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: SpanId,
    name: &'static str,
    parent: Option<Arc<Node>>,
    /// If somebody wants to know.
    pub(crate) lifetime: Option<Lifetime>,
    /// As the span began: most are never changed.
    first: Snapshot,
    /// Whether `now` is something else.
    changed: AtomicBool,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Snapshot {
    json: Box<[u8]>,
    trace: TraceId,
    truncated: bool,
}

#[derive(Debug)]
struct Now {
    fields: Fields,
    trace: TraceId,
}

impl Node {
    /// A span below `parent`, or a root of its own trace, with the ids that another layer has given to it, if one has.
    pub(crate) fn new(
        metadata: &'static Metadata<'static>,
        mut fields: Fields,
        parent: Option<Arc<Node>>,
        lifetime: Option<Lifetime>,
        twin: Option<&Node>,
    ) -> Node {
        let named = take_trace(&mut fields);
        let trace = named
            .or_else(|| Some(twin.or(parent.as_deref())?.trace()))
            .unwrap_or_else(TraceId::random);
        let mut json = Vec::with_capacity(fields.json().len() + metadata.name().len() + 32);
        write(&mut json, metadata.name(), &fields);
        Node {
            id: twin.map_or_else(SpanId::random, |twin| twin.id),
            name: metadata.name(),
            parent,
            lifetime,
            first: Snapshot {
                json: json.into_boxed_slice(),
                trace,
                truncated: fields.truncated,
            },
            changed: AtomicBool::new(false),
            now: Mutex::new(Now { fields, trace }),
        }
    }

    pub(crate) fn parent(&self) -> Option<&Node> {
        self.parent.as_deref()
    }

    /// Takes fields that were recorded later; the last value wins.
    pub(crate) fn record(&self, mut later: Fields, budget: Budget) {
        let mut now = self.lock();
        if let Some(trace) = take_trace(&mut later) {
            now.trace = trace;
        }
        now.fields.absorb(&later, budget);
        self.changed.store(true, Release);
        drop(now);
        CHANGES.fetch_add(1, Release);
    }

    pub(crate) fn trace(&self) -> TraceId {
        if self.changed.load(Acquire) {
            self.lock().trace
        } else {
            self.first.trace
        }
    }

    /// Appends this span and those around it, outermost first, as the inside of a JSON array; of too many, the innermost
    /// that fit into `bytes`. Returns whether something is missing or was cut before.
    pub(crate) fn write_chain(&self, out: &mut Vec<u8>, bytes: usize) -> bool {
        let mut chain = [None; DEPTH];
        let mut count = 0;
        let mut next = Some(self);
        while let (Some(node), true) = (next, count < DEPTH) {
            chain[count] = Some(node);
            count += 1;
            next = node.parent.as_deref();
        }
        let mut truncated = next.is_some();
        let start = out.len();
        for node in chain[..count].iter().rev().flatten() {
            if out.len() > start {
                out.push(b',');
            }
            truncated |= node.write(out);
        }
        if out.len() - start <= bytes {
            return truncated;
        }
        self.write_innermost(out, start, bytes, &chain[..count]);
        true
    }

    /// The rare case: not all of them fit, and the outermost are left out.
    fn write_innermost(&self, out: &mut Vec<u8>, start: usize, bytes: usize, chain: &[Option<&Node>]) {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut used = 0;
        for node in chain.iter().flatten() {
            let mut json = Vec::new();
            node.write(&mut json);
            used += json.len() + 1;
            if used > bytes {
                break;
            }
            kept.push(json);
        }
        kept.reverse();
        out.truncate(start);
        out.extend_from_slice(&kept.join(&b','));
    }

    /// Appends the span alone. Returns whether something of it was cut.
    fn write(&self, out: &mut Vec<u8>) -> bool {
        if !self.changed.load(Acquire) {
            out.extend_from_slice(&self.first.json);
            return self.first.truncated;
        }
        let now = self.lock();
        write(out, self.name, &now.fields);
        now.fields.truncated
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One after the other: ten thousand spans inside each other would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut parent) = next.and_then(Arc::into_inner) {
            next = parent.parent.take();
        }
    }
}

fn write(out: &mut Vec<u8>, name: &str, fields: &Fields) {
    out.extend_from_slice(b"{\"name\":");
    encode::text(out, name);
    out.extend_from_slice(b",\"fields\":{");
    out.extend_from_slice(fields.json());
    out.extend_from_slice(b"}}");
}

/// The trace named by a valid `traceparent`; an invalid one stays an ordinary field, where it can be seen.
fn take_trace(fields: &mut Fields) -> Option<TraceId> {
    let header = fields.value(TRACEPARENT)?;
    let trace = TraceId::parse(header.get(1..header.len() - 1)?)?;
    fields.remove(TRACEPARENT);
    Some(trace)
}
