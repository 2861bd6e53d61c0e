//! Longer texts: what it can do, how to come from Python, how to run it, and what crosses Redis.

#[doc = include_str!("../docs/features.md")]
pub mod features {}

#[doc = include_str!("../docs/from-asyncredisrpc.md")]
pub mod from_asyncredisrpc {}

#[doc = include_str!("../docs/running.md")]
pub mod running {}

#[doc = include_str!("../docs/wire.md")]
pub mod wire {}
