//! A call-site as it stands in a batch's dictionary.

use std::io::Write as _;

use tracing_core::{Level, Metadata};

use crate::encode;

pub(crate) fn write(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
    out.extend_from_slice(b"{\"target\":");
    encode::text(out, metadata.target());
    if let Some(file) = metadata.file() {
        out.extend_from_slice(b",\"file\":");
        encode::text(out, file);
    }
    if let Some(line) = metadata.line() {
        write!(out, ",\"line\":{line}").expect("a Vec takes every byte");
    }
    let level = level_name(*metadata.level());
    let kind = if metadata.is_span() { "span" } else { "event" };
    write!(out, ",\"level\":\"{level}\",\"kind\":\"{kind}\"}}").expect("a Vec takes every byte");
}

/// The level's word on the wire.
pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}
