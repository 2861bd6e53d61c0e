//! `init` installs a global subscriber, so this needs a process of its own.

use std::time::Duration;

use log_layer::DropReason;
use tracing::info;

#[test]
fn a_second_init_is_a_problem_and_leaves_the_first_at_work() {
    let first = log_layer::init("first");
    let second = log_layer::init("second");
    info!("for the first");
    assert!(first.problems().is_empty());
    assert_eq!(second.problems().len(), 1);
    assert_eq!(first.stats().accepted, 1);
    assert_eq!(second.stats().accepted, 0);
    first.shutdown(Duration::ZERO);
    info!("too late");
    assert_eq!(first.stats().dropped()[0].reason, DropReason::AfterShutdown);
}
