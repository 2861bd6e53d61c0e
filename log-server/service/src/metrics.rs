//! What is counted since the start, written as Prometheus reads it.
//!
//! By hand: a dozen numbers need no registry. Knows nothing of HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::store::Statistics;

/// The upper ends of latency buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// How long Redis may take to tell the queue's length before it is left out.
const QUEUE_LIMIT: Duration = Duration::from_millis(500);

/// Counters and latencies.
pub(crate) struct Metrics {
    queue: String,
    client: Option<rpc::Client>,
    batches: AtomicU64,
    duplicates: AtomicU64,
    refused: AtomicU64,
    records: AtomicU64,
    rejected: AtomicU64,
    append: Mutex<Latency>,
    /// By route and status.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    answers: Mutex<BTreeMap<String, Latency>>,
}

/// How long things took.
#[derive(Default)]
struct Latency {
    /// How many took at most as long as each of [`BUCKETS`], and longer than the one before.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

impl Metrics {
    /// Nothing has happened yet. The length of `queue` is asked of `redis` when it is wanted.
    pub(crate) fn new(queue: &str, redis: &str) -> Metrics {
        // An address that makes no sense stops the server elsewhere.
        let client = rpc::Client::builder(queue)
            .redis(redis)
            .timeout(QUEUE_LIMIT)
            .build()
            .ok();
        Metrics {
            queue: queue.to_owned(),
            client,
            batches: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            records: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            append: Mutex::default(),
            requests: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    /// A batch was answered: so many records stored and so many rejected, and whether it was a repeat; `None` if it was
    /// refused.
    pub(crate) fn appended(&self, outcome: Option<(usize, usize, bool)>, took: Duration) {
        lock(&self.append).add(took);
        self.batches.fetch_add(1, Ordering::Relaxed);
        match outcome {
            None => self.refused.fetch_add(1, Ordering::Relaxed),
            Some((_, _, true)) => self.duplicates.fetch_add(1, Ordering::Relaxed),
            Some((stored, rejected, false)) => {
                self.rejected.fetch_add(rejected as u64, Ordering::Relaxed);
                self.records.fetch_add(stored as u64, Ordering::Relaxed)
            }
        };
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        *lock(&self.requests)
            .entry((route.to_owned(), status))
            .or_default() += 1;
        lock(&self.answers).entry(route.to_owned()).or_default().add(took);
    }

    /// Everything, in Prometheus' text format.
    pub(crate) async fn text(&self, store: &Statistics, ready: bool) -> String {
        let queued = match &self.client {
            Some(client) => client.queue_state().await.ok().map(|state| state.len),
            None => None,
        };
        let mut text = Text(String::new());
        text.counter(
            "ingest_batches_total",
            "Batches that were answered.",
            &self.batches,
        );
        text.counter(
            "ingest_duplicates_total",
            "Batches that had been stored before.",
            &self.duplicates,
        );
        text.counter(
            "ingest_refused_total",
            "Batches that could not be used or stored.",
            &self.refused,
        );
        text.counter("ingest_records_total", "Records that were stored.", &self.records);
        text.counter(
            "ingest_rejected_total",
            "Records that could not be read.",
            &self.rejected,
        );
        text.head(
            "ingest_duration_seconds",
            "histogram",
            "From a batch's arrival to its answer.",
        );
        text.latency("ingest_duration_seconds", "", &lock(&self.append));
        text.head("http_requests_total", "counter", "Requests that were answered.");
        for ((route, status), count) in &*lock(&self.requests) {
            text.line(
                "http_requests_total",
                &format!("route=\"{route}\",status=\"{status}\""),
                count,
            );
        }
        text.head(
            "http_request_duration_seconds",
            "histogram",
            "From a request to the beginning of its answer.",
        );
        for (route, latency) in &*lock(&self.answers) {
            text.latency(
                "http_request_duration_seconds",
                &format!("route=\"{route}\""),
                latency,
            );
        }
        text.gauge("ready", "Whether records can arrive.", u8::from(ready));
        if let Some(queued) = queued {
            text.head("queue_length", "gauge", "Requests that wait in Redis.");
            text.line(
                "queue_length",
                &format!("queue=\"{}\"", label(&self.queue)),
                queued,
            );
        }
        text.store(store);
        text.process();
        text.0
    }
}

impl Latency {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|end| seconds <= *end) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

/// The text in the making. Writing to a String does not fail, so what it returns is dropped.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP log_server_{name} {help}\n# TYPE log_server_{name} {kind}"
        );
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "log_server_{name} {value}")
        } else {
            writeln!(self.0, "log_server_{name}{{{labels}}} {value}")
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.head(name, "counter", help);
        self.line(name, "", value.load(Ordering::Relaxed));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        self.line(name, "", value);
    }

    fn store(&mut self, store: &Statistics) {
        self.gauge("store_files", "Files with records.", store.partitions);
        self.gauge("store_bytes", "Bytes of them.", store.bytes);
        self.gauge("store_blocks", "Sealed blocks in them.", store.blocks);
        self.head(
            "store_records",
            "gauge",
            "Records, in blocks or waiting to be sealed.",
        );
        self.line("store_records", "state=\"sealed\"", store.sealed);
        self.line("store_records", "state=\"unsealed\"", store.unsealed);
        self.gauge(
            "store_damaged_files",
            "Files of which something cannot be read.",
            store.damaged.len(),
        );
        self.head(
            "store_deleted_files_total",
            "counter",
            "Files that were deleted because of their age or the room they took.",
        );
        self.line("store_deleted_files_total", "", store.deleted_partitions);
        self.head(
            "store_deleted_records_total",
            "counter",
            "Records that were deleted so, as far as they could be counted.",
        );
        self.line("store_deleted_records_total", "", store.deleted_records);
    }

    /// What every program tells of itself, under the names that dashboards know; where the system tells.
    fn process(&mut self) {
        self.head("build_info", "gauge", "The version, as a label.");
        self.line(
            "build_info",
            concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
            1,
        );
        let values = [
            (
                "process_resident_memory_bytes",
                "gauge",
                "Memory that the process has.",
                resident(),
            ),
            (
                "process_open_fds",
                "gauge",
                "Files that it has open.",
                open_files(),
            ),
        ];
        for (name, kind, help, value) in values {
            let Some(value) = value else { continue };
            let _ = writeln!(
                self.0,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
            );
        }
    }

    fn latency(&mut self, name: &str, labels: &str, latency: &Latency) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (end, count) in BUCKETS.iter().zip(latency.buckets) {
            below += count;
            self.line(
                &format!("{name}_bucket"),
                &format!("{labels}{comma}le=\"{end}\""),
                below,
            );
        }
        let all = format!("{labels}{comma}le=\"+Inf\"");
        self.line(&format!("{name}_bucket"), &all, latency.count);
        self.line(&format!("{name}_sum"), labels, latency.sum.as_secs_f64());
        self.line(&format!("{name}_count"), labels, latency.count);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A label's value as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Bytes of memory that this process has, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Files that this process has open, where the system tells.
