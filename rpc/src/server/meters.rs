//! What the `metrics` crate is told of a method, where the feature of that name is on; nothing otherwise. Whichever
//! recorder is installed when a server is built is told; without one, telling costs next to nothing.
//!
//! | metric | kind | labels besides `queue` and `method` | |
//! |---|---|---|---|
//! | `rpc_server_calls_total` | counter | `outcome`: `ok` or `failed` | handlers that ended |
//! | `rpc_server_running` | gauge | | handlers that run |
//! | `rpc_server_queued_seconds` | histogram | | from being sent to being started, where the request tells when it was sent |
//! | `rpc_server_run_seconds` | histogram | | from being started to the end |

use std::time::Duration;

#[cfg(feature = "metrics")]
use metrics::{Counter, Gauge, Histogram};

/// The meters of one method; without a queue, none.
#[cfg(feature = "metrics")]
pub(super) struct Meters {
    ok: Counter,
    failed: Counter,
    running: Gauge,
    queued: Histogram,
    run: Histogram,
}

/// The meters of one method, of which nobody wants to know.
#[cfg(not(feature = "metrics"))]
#[derive(Default)]
pub(super) struct Meters;

#[cfg(feature = "metrics")]
impl Default for Meters {
    fn default() -> Self {
        Self {
            ok: Counter::noop(),
            failed: Counter::noop(),
            running: Gauge::noop(),
            queued: Histogram::noop(),
            run: Histogram::noop(),
        }
    }
}

#[cfg(feature = "metrics")]
impl Meters {
    pub(super) fn new(queue: &str, method: &str) -> Self {
        let labels = [("queue", queue.to_owned()), ("method", method.to_owned())];
        let calls = |outcome: &'static str| {
            let [queue, method] = labels.clone();
            metrics::counter!(
                "rpc_server_calls_total",
                &[queue, method, ("outcome", outcome.to_owned())]
            )
        };
        Self {
            ok: calls("ok"),
            failed: calls("failed"),
            running: metrics::gauge!("rpc_server_running", &labels),
            queued: metrics::histogram!("rpc_server_queued_seconds", &labels),
            run: metrics::histogram!("rpc_server_run_seconds", &labels),
        }
    }

    /// A handler is started.
    pub(super) fn started(&self, queued: Option<Duration>) {
        self.running.increment(1.0);
        if let Some(queued) = queued {
            self.queued.record(queued);
        }
    }

    /// It has ended.
    pub(super) fn ended(&self, run: Duration, failed: bool) {
        self.running.decrement(1.0);
        self.run.record(run);
        if failed { &self.failed } else { &self.ok }.increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "with the feature there is something to tell")]
impl Meters {
    pub(super) fn new(_queue: &str, _method: &str) -> Self {
        Self
    }

    pub(super) fn started(&self, _queued: Option<Duration>) {}

    pub(super) fn ended(&self, _run: Duration, _failed: bool) {}
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use metrics_util::MetricKind;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;

    #[test]
    fn a_recorder_is_told_how_handlers_did() {
        let recorder = DebuggingRecorder::new();
        let told = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let meters = Meters::new("auth", "login");
            for failed in [false, true, false] {
                meters.started((!failed).then_some(Duration::from_millis(2)));
                meters.ended(Duration::from_millis(5), failed);
            }
            meters.started(None);
        });
        let mut told: Vec<_> = told
            .snapshot()
            .into_vec()
            .into_iter()
            .map(|(key, _, _, value)| {
                let labels: Vec<_> = key
                    .key()
                    .labels()
                    .map(|label| (label.key(), label.value()))
                    .collect();
                assert_eq!(labels[..2], [("queue", "auth"), ("method", "login")]);
                let outcome = labels.get(2).map_or("", |(_, outcome)| outcome).to_owned();
                let value = match value {
                    DebugValue::Counter(count) => count as f64,
                    DebugValue::Gauge(gauge) => gauge.0,
                    DebugValue::Histogram(values) => values.iter().map(|value| value.0).sum(),
                };
                (
                    key.kind(),
                    key.key().name().to_owned(),
                    outcome,
                    (value * 1000.0).round(),
                )
            })
            .collect();
        told.sort_by(|one, other| (&one.1, &one.2).cmp(&(&other.1, &other.2)));
        let expected = [
            (MetricKind::Counter, "rpc_server_calls_total", "failed", 1000.0),
            (MetricKind::Counter, "rpc_server_calls_total", "ok", 2000.0),
            (MetricKind::Histogram, "rpc_server_queued_seconds", "", 4.0),
            (MetricKind::Histogram, "rpc_server_run_seconds", "", 15.0),
            (MetricKind::Gauge, "rpc_server_running", "", 1000.0),
        ];
        let expected =
            expected.map(|(kind, name, outcome, value)| (kind, name.to_owned(), outcome.to_owned(), value));
        assert_eq!(told, expected);
    }
}
