//! A record made up to ask a filter about one part of it.

use std::sync::Arc;

use log_record::{CallSite, Flags, Kind, Level, LogRecord, Span, Timestamp};

/// A record that has nothing, to be given the one thing that is asked about.
pub(super) fn probe() -> LogRecord {
    LogRecord {
        seq: None,
        time: Timestamp::default(),
        callsite: Arc::new(CallSite {
            target: "".into(),
            file: None,
            line: None,
            level: Level::Info,
            kind: Kind::Event,
        }),
        message: "".into(),
        fields: Vec::new(),
        spans: Vec::new(),
        trace_id: None,
        span_id: None,
        thread: None,
        flags: Flags::default(),
    }
}

pub(super) fn named_span(name: &str) -> Span {
    Span {
        name: name.to_owned().into(),
        fields: Vec::new(),
    }
}
