//! Programs that end, in time or not.

use std::time::{Duration, Instant};

use tracing::span::Id;
use tracing::{Subscriber, info, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::lesson::{builder, here, lesson, quickest, setting, stored};

/// hrxi/tracing-loki#9, #17
#[test]
fn the_only_event_of_a_program_that_ends_at_once_is_stored() {
    let body = || {
        let start = Instant::now();
        let logs = log_layer::init("lessons");
        info!("the only one");
        drop(logs);
        eprintln!("took {}", start.elapsed().as_millis());
    };
    quickest(1000, || {
        let ended = lesson(here!(), body).run();
        ended.all(1);
        ended
    });
}

/// tokio-rs/tracing#1120, #1135; open-telemetry/opentelemetry-rust#2478
#[test]
fn a_full_buffer_and_a_slow_server_hold_up_the_end_for_no_longer_than_was_said() {
    const LOGGED: u64 = 5000;
    const TIMEOUT: Duration = Duration::from_millis(500);
    let body = || {
        let spool = setting("SPOOL_OR_NONE");
        let builder = builder().buffer_bytes(256 << 10).flush_timeout(TIMEOUT);
        let builder = if spool.is_empty() {
            builder
        } else {
            builder.spool(&spool)
        };
        let (layer, logs) = builder.build();
        tracing_subscriber::registry().with(layer).init();
        (0..LOGGED).for_each(|number| info!(number, "more than fits"));
        let start = Instant::now();
        let report = logs.shutdown(TIMEOUT);
        drop(logs);
        eprintln!("took {}", start.elapsed().as_millis());
        let known = report.stored + report.spooled + report.still_buffered + report.dropped;
        assert_eq!(known, LOGGED, "{report:?}");
        assert!(
            report.dropped > 0 && report.stored < LOGGED - report.dropped,
            "{report:?}"
        );
        assert!(spool.is_empty() || report.still_buffered == 0, "{report:?}");
    };
    for spools in [false, true] {
        // Half a second beyond what was said.
        quickest(1000, || {
            let folder = tempfile::tempdir().unwrap();
            let spool = if spools {
                folder.path().to_str().unwrap()
            } else {
                ""
            };
            let lesson = lesson(here!(), body).with("SPOOL_OR_NONE", spool);
            let ended = lesson.run_answering(|_, _| {
                std::thread::sleep(Duration::from_millis(150)); // slow on purpose
                stored()
            });
            assert!(ended.status.success(), "{}", ended.stderr);
            ended.records();
            ended
        });
    }
}

/// Logs whenever a span is closed.
struct LogsOnClose;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogsOnClose {
    fn on_close(&self, _: Id, _: Context<'_, S>) {
        info!("closed");
    }
}

/// open-telemetry/opentelemetry-rust#3161, #3023; meta-pytorch/monarch PR#3690
#[test]
fn what_comes_after_the_shutdown_is_counted_and_nothing_more_is_said_of_it() {
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().build();
        tracing_subscriber::registry()
            .with(layer)
            .with(LogsOnClose)
            .init();
        info!("in time");
        assert_eq!(logs.shutdown(Duration::from_secs(20)).stored, 1);
        for _ in 0..5000 {
            info!("too late");
            info_span!("short");
        }
        assert_eq!(logs.stats().dropped_total(), 10_000);
    });
    let ended = lesson.run();
    ended.all(1);
    assert!(ended.stderr.lines().count() <= 1, "{}", ended.stderr);
}
