//! What a program logs, for its own tests: no Redis, no server, no thread.
//!
//! ```
//! use log_layer::testing::capture;
//!
//! let logged = capture(|| tracing::warn!(user = 42, password = "hunter2", "refused"));
//!
//! assert_eq!(logged[0].level, "warn");
//! assert_eq!(logged[0].message.as_deref(), Some("refused"));
//! assert_eq!(logged[0].fields["user"], 42);
//! assert_eq!(logged[0].fields["password"], "[redacted]");
//! ```

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tracing_core::LevelFilter;
use tracing_core::dispatcher::{Dispatch, with_default};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::batch::Sealer;
use crate::buffer::{Buffer, Limits};
use crate::delivery::Delivery;
use crate::dropped::Tally;
use crate::layer::{self, Recording};
use crate::levels::{Levels, everywhere};

/// A test that logs more than this wants something else.
const BYTES: usize = 64 << 20;

/// A record as it would have been stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Captured {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[serde(default)]
    pub level: String,
    /// Usually the module.
    #[serde(default)]
    pub target: String,
    /// The message, if there is one.
    pub message: Option<String>,
    /// Everything else that was logged.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// The spans around it, outermost first.
    #[serde(default)]
    pub spans: Vec<CapturedSpan>,
    /// The trace it belongs to, if it was logged in a span.
    pub trace_id: Option<String>,
    /// The innermost span, if it was logged in one.
    pub span_id: Option<String>,
    callsite: usize,
}

/// A span around a [`Captured`] record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct CapturedSpan {
    /// Its name.
    pub name: String,
    /// Its fields, with the values that they had at that moment.
    pub fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct Batch {
    callsites: Vec<CallSite>,
    records: Vec<Captured>,
}

#[derive(Deserialize)]
struct CallSite {
    target: String,
    level: String,
}

/// Everything, from `TRACE` up, that this thread logs while `work` runs, in order. Other threads log as they did before.
pub fn capture(work: impl FnOnce()) -> Vec<Captured> {
    let limits = Limits {
        buffer_bytes: BYTES,
        batch_bytes: BYTES,
        batch_records: usize::MAX,
        record_bytes: crate::settings::MAX_RECORD_BYTES,
    };
    let (delivery, _) = Delivery::start(None, Buffer::new(limits));
    let buffer = Arc::new(delivery);
    let layer = layer::layer(Recording {
        buffer: buffer.clone(),
        levels: Levels::new(everywhere(LevelFilter::TRACE), LevelFilter::TRACE),
        max_record_bytes: limits.record_bytes,
        rate_limit: None,
        span_fields: crate::SpanFields::All,
        span_events: crate::SpanEvents::Off,
    });
    with_default(&Dispatch::new(Registry::default().with(layer)), work);

    let mut captured = Vec::new();
    let mut sealer = Sealer::new("{}".to_owned());
    while let Some(chunk) = buffer.take(true) {
        let mut draft = sealer.draft();
        sealer.add(&mut draft, &chunk);
        let text = sealer.seal(draft, Tally::default()).text;
        let [batch]: [Batch; 1] = serde_json::from_str(&text).expect("the layer writes JSON");
        captured.extend(batch.records.into_iter().map(|record| {
            let site = &batch.callsites[record.callsite];
            Captured {
                level: site.level.clone(),
                target: site.target.clone(),
                ..record
            }
        }));
    }
    captured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_captured_in_order_with_its_spans() {
        let logged = capture(|| {
            tracing::trace!(target: "elsewhere", "first");
            let _span = tracing::debug_span!("request", path = "/live").entered();
            tracing::error!(answer = 42);
        });
        assert_eq!(logged.len(), 2);
        assert_eq!((&*logged[0].level, &*logged[0].target), ("trace", "elsewhere"));
        assert_eq!(logged[0].message.as_deref(), Some("first"));
        assert_eq!(logged[0].trace_id, None);
        assert_eq!(logged[1].message, None);
        assert_eq!(logged[1].fields["answer"], 42);
        assert_eq!(logged[1].spans[0].name, "request");
        assert_eq!(logged[1].spans[0].fields["path"], "/live");
        assert_eq!(logged[1].span_id.as_ref().map(String::len), Some(16));
        assert!(capture(|| {}).is_empty());
    }
}
