//! The smallest program that logs: `LOG_LAYER_REDIS_URL=redis://127.0.0.1:6379 cargo run --example hello`.

use tracing::{info, info_span, warn};

fn main() {
    let _logs = log_layer::init("hello");
    let _request = info_span!("request", path = "/live").entered();
    info!(channel = 7, latency_ms = 3.5, "channel opened");
    warn!(error = %std::fmt::Error, "channel closed");
}
