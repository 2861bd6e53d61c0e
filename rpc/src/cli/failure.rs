//! What a verb can fail with, and the exit code that says so to scripts.

use std::error::Error as _;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotThere(String),
    #[error("the output cannot be written")]
    Output(#[from] std::io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        use rpc::Error;
        ExitCode::from(match self {
            Self::Usage(_) | Self::Rpc(Error::Config(_)) => 2,
            Self::Rpc(Error::Timeout { .. }) => 3,
            Self::Rpc(Error::Transport { .. } | Error::Overloaded { .. }) => 4,
            // Whoever read our output has seen enough, as `head` does.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
            Self::Interrupted => 130,
            Self::Rpc(_) | Self::NotThere(_) | Self::Output(_) => 1,
        })
    }

    /// What may help where Redis failed.
    pub(crate) fn what_to_do(&self) -> Option<&'static str> {
        match self {
            Self::Rpc(rpc::Error::Transport { source, .. }) if source.code() == Some("NOAUTH") => {
                Some("it wants a password: RPC_REDIS_URL=redis://:PASSWORD@HOST:PORT")
            }
            Self::Rpc(rpc::Error::Transport { .. }) => Some("RPC_REDIS_URL or --redis names another"),
            Self::Rpc(_) | Self::Usage(_) | Self::NotThere(_) | Self::Output(_) | Self::Interrupted => None,
        }
    }

    /// What happened and why, in one line.
    pub(crate) fn told(&self) -> String {
        let mut told = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let why = error.to_string();
            if !told.ends_with(&why) {
                told = format!("{told}: {why}");
            }
            source = error.source();
        }
        told
    }
}
