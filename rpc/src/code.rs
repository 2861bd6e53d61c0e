//! The numbers in a reply's `error`. 0 and 1 are fixed by `asyncredisrpc`; for the others the reply's `result`
//! is an object with a `message`. Applications use 100 and above.

/// The call succeeded; `result` is its value.
pub const OK: i64 = 0;
/// No such method; `result` is `null`.
pub const UNKNOWN_REMOTE_CALL: i64 = 1;
/// The handler failed or panicked.
pub const HANDLER: i64 = 2;
/// The arguments do not fit the method.
pub const INVALID_PARAMS: i64 = 3;
/// The caller's deadline had passed before the handler was started.
pub const DEADLINE_EXCEEDED: i64 = 4;
/// The server has too much to do; trying again later may succeed.
pub const OVERLOADED: i64 = 5;
/// The request has an id, but is otherwise malformed.
pub const BAD_REQUEST: i64 = 6;
/// The call was cancelled.
pub const CANCELLED: i64 = 7;
/// The server is draining or what it depends on is away; trying again later may succeed.
pub const UNAVAILABLE: i64 = 8;
/// The handler's result cannot be written as JSON, or is too large.
pub const BAD_RESULT: i64 = 9;
/// The caller may not do this.
pub const PERMISSION: i64 = 10;
/// The request was given up and lies in the dead-letter list.
pub const DEAD_LETTERED: i64 = 11;
/// The first code that applications may use as they like.
pub const FIRST_APPLICATION: i64 = 100;
