//! Notices: what the layer itself has to tell, as records that can be searched like any other.
//!
//! Promises: a notice goes straight into the buffer, never through `tracing`, so it can neither recurse nor wait.

use std::time::SystemTime;

use tracing_core::callsite::Callsite;
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::subscriber::Interest;
use tracing_core::{Level, Metadata, identify_callsite};

use crate::buffer::{Buffer, Head};
use crate::encode;

/// A `WARN` record of the layer's own.
pub(crate) fn warn(buffer: &Buffer, message: &str) {
    let mut body = b",\"message\":".to_vec();
    encode::text(&mut body, message);
    buffer.push(Head::new(SystemTime::now(), &METADATA, 0), &body);
}

struct Site;

static SITE: Site = Site;

static METADATA: Metadata<'static> = Metadata::new(
    "notice",
    "log_layer",
    Level::WARN,
    None,
    None,
    None,
    FieldSet::new(&[], identify_callsite!(&SITE)),
    Kind::EVENT,
);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}
