//! Who sent a batch: one process of one service.

use std::sync::Arc;

use crate::value::Fields;

/// The process a record came from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// The service's name; never empty.
    pub service: Arc<str>,
    /// This process among the service's processes, `host:pid` by default.
    pub instance: Option<Arc<str>>,
    /// This run of the process: random, new at every start. Without it nothing is deduplicated.
    pub boot: Option<Arc<str>>,
    /// The machine.
    pub host: Option<Arc<str>>,
    /// The service's version.
    pub version: Option<Arc<str>>,
    /// Anything else that holds for the whole process.
    pub attrs: Fields,
}
