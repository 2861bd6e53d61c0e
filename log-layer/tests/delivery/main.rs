//! What is logged arrives, exactly, whatever happens on the way: against a real Redis and a small log server.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

mod wait;
mod redis;
mod collector;
mod runs;
mod stack;
mod values;
mod spans;
mod traces;
mod answers;
mod outage;
mod spool;
mod pressure;
mod control;
mod guard;
