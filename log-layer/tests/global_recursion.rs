//! Values that log while they are printed. `tracing` guards against them only where a subscriber is installed for a
//! thread, so this needs a global one, and a process of its own.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "delivery/wait.rs"]
mod wait;
#[path = "delivery/redis.rs"]
mod redis;
#[path = "delivery/collector.rs"]
mod collector;

use std::fmt;

use log_layer::DropReason;
use tracing::{Span, info, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs once while it is printed, and touches its span.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("from inside");
        Span::current().record("late", "from inside");
        info_span!("made inside").in_scope(|| info!("deeper inside"));
        f.write_str("printed")
    }
}

/// Logs itself while it is printed, for ever.
struct Mirror;

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!(mirror = ?Mirror, "reflected");
        f.write_str("mirror")
    }
}

#[test]
fn values_that_log_while_they_are_printed_neither_deadlock_nor_recurse_for_ever() {
    let redis = redis::Place::new().start();
    let collector = collector::Collector::start(&redis.url());
    let (layer, guard) = log_layer::builder("recursion").redis(redis.url()).build();
    tracing_subscriber::registry().with(layer).init();

    let span = info_span!("span", talkative = ?Talkative, late = tracing::field::Empty);
    span.in_scope(|| {
        info!(talkative = ?Talkative, "outer");
        span.record("late", tracing::field::debug(Talkative));
    });
    info!(mirror = ?Mirror, "mirrored");
    let report = guard.flush(wait::PATIENCE);

    let records = collector.records();
    let count = |message: &str| {
        records
            .iter()
            .filter(|record| record["message"] == message)
            .count()
    };
    assert_eq!(
        (count("from inside"), count("deeper inside"), count("outer")),
        (3, 3, 1)
    );
    assert_eq!(
        (count("mirrored"), count("reflected")),
        (1, 2),
        "three levels are let in"
    );
    assert_eq!(report.stored, records.len() as u64);
    let dropped = guard.stats().dropped().to_vec();
    assert_eq!(
        (dropped.len(), dropped[0].reason, dropped[0].count),
        (1, DropReason::Recursion, 1)
    );
    let outer = records
        .iter()
        .find(|record| record["message"] == "outer")
        .unwrap();
    assert_eq!(outer["fields"]["talkative"], "printed");
    assert_eq!(outer["spans"][0]["fields"]["late"], "from inside");
}
