//! What a method fails with: a code of [`code`] and a text for people. Travels in a reply's `result`.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{Error, code, repair};

/// A failure that crosses the wire: what a handler returns and what its caller sees as
/// [`Error::Remote`](crate::Error::Remote).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct Fault {
    /// One of [`code`](mod@crate::code) from 2 on, or an application's own from 100 on.
    pub code: i64,
    /// What went wrong, for a person.
    pub message: String,
    /// What went wrong, for a program; any JSON.
    pub data: Option<Box<RawValue>>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

impl Fault {
    /// The handler failed (code 2).
    pub fn handler(message: impl Into<String>) -> Self {
        Self::app(code::HANDLER, message)
    }

    /// The arguments do not fit (code 3).
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::app(code::INVALID_PARAMS, message)
    }

    /// There is too much to do now (code 5); retryable.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self {
            retryable: true,
            ..Self::app(code::OVERLOADED, message)
        }
    }

    /// The call is wanted no more (code 7).
    pub fn cancelled() -> Self {
        Self::app(code::CANCELLED, "the call was cancelled")
    }

    /// What is needed to answer is away (code 8); retryable.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            retryable: true,
            ..Self::app(code::UNAVAILABLE, message)
        }
    }

    /// The caller may not do this (code 10).
    pub fn permission(message: impl Into<String>) -> Self {
        Self::app(code::PERMISSION, message)
    }

    /// Any code; applications use 100 and above.
    pub fn app(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            retryable: false,
        }
    }

    /// The `error` and `result` of the reply that says so. A fault is never taken for a success.
    pub(crate) fn into_reply(self) -> (i64, Box<RawValue>) {
        let body = match self.code {
            code::UNKNOWN_REMOTE_CALL => return (self.code, RawValue::NULL.to_owned()),
            _ => Body {
                message: self.message,
                data: self.data,
                retryable: self.retryable,
            },
        };
        let code = if self.code == code::OK {
            code::HANDLER
        } else {
            self.code
        };
        (
            code,
            to_raw_value(&body).expect("text, JSON and a boolean can be written as JSON"),
        )
    }

    /// Reads a reply's `error` and `result`; a peer that follows another convention is quoted.
    pub(crate) fn from_reply(code: i64, result: &RawValue) -> Self {
        match repair::parse(result.get()) {
            Ok(Body {
                message,
                data,
                retryable,
            }) => Self {
                code,
                message,
                data,
                retryable,
            },
            Err(_) => Self {
                data: Some(result.to_owned()),
                ..Self::app(code, "the server gave no message")
            },
        }
    }
}

/// A failure of what a handler uses, such as a tower layer.
impl From<Box<dyn std::error::Error + Send + Sync>> for Fault {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        error
            .downcast::<Self>()
            .map_or_else(|error| Self::handler(error.to_string()), |fault| *fault)
    }
}

/// A failure of a call that a handler made. What another server said is passed on.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Remote(fault) => fault,
            Error::Timeout { .. } => Self::app(code::DEADLINE_EXCEEDED, error.to_string()),
            Error::Overloaded { .. } => Self::overloaded(error.to_string()),
            Error::Transport { .. } | Error::Closed => Self::unavailable(error.to_string()),
            Error::UnknownMethod { .. }
            | Error::Encode(_)
            | Error::Decode { .. }
            | Error::TooLarge { .. }
            | Error::Config(_)
            | Error::Start(_) => Self::handler(error.to_string()),
        }
    }
}

/// A fault as it stands in `result`; the code stands beside it in `error`.
#[derive(Serialize, Deserialize)]
struct Body {
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retryable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fault: Fault, code: i64, result: &str) {
        let (written, raw) = fault.into_reply();
        assert_eq!((written, raw.get()), (code, result));
        let read = Fault::from_reply(written, &raw);
        assert_eq!((read.code, read.retryable), (code, result.contains("retryable")));
    }

    #[test]
    fn a_fault_crosses_the_wire() {
        check(Fault::handler("no"), 2, r#"{"message":"no"}"#);
        check(Fault::overloaded("no"), 5, r#"{"message":"no","retryable":true}"#);
        check(
            Fault {
                data: Some(RawValue::NULL.to_owned()),
                ..Fault::app(100, "no")
            },
            100,
            r#"{"message":"no","data":null}"#,
        );
        check(Fault::app(code::UNKNOWN_REMOTE_CALL, "no"), 1, "null");
        check(Fault::app(code::OK, "no"), 2, r#"{"message":"no"}"#);
    }
}
