//! What a log record is: the leaf that both ends of the log service share.
//!
//! A sender seals [`LogRecord`]s into a [`Batch`] and writes it as JSON ([`Batch::to_json`]); the server reads it
//! back ([`Batch::parse`]). The reader is strict about what matters (who sent it, which batch it is, one record is
//! one object) and tolerant about the rest: an odd time, level or number is repaired and the record says so in its
//! [`Flags`]; a record that cannot be saved is listed in [`Batch::rejected`] and never takes its neighbours along.
//!
//! This crate knows nothing of Redis, SQLite, HTTP or `tracing`.
//!
//! Reading order: [`level`], [`timestamp`], [`value`], [`callsite`], [`source`], [`record`], [`batch`], [`outline`];
//! [`limits`] holds every cap. `reader` makes a batch of text, over `json`, which knows JSON and nothing else.

pub mod level;
pub mod timestamp;
pub mod flags;
pub mod limits;
mod text;
pub mod value;
pub mod callsite;
pub mod source;
pub mod record;
pub mod batch;
pub mod outline;
mod json;
mod reader;

pub use batch::{Batch, BatchError, BorrowedBatch, Dropped, Rejected};
pub use callsite::{CallSite, Kind};
pub use flags::{Flag, Flags};
pub use level::Level;
pub use outline::{Mark, Outline};
pub use record::{BorrowedRecord, BorrowedSpan, LogRecord, Span};
pub use source::Source;
pub use timestamp::Timestamp;
pub use value::{BorrowedFields, BorrowedValue, Fields, Value};
