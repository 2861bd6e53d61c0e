//! What threads meet at. The buffer takes it from here, so that a model of it can put in its own.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use tokio::sync::Notify;
