//! The layers that are compared, each with what it sends to.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use log_layer::Guard;
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchLogProcessor, LogBatch, LogExporter, SdkLoggerProvider};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::server::{self, Redis};
use crate::sink::{self, Arrived};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// No subscriber at all.
    Nothing,
    /// Spans are kept, and nobody listens to events.
    Registry,
    /// JSON lines, written by the thread that logs.
    FmtJson,
    /// The same, written by a thread of its own.
    Appender,
    Loki,
    OpenTelemetry,
    Ours,
    /// Nobody answers at the URL of Redis.
    OursAlone,
}

impl Subject {
    pub const ALL: [Subject; 8] = [
        Subject::Nothing,
        Subject::Registry,
        Subject::FmtJson,
        Subject::Appender,
        Subject::Loki,
        Subject::OpenTelemetry,
        Subject::Ours,
        Subject::OursAlone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Nothing => "no subscriber",
            Subject::Registry => "registry only",
            Subject::FmtJson => "fmt json to a sink",
            Subject::Appender => "tracing-appender to a sink",
            Subject::Loki => "tracing-loki",
            Subject::OpenTelemetry => "opentelemetry batch, no-op exporter",
            Subject::Ours => "log-layer",
            Subject::OursAlone => "log-layer, Redis down",
        }
    }
}

/// A subscriber for the whole process.
pub struct Installed {
    arrived: Arrived,
    kept: Kept,
}

/// What must live while events are logged.
enum Kept {
    Nothing,
    Appender(WorkerGuard),
    Loki(tokio::runtime::Runtime),
    OpenTelemetry(SdkLoggerProvider),
    Ours(Guard, Option<Redis>),
}

/// Takes everything, and counts it.
#[derive(Debug)]
struct NoExporter(Arrived);

impl LogExporter for NoExporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.0.add(0, batch.iter().count() as u64);
        Ok(())
    }
}

impl Installed {
    pub fn new(subject: Subject) -> Installed {
        let arrived = Arrived::default();
        let registry = Registry::default();
        let level = LevelFilter::INFO;
        let kept = match subject {
            Subject::Nothing => Kept::Nothing,
            Subject::Registry => {
                registry.init();
                Kept::Nothing
            }
            Subject::FmtJson => {
                let writer = arrived.clone();
                let fmt = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
                registry.with(fmt.with_filter(level)).init();
                Kept::Nothing
            }
            Subject::Appender => {
                let (writer, guard) = tracing_appender::non_blocking(arrived.clone());
                let fmt = tracing_subscriber::fmt::layer().json().with_writer(writer);
                registry.with(fmt.with_filter(level)).init();
                Kept::Appender(guard)
            }
            Subject::Loki => {
                let url = sink::http(arrived.clone()).parse().unwrap();
                let (layer, task) = tracing_loki::builder().build_url(url).unwrap();
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.spawn(task);
                registry.with(layer.with_filter(level)).init();
                Kept::Loki(runtime)
            }
            Subject::OpenTelemetry => {
                let processor = BatchLogProcessor::builder(NoExporter(arrived.clone())).build();
                let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
                let layer = OpenTelemetryTracingBridge::builder(&provider)
                    .with_tracing_span_attributes(TracingSpanAttributes::all())
                    .build();
                registry.with(layer.with_filter(level)).init();
                Kept::OpenTelemetry(provider)
            }
            Subject::Ours => {
                let redis = Redis::start();
                let (url, counted) = (redis.url(), arrived.clone());
                std::thread::spawn(move || server::serve(url, counted));
                let (layer, guard) = log_layer::builder("bench").redis(redis.url()).build();
                registry.with(layer).init();
                Kept::Ours(guard, Some(redis))
            }
            Subject::OursAlone => {
                let (layer, guard) = log_layer::builder("bench").redis("redis://127.0.0.1:1").build();
                registry.with(layer).init();
                Kept::Ours(guard, None)
            }
        };
        Installed { arrived, kept }
    }

    /// Waits for what was logged, and returns bytes shipped for each event that arrived, and the part that did.
    pub fn finish(self, logged: usize) -> (f64, f64) {
        let mut arrived = None;
        match self.kept {
            Kept::Nothing => {}
            Kept::Appender(guard) => drop(guard),
            // It tells nobody what it has lost.
            Kept::Loki(runtime) => {
                std::thread::sleep(Duration::from_millis(500));
                runtime.shutdown_background();
                arrived = Some(f64::NAN);
            }
            Kept::OpenTelemetry(provider) => provider.force_flush().unwrap(),
            Kept::Ours(guard, None) => {
                arrived = Some(guard.stats().accepted as f64);
                // Nothing can arrive.
                let _ = guard.shutdown(Duration::ZERO);
            }
            Kept::Ours(guard, Some(_redis)) => {
                arrived = Some(guard.shutdown(Duration::from_secs(60)).stored as f64);
            }
        }
        let arrived = arrived.unwrap_or_else(|| self.arrived.records.load(Relaxed) as f64);
        (self.arrived.bytes.load(Relaxed) as f64 / arrived, arrived / logged as f64)
    }
}
