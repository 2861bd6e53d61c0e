//! One log record.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::callsite::CallSite;
use crate::flags::Flags;
use crate::level::Level;
use crate::timestamp::Timestamp;
use crate::value::{AsObject, BorrowedFields, owned_fields, owned_text};

/// A record that stands by itself.
pub type LogRecord = BorrowedRecord<'static>;

/// One thing that happened in a program. Its texts may stand in the JSON that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct BorrowedRecord<'a> {
    /// Number within the sender's run, contiguous over the records that it accepted. A gap proves a loss.
    pub seq: Option<u64>,
    /// When it happened, by the sender's clock.
    pub time: Timestamp,
    /// Where in the program; carries level and target.
    pub callsite: Arc<CallSite>,
    /// What happened, for people.
    pub message: Cow<'a, str>,
    /// What happened, for programs.
    pub fields: BorrowedFields<'a>,
    /// The spans around it, outermost first.
    pub spans: Vec<BorrowedSpan<'a>>,
    /// W3C trace id, lower-case hex.
    pub trace_id: Option<Cow<'a, str>>,
    /// Id of the innermost span, lower-case hex.
    pub span_id: Option<Cow<'a, str>>,
    /// Name of the thread.
    pub thread: Option<Cow<'a, str>>,
    /// What was changed on the way.
    pub flags: Flags,
}

/// A span that stands by itself.
pub type Span = BorrowedSpan<'static>;

/// A span around a record.
#[derive(Debug, Clone, PartialEq)]
pub struct BorrowedSpan<'a> {
    /// The span's name.
    pub name: Cow<'a, str>,
    /// The span's fields.
    pub fields: BorrowedFields<'a>,
}

impl Serialize for BorrowedSpan<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if !self.fields.is_empty() {
            map.serialize_entry("fields", &AsObject(&self.fields))?;
        }
        map.end()
    }
}

impl BorrowedRecord<'_> {
    /// Severity.
    pub fn level(&self) -> Level {
        self.callsite.level
    }

    /// The record with texts of its own.
    pub fn into_owned(self) -> LogRecord {
        let span = |span: BorrowedSpan<'_>| Span {
            name: owned_text(span.name),
            fields: owned_fields(span.fields),
        };
        LogRecord {
            seq: self.seq,
            time: self.time,
            callsite: self.callsite,
            message: owned_text(self.message),
            fields: owned_fields(self.fields),
            spans: self.spans.into_iter().map(span).collect(),
            trace_id: self.trace_id.map(owned_text),
            span_id: self.span_id.map(owned_text),
            thread: self.thread.map(owned_text),
            flags: self.flags,
        }
    }

    /// Bytes of the texts that it has of its own, about: message, fields and spans.
    pub fn text_bytes(&self) -> usize {
        let of = |fields: &BorrowedFields<'_>| {
            let texts = fields.iter().map(|(name, value)| name.len() + value.text_bytes());
            texts.sum::<usize>()
        };
        let spans = self.spans.iter().map(|span| span.name.len() + of(&span.fields));
        self.message.len() + of(&self.fields) + spans.sum::<usize>()
    }
}
