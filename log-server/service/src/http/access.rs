//! Who may read: everybody, or whoever brings a token, as `Authorization: Bearer` or as the password of a browser.

use axum::http::header::{self, HeaderMap};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::tokens::Tokens;

/// Whether requests need a token.
#[derive(Debug)]
pub(crate) struct Access {
    /// `None`: nobody is asked.
    tokens: Option<Tokens>,
    /// Whether others reach the server; then a token is needed even if there is none.
    exposed: bool,
}

impl Access {
    /// Everybody may read.
    pub(crate) fn open() -> Access {
        Access {
            tokens: None,
            exposed: false,
        }
    }

    /// As soon as there is a token, a request needs one; if others reach the server, in any case.
    pub(crate) fn by(tokens: Tokens, exposed: bool) -> Access {
        Access {
            tokens: Some(tokens),
            exposed,
        }
    }

    pub(super) fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        if !self.exposed && tokens.is_empty() {
            return true;
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        given.and_then(token).is_some_and(|token| tokens.allow(&token))
    }
}

/// The token in an `Authorization` header.
fn token(header: &str) -> Option<String> {
    let (scheme, given) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(given.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(given.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        assert_eq!(token(header).as_deref(), expected, "{header}");
    }

    #[test]
    fn tokens_come_as_bearer_or_as_the_password_of_any_user() {
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic bWU6YTpi", Some("a:b"));
        check("Basic OmFiYw==", Some("abc"));
        check("Basic !!", None);
        check("Digest x", None);
        check("abc", None);
    }

    #[test]
    fn a_request_needs_a_token_as_soon_as_there_is_one_or_others_reach_the_server() {
        let data = tempfile::TempDir::new().unwrap();
        let tokens = Tokens::of(data.path());
        let (near, far) = (
            Access::by(tokens.clone(), false),
            Access::by(tokens.clone(), true),
        );
        let nothing = HeaderMap::new();
        assert!(Access::open().allows(&nothing) && near.allows(&nothing) && !far.allows(&nothing));
        let token = tokens.add("me").unwrap();
        let mut with = HeaderMap::new();
        with.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        for access in [near, far] {
            assert!(access.allows(&with) && !access.allows(&nothing));
        }
    }
}
