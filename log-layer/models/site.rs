//! A call-site that no macro has made: what is handed over here was never an event.

use tracing_core::callsite::Callsite;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata, metadata};

struct Site;

static SITE: Site = Site;

pub static METADATA: Metadata<'static> = metadata! {
    name: "event", target: "here", level: Level::INFO, fields: &[], callsite: &SITE, kind: Kind::EVENT
};

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}
