//! What the language promises: how texts are read, what is found, and that looking agrees with a naive oracle.

mod reading;
mod pipelines;
mod matching;
pub(crate) mod random;
pub(crate) mod oracle;
