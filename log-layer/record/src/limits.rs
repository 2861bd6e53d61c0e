//! Every cap on what a batch may hold. Beyond a record's cap it is cut and flagged; beyond a batch's cap the batch is
//! refused with the cap named, so that the sender can split it.

/// Bytes of text (message, field names and values, spans) in one record. Seq's and VictoriaLogs' limit too.
pub const RECORD_BYTES: usize = 256 * 1024;
/// Fields in one record.
pub const FIELDS: usize = 256;
/// Bytes of a field's name.
pub const NAME_BYTES: usize = 128;
/// Levels of lists and maps inside a value.
pub const NESTING: usize = 32;
/// Spans around one record.
pub const SPANS: usize = 32;
/// Records in one batch.
pub const BATCH_RECORDS: usize = 5_000;
/// Bytes of a batch, counted after over-long records were cut.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a service's, host's, thread's or target's name.
pub const LABEL_BYTES: usize = 256;
