//! The engine of the log server: where records are kept, and how they are found again.
//!
//! `query` is the language people search in, and pure; `store` keeps records in SQLite files and finds those that a query
//! asks for; `search` takes questions as they come from outside, and makes answers of what was found. A crate of its own,
//! because here a server spends its time: this is compiled for speed, and `log_service` around it for size.
//!
//! Knows nothing of HTTP, of Redis, or of a terminal.

pub mod query;
pub mod store;
pub mod search;
