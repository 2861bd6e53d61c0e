//! Other layers beside this one, and what the layer's own threads meet.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use log_layer::{DropReason, Guard};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber, info};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::lesson::{builder, here, lesson, setting};
use crate::machine::{limit_address_space, signal, unlimit_address_space, worked};
use crate::wait::until;

/// How long a program is quiet, in seconds; ten show more.
const IDLE: &str = "IDLE_SECONDS";

/// open-telemetry/opentelemetry-rust#1171, #1684; bug-ops/zeph#2996; krojew/tracing-elastic-apm#13
#[test]
fn with_everything_on_a_quiet_program_ships_nothing_and_does_next_to_nothing() {
    let idle = std::env::var(IDLE).unwrap_or_else(|_| "3".to_owned());
    let idle = Duration::from_secs(idle.parse().unwrap());
    let body = || {
        let (layer, logs) = builder()
            .level(LevelFilter::TRACE)
            .span_level(LevelFilter::TRACE)
            .linger(Duration::from_millis(200))
            .build();
        let others = tracing_subscriber::fmt::layer().with_writer(io::sink);
        tracing_subscriber::registry().with(layer).with(others).init();
        info!("the only one");
        assert_eq!(logs.flush(Duration::from_secs(20)).stored, 1);
        // The shipper stays up for a second after the last record.
        thread::sleep(Duration::from_millis(1500)); // slow on purpose
        let before = worked();
        thread::sleep(idle); // slow on purpose: quiet
        let work = worked() - before;
        assert!(work < idle / 100, "{work:?}");
        assert_eq!(logs.stats().accepted, 1);
        drop(logs);
    };
    lesson(here!(), body).taking(idle).run().all(1);
}

/// getsentry/sentry-rust PR#633
#[test]
fn threads_that_overflow_the_buffer_beside_another_layer_do_not_deadlock_and_the_drops_are_told() {
    const THREADS: u64 = 16;
    const EACH: u64 = 3000;
    let lesson = lesson(here!(), || {
        let (layer, logs) = builder().buffer_bytes(64 << 10).build();
        let lines = Mutex::new(io::sink());
        let others = tracing_subscriber::fmt::layer().with_writer(lines);
        tracing_subscriber::registry().with(layer).with(others).init();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..EACH).for_each(|number| info!(number, "more than fits")));
            }
        });
        assert!(logs.stats().dropped_total() > 0);
        drop(logs);
    });
    let ended = lesson.run();
    ended.account(THREADS * EACH);
    assert!(
        ended.stderr.contains("records were not delivered"),
        "{}",
        ended.stderr
    );
}

/// Drops the guard as soon as the shipper's own thread logs.
struct DropsTheGuard(Arc<Mutex<Option<Guard>>>);

impl<S: Subscriber> Layer<S> for DropsTheGuard {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        if thread::current().name() == Some("log-layer") {
            let guard = self.0.lock().unwrap().take();
            drop(guard);
        }
    }
}

/// tikv/tikv#4686; open-telemetry/opentelemetry-rust PR#3538
#[test]
fn a_guard_that_is_dropped_on_the_shippers_own_thread_does_not_wait_for_itself() {
    let lesson = lesson(here!(), || {
        let (layer, guard) = builder().linger(Duration::from_millis(1)).build();
        let guard = Arc::new(Mutex::new(Some(guard)));
        tracing_subscriber::registry()
            .with(layer)
            .with(DropsTheGuard(guard.clone()))
            .init();
        info!("before");
        until("it is stored", || {
            let guard = guard.lock().unwrap();
            // The transport may have dropped it by now.
            guard
                .as_ref()
                .is_none_or(|guard| guard.stats().stored == 1)
                .then_some(())
        });
        // Losing its connection is what a transport talks about.
        signal(&setting("REDIS_PROCESS"), libc::SIGKILL);
        until("the guard is dropped", || {
            info!("meanwhile");
            guard.lock().unwrap().is_none().then_some(())
        });
        info!("after");
    });
    let ended = lesson.run();
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// slog-rs/async#11, PR#31; archestra-ai/archestra PR#5650
#[test]
fn without_a_thread_to_spare_the_program_runs_and_every_record_is_counted() {
    let lesson = lesson(here!(), || {
        // Less than a thread's stack.
        limit_address_space(1 << 20);
        let (layer, logs) = builder().build();
        unlimit_address_space();
        tracing_subscriber::registry().with(layer).init();
        assert!(
            logs.problems()[0].contains("no thread for the shipper"),
            "{:?}",
            logs.problems()
        );
        (0..10).for_each(|number| info!(number, "lost"));
        let stats = logs.stats();
        let [dropped] = stats.dropped() else {
            panic!("not one line: {stats:?}")
        };
        assert_eq!((dropped.reason, dropped.count), (DropReason::Misconfigured, 10));
        drop(logs);
    });
    let ended = lesson.run();
    ended.all(0);
    assert!(
        ended.stderr.contains("nothing will be delivered"),
        "{}",
        ended.stderr
    );
}
