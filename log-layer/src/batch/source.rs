//! Who sends.

use std::collections::BTreeMap;

use crate::traceparent::system_random;

/// What is known of a service before it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    pub(crate) service: String,
    /// `host:pid` if none is given.
    pub(crate) instance: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) attrs: BTreeMap<String, String>,
}

/// One run of it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Source {
    pub(crate) service: String,
    instance: String,
    /// Random, new for every process.
    pub(crate) boot: String,
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attrs: BTreeMap<String, String>,
}

impl Identity {
    /// This process as a run of it.
    pub(crate) fn run(self) -> Source {
        let host = host();
        Source {
            service: self.service,
            instance: self
                .instance
                .unwrap_or_else(|| format!("{host}:{}", std::process::id())),
            boot: format!("{:016x}{:016x}", system_random(), system_random()),
            host,
            version: self.version,
            attrs: self.attrs,
        }
    }
}

/// The machine's name, as far as it can be known without asking the network.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    kernel
        .map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
