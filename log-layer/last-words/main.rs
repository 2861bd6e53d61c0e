//! Logs a hundred events and panics where it is told to: in `main`, in a `thread` or in a `task` of tokio's.

use std::thread;

use tracing::info;

fn main() {
    let _logs = log_layer::init("last-words");
    (0..100).for_each(|number| info!(number, "before"));
    let place = std::env::args().nth(1).unwrap_or_default();
    let outcome = match &*place {
        "thread" => thread::spawn(|| panic!("in a thread"))
            .join()
            .map_err(|_| "a thread panicked"),
        "task" => {
            let runtime = tokio::runtime::Runtime::new().expect("the system has threads to spare");
            let task = async { tokio::spawn(async { panic!("in a task") }).await };
            runtime.block_on(task).map_err(|_| "a task panicked")
        }
        _ => panic!("in main"),
    };
    info!(?outcome, "after");
}
