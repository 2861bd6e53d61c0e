//! One log record.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::callsite::CallSite;
use crate::flags::Flags;
use crate::level::Level;
use crate::timestamp::Timestamp;
use crate::value::{AsObject, Fields};

/// One thing that happened in a program.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// Number within the sender's run, contiguous over the records that it accepted. A gap proves a loss.
    pub seq: Option<u64>,
    /// When it happened, by the sender's clock.
    pub time: Timestamp,
    /// Where in the program; carries level and target.
    pub callsite: Arc<CallSite>,
    /// What happened, for people.
    pub message: String,
    /// What happened, for programs.
    pub fields: Fields,
    /// The spans around it, outermost first.
    pub spans: Vec<Span>,
    /// W3C trace id, lower-case hex.
    pub trace_id: Option<String>,
    /// Id of the innermost span, lower-case hex.
    pub span_id: Option<String>,
    /// Name of the thread.
    pub thread: Option<String>,
    /// What was changed on the way.
    pub flags: Flags,
}

/// A span around a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The span's name.
    pub name: String,
    /// The span's fields.
    pub fields: Fields,
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if !self.fields.is_empty() {
            map.serialize_entry("fields", &AsObject(&self.fields))?;
        }
        map.end()
    }
}

impl LogRecord {
    /// Severity.
    pub fn level(&self) -> Level {
        self.callsite.level
    }

    /// Bytes of the texts that it has of its own, about: message, fields and spans.
    pub fn text_bytes(&self) -> usize {
        let of = |fields: &Fields| {
            let texts = fields.iter().map(|(name, value)| name.len() + value.text_bytes());
            texts.sum::<usize>()
        };
        let spans = self.spans.iter().map(|span| span.name.len() + of(&span.fields));
        self.message.len() + of(&self.fields) + spans.sum::<usize>()
    }
}
