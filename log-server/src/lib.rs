//! The log server.

pub mod query;
