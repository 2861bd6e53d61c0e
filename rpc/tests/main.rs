//! `rpc` through its public interface, against a real Redis and the real Python package.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

mod redis_server;
mod python;
mod calls;
mod traces;
mod requests;
mod interop;
mod faults;
mod lost_workers;
