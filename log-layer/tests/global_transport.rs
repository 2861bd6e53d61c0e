//! The transport's own events never enter the layer, even with everything on. They reach a global subscriber only, so
//! this needs a process of its own.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "delivery/wait.rs"]
mod wait;
#[path = "delivery/redis.rs"]
mod redis;
#[path = "delivery/collector.rs"]
mod collector;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber, info};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Counts what is logged on the shipper's thread.
struct Witness(Arc<AtomicU64>);

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        if std::thread::current().name() == Some("log-layer") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn what_the_transport_logs_is_not_shipped_but_other_layers_see_it() {
    let place = redis::Place::new();
    let redis = place.start();
    let collector = collector::Collector::start(&redis.url());
    let witnessed = Arc::new(AtomicU64::new(0));
    let (layer, guard) = log_layer::builder("transport")
        .redis(redis.url())
        .level(LevelFilter::TRACE)
        .linger(Duration::from_millis(1))
        .build();
    tracing_subscriber::registry()
        .with(layer)
        .with(Witness(witnessed.clone()))
        .init();

    info!("before");
    guard.flush(wait::PATIENCE);
    // Losing its connection is what a transport talks about.
    drop(redis);
    wait::until("the transport logs", || {
        (witnessed.load(Ordering::Relaxed) > 0).then_some(())
    });
    let _redis = place.start();
    info!("after");
    guard.flush(wait::PATIENCE);

    let records = collector.records();
    let shipped_for_itself = records
        .iter()
        .filter(|record| record["thread"] == "log-layer")
        .count();
    assert_eq!(shipped_for_itself, 0, "{records:?}");
    let own = records
        .iter()
        .filter(|record| record["callsite"]["target"] == module_path!())
        .count();
    assert_eq!(own, 2);
}
