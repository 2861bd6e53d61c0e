//! What every server tells about itself: `$rpc.ping`, `$rpc.info` and `$rpc.stats`. Any client can ask, with any
//! arguments, and whichever server of the queue takes the request answers for itself.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::handler::{Answer, IntoAnswer};
use super::service::Service;
use super::stats::MethodReports;
use super::worker::Worker;
use crate::connection::milliseconds;

#[derive(Clone, Copy)]
pub(super) enum BuiltIn {
    Ping,
    Info,
    Stats,
}

impl BuiltIn {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "$rpc.ping" => Some(Self::Ping),
            "$rpc.info" => Some(Self::Info),
            "$rpc.stats" => Some(Self::Stats),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Ping<'a> {
    server: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Info<'a> {
    server: &'a str,
    queue: &'a str,
    /// Of this crate.
    version: &'a str,
    pid: u32,
    up_ms: i64,
    concurrency: usize,
    methods: Vec<MethodInfo<'a>>,
}

#[derive(Serialize)]
struct MethodInfo<'a> {
    name: &'a str,
    /// As Python would write it.
    signature: String,
    /// The names of the parameters, if they have any.
    parameters: Option<&'static [&'static str]>,
}

#[derive(Serialize)]
struct Stats<'a> {
    server: &'a str,
    up_ms: i64,
    concurrency: usize,
    /// Requests that this server has taken and not yet answered, this one among them.
    in_flight: usize,
    served: u64,
    /// Handlers that failed or panicked.
    failed: u64,
    /// Requests that no handler was started for: unknown, malformed or late.
    refused: u64,
    dead_lettered: u64,
    requeued: u64,
    methods: MethodReports<'a>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Service {
    pub(super) fn describe(&self, worker: &Worker, what: BuiltIn) -> Answer {
        let (server, version) = (&*worker.id, VERSION);
        match what {
            BuiltIn::Ping => Ping { server, version }.into_answer(),
            BuiltIn::Info => self.info(worker).into_answer(),
            BuiltIn::Stats => self.stats(worker).into_answer(),
        }
    }

    fn info<'a>(&'a self, worker: &'a Worker) -> Info<'a> {
        let mut methods: Vec<_> = self
            .methods
            .values()
            .map(|method| MethodInfo {
                name: &method.name,
                signature: format!("{}{}", method.name, method.parameters),
                parameters: method.parameters.names(),
            })
            .collect();
        methods.sort_unstable_by_key(|method| method.name);
        Info {
            server: &worker.id,
            queue: self.keys.name(),
            version: VERSION,
            pid: std::process::id(),
            up_ms: milliseconds(self.started.elapsed()),
            concurrency: worker.slots.count,
            methods,
        }
    }

    fn stats<'a>(&'a self, worker: &'a Worker) -> Stats<'a> {
        let counters = &self.counters;
        let refused = counters.refused.load(Relaxed);
        Stats {
            server: &worker.id,
            up_ms: milliseconds(self.started.elapsed()),
            concurrency: worker.slots.count,
            in_flight: worker.slots.in_flight(),
            served: counters.handled.load(Relaxed),
            failed: counters.failed.load(Relaxed).saturating_sub(refused),
            refused,
            dead_lettered: counters.dead_lettered.load(Relaxed),
            requeued: counters.requeued.load(Relaxed),
            methods: self
                .methods
                .values()
                .map(|method| (&*method.name, method.stats.report()))
                .collect(),
        }
    }
}
