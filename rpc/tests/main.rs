//! `rpc` through its public interface, against a real Redis and the real Python package.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

mod redis_server;
mod python;
mod proxy;
mod victim;
mod calls;
mod introspection;
mod traces;
mod endings;
mod shapes;
mod backpressure;
mod requests;
mod interop;
mod faults;
mod addresses;
#[cfg(feature = "tls")]
mod tls;
mod sentinels;
mod cluster;
#[cfg(feature = "cli")]
mod command;
mod repeats;
mod lost_workers;
mod narrow_moments;
mod outages;
mod deadly_requests;
mod incarnations;
mod leases;
mod storms;
mod stores;
mod features;
