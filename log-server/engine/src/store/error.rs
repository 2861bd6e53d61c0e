//! What can go wrong in the store, by what a caller can do about it.

/// What can go wrong in the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another server has the directory.
    #[error("{0} is in use by another log-server")]
    InUse(String),
    /// The directory or a file in it cannot be used.
    #[error("{path}: {why}")]
    Unusable {
        /// Which one.
        path: String,
        /// What is the matter.
        why: String,
    },
    /// The number of the batch was given before to other content; neither is touched.
    #[error("batch {no} of boot {boot} was stored before with other content")]
    Reused {
        /// The sender's run.
        boot: String,
        /// The batch's number.
        no: u64,
    },
    /// Part of what is stored cannot be read; the rest can.
    #[error("{path}: {why}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is the matter.
        why: String,
    },
    /// There is no room on disk now; the same batch can be tried again later.
    #[error("the disk is full")]
    Full,
    /// The store has stopped for good, and this is why.
    #[error("the store has stopped: {0}")]
    Failed(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}
