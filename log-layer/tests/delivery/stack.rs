//! A Redis, a log server and a layer that ships to it, as every test needs them.

use std::sync::OnceLock;
use std::time::Duration;

use log_layer::{Builder, Guard};
use serde_json::Value;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use crate::collector::Collector;
use crate::redis::Place;
use crate::wait::PATIENCE;

/// A layer with everything on, and quick enough for tests.
pub(crate) fn builder(url: &str) -> Builder {
    log_layer::builder("iptv")
        .redis(url)
        .level(LevelFilter::TRACE)
        .linger(Duration::from_millis(10))
        .ack_timeout(Duration::from_millis(300))
        // Other tests of this process panic.
        .panic_hook(false)
}

/// A subscriber with the layer alone.
pub(crate) fn install(builder: Builder) -> (Dispatch, Guard) {
    // With a single subscriber in the process, `tracing` asks only that of the thread which changes a level, and here that
    // has none.
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(Registry::default()));
    let (layer, guard) = builder.build();
    (Dispatch::new(Registry::default().with(layer)), guard)
}

/// What arrives of what `log` logs, after the guard was dropped.
#[track_caller]
pub(crate) fn shipped(log: impl FnOnce()) -> Vec<Value> {
    shipped_with(|builder| builder, log)
}

#[track_caller]
pub(crate) fn shipped_with(configure: impl FnOnce(Builder) -> Builder, log: impl FnOnce()) -> Vec<Value> {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let (dispatch, guard) = install(configure(builder(&redis.url())));
    with_default(&dispatch, log);
    let report = guard.flush(PATIENCE);
    assert_eq!(report.still_buffered, 0, "{:?}", guard.stats());
    let records = collector.records();
    for text in &collector.texts() {
        let arrived = "2026-11-22T00:00:00Z".parse().unwrap();
        let batch = log_record::Batch::parse(text, arrived).unwrap();
        assert_eq!(batch.rejected, [], "the server must be able to read every record");
    }
    records
}

/// The fields of the only record.
#[track_caller]
pub(crate) fn fields(records: &[Value]) -> &Value {
    let [record] = records else {
        panic!("not one record: {records:?}")
    };
    &record["fields"]
}
