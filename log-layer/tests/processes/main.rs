//! How processes end and fork. Each end needs a process of its own, so every test runs this binary again for itself alone.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "../delivery/wait.rs"]
mod wait;
#[path = "../delivery/redis.rs"]
mod redis;
#[path = "../delivery/collector.rs"]
mod collector;
#[path = "../delivery/runs.rs"]
mod runs;
mod own_process;
mod ends;
mod killed;
mod forks;
mod limits;
