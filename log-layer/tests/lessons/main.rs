//! What went wrong in other log layers, each with where it was reported: in a process of its own, under a global
//! subscriber, within thirty seconds. In all of them nothing may be stored twice, be missing without a word, or be
//! something that the server cannot read: what was logged is what is stored and what is declared as dropped.
//!
//! The same for signals, forks and a killed process is in `processes`, and for values that log while they are printed in
//! `global_recursion`, for a transport that logs in `global_transport`.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "../delivery/wait.rs"]
mod wait;
#[path = "../delivery/redis.rs"]
mod redis;
#[path = "../delivery/collector.rs"]
mod collector;
#[path = "../delivery/runs.rs"]
mod runs;
#[path = "../processes/own_process.rs"]
mod own_process;
mod lesson;
mod machine;
mod ends;
mod runtimes;
mod panics;
mod values;
mod spans;
mod layers;
mod outages;
mod overload;
mod answers;
mod disk;
