//! The place in a program that a record came from. Records of one place share one value.

use std::sync::Arc;

use crate::level::Level;

/// A place in a program that logs: `tracing`'s static metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallSite {
    /// `tracing`'s target, usually the module path; empty if the sender gave none.
    pub target: Arc<str>,
    /// Source file, as the compiler names it.
    pub file: Option<Arc<str>>,
    /// Line in that file.
    pub line: Option<u32>,
    /// Severity of what is logged there.
    pub level: Level,
    /// What happens there.
    pub kind: Kind,
}

/// What a call-site emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// A log event.
    #[default]
    Event,
    /// A span's opening or closing.
    Span,
}

impl Kind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Span => "span",
        }
    }
}
