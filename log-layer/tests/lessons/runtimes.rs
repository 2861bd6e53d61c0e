//! Runtimes of the program's, of which the layer needs none.

use std::time::{Duration, Instant};

use log_layer::Guard;
use tokio::runtime::{Builder, Runtime};
use tracing::info;

use crate::lesson::{here, lesson, setting};
use crate::machine::use_one_processor;

const WHERE: &str = "WHERE";

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn log(number: usize) {
    info!(number, "logged");
}

fn init_and_log() -> Guard {
    let logs = log_layer::init("lessons");
    (0..100).for_each(log);
    logs
}

/// open-telemetry/opentelemetry-rust#2673, #2400
#[test]
fn it_does_not_matter_where_the_layer_is_set_up() {
    let body = || match &*setting(WHERE) {
        "without a runtime" => drop(init_and_log()),
        "before the runtime" => {
            let _logs = log_layer::init("lessons");
            one_thread().block_on(async { (0..100).for_each(log) });
        }
        "inside the runtime" => one_thread().block_on(async { drop(init_and_log()) }),
        "inside a blocking task" => {
            let blocking = async { tokio::task::spawn_blocking(init_and_log).await.unwrap() };
            drop(Runtime::new().unwrap().block_on(blocking));
        }
        other => panic!("{other}"),
    };
    for place in [
        "without a runtime",
        "before the runtime",
        "inside the runtime",
        "inside a blocking task",
    ] {
        lesson(here!(), body).with(WHERE, place).run().all(100);
    }
}

/// open-telemetry/opentelemetry-rust#2802, #868, PR#3380
#[test]
fn one_processor_is_enough_to_flush_inside_a_runtime() {
    let body = || {
        use_one_processor();
        let runtime = match &*setting(WHERE) {
            "one thread" => one_thread(),
            "one worker" => Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            other => panic!("{other}"),
        };
        runtime.block_on(async {
            let logs = init_and_log();
            let start = Instant::now();
            assert_eq!(logs.flush(Duration::from_secs(20)).stored, 100);
            tokio::spawn(async { (0..100).for_each(log) }).await.unwrap();
            drop(logs);
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        });
    };
    for place in ["one thread", "one worker"] {
        lesson(here!(), body).with(WHERE, place).run().all(200);
    }
}

/// open-telemetry/opentelemetry-rust#1963; restatedev/restate#592
#[test]
fn a_runtime_that_is_gone_is_not_missed() {
    let body = || {
        let runtime = Runtime::new().unwrap();
        let logs = runtime.block_on(async { init_and_log() });
        match &*setting(WHERE) {
            "dropped" => drop(runtime),
            "left behind" => runtime.shutdown_background(),
            other => panic!("{other}"),
        }
        (0..100).for_each(log);
        drop(logs);
    };
    for place in ["dropped", "left behind"] {
        lesson(here!(), body).with(WHERE, place).run().all(200);
    }
}
