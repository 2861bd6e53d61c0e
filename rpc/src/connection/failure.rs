//! What an error of Redis or of the way to it means for whoever got it.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Error;

/// Why commands were not carried out, or not as far as is known.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    source: RedisError,
    maybe_sent: bool,
}

impl Failed {
    pub(super) fn new(source: RedisError) -> Self {
        let maybe_sent = !is_answer(&source);
        Self { source, maybe_sent }
    }

    /// What the connection or Redis said.
    pub(crate) fn source(&self) -> &RedisError {
        &self.source
    }

    /// There was no connection.
    pub(crate) fn not_connected() -> Self {
        Self {
            source: io::Error::from(io::ErrorKind::NotConnected).into(),
            maybe_sent: false,
        }
    }
}

impl From<Failed> for Error {
    fn from(Failed { source, maybe_sent }: Failed) -> Self {
        Self::Transport { source, maybe_sent }
    }
}

/// Whether Redis itself said no, so that the command was certainly not carried out.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

/// Whether another attempt needs another connection, because this Redis does not take commands now: it starts, or is
/// no master any more, or the queue's cluster slot has gone or is going to another node.
fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::Server(Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
    ) || error.code() == Some("UNBLOCKED")
}

/// Whether Redis will go on refusing us until a person changes something.
pub(crate) fn is_refusal(error: &RedisError) -> bool {
    use ErrorKind::{AuthenticationFailed, InvalidClientConfig, RESP3NotSupported, Server};
    matches!(
        error.kind(),
        AuthenticationFailed | InvalidClientConfig | RESP3NotSupported | Server(ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        || error
            .detail()
            .is_some_and(|detail| detail.contains("DB index is out of range"))
}

/// Whether a command that failed like this can succeed if it is tried again later.
pub(crate) fn is_passing(error: &RedisError) -> bool {
    !is_answer(error) || is_elsewhere(error)
}

/// Whether this command of a failed pipeline was carried out all the same: Redis refused only others.
pub(crate) fn was_carried_out(error: &RedisError, command: usize) -> bool {
    let refused = error.clone().into_server_errors();
    refused.is_some_and(|refused| refused.iter().all(|(index, _)| *index != command))
}

/// Whether Redis refused this command of a failed pipeline because its memory is full.
pub(crate) fn had_no_memory(error: &RedisError, command: usize) -> bool {
    let refused = error.clone().into_server_errors();
    refused.is_some_and(|refused| {
        refused
            .iter()
            .any(|(index, why)| *index == command && why.code() == "OOM")
    })
}
