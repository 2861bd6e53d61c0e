//! A program that logs and then panics: where panics abort, its last words must have arrived by then.

use tracing::info;

fn main() {
    let _logs = log_layer::init("last-words");
    for number in 0..100 {
        info!(number, "before");
    }
    panic!("the last of them");
}