fn open_files() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics() -> Statistics {
        Statistics {
            partitions: 2,
            bytes: 4_096,
            blocks: 3,
            sealed: 100,
            unsealed: 7,
            deleted_partitions: 1,
            deleted_records: 50,
            damaged: Vec::new(),
        }
    }

    /// What stands in the list for people: a name and its kind for each.
    #[tokio::test]
    async fn every_metric_is_described_where_people_look() {
        let metrics = Metrics::new("logs", "redis://127.0.0.1:1");
        metrics.answered("/", 200, Duration::ZERO);
        let text = metrics.text(&statistics(), true).await;
        let described = include_str!("../METRICS.md");
        let mut told = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let row = described
                .lines()
                .find(|row| row.starts_with(&format!("| `{name}`")));
            assert!(
                row.is_some_and(|row| row.contains(&format!("| {kind} |"))),
                "{line}: {row:?}"
            );
            let counts = name.ends_with("_total");
            assert_eq!(counts, kind == "counter", "{line}");
            told += 1;
        }
        // And nothing that is not there; the queue's length needs a Redis.
        assert_eq!(described.matches("\n| `").count(), told + 1);
    }

    #[tokio::test]
    async fn what_happened_is_counted_and_every_line_is_well_formed() {
        let metrics = Metrics::new("a \"queue\"", "redis://127.0.0.1:1");
        metrics.appended(Some((3, 1, false)), Duration::from_millis(2));
        metrics.appended(Some((3, 0, true)), Duration::from_secs(60));
        metrics.appended(None, Duration::ZERO);
        metrics.answered("/api/search", 200, Duration::from_millis(30));
        let text = metrics.text(&statistics(), true).await;
        for line in [
            "log_server_ingest_batches_total 3",
            "log_server_ingest_duplicates_total 1",
            "log_server_ingest_refused_total 1",
            "log_server_ingest_records_total 3",
            "log_server_ingest_rejected_total 1",
            "log_server_ingest_duration_seconds_bucket{le=\"0.001\"} 1",
            "log_server_ingest_duration_seconds_bucket{le=\"10\"} 2",
            "log_server_ingest_duration_seconds_bucket{le=\"+Inf\"} 3",
            "log_server_ingest_duration_seconds_count 3",
            "log_server_http_requests_total{route=\"/api/search\",status=\"200\"} 1",
            "log_server_http_request_duration_seconds_bucket{route=\"/api/search\",le=\"0.05\"} 1",
            "log_server_store_files 2",
            "log_server_store_records{state=\"unsealed\"} 7",
            "log_server_store_deleted_records_total 50",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        let shape = regex::Regex::new(
            r#"^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+)$"#,
        );
        let shape = shape.unwrap();
        assert!(text.lines().all(|line| shape.is_match(line)), "{text}");
    }
}
