//! Which field names hold secrets. Knows nothing of values.
//!
//! A name is secret if it *is* one of the words below, or ends in one after `_`, `.` or `-`, whatever its case:
//! `password`, `db.password`, `X-Api-Key`, `user_token`. A word inside or in front does not count, so `session_id`,
//! `token_count`, `secret_santa` and `passwords_checked` are shown.

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

const SECRETS: [&str; 13] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "set_cookie",
    "api_key",
    "apikey",
    "session",
    "private_key",
    "credential",
];

/// Whether the value of a field of this name must not leave the process.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    // The words end in these; most names are told apart by their last letter.
    if !matches!(
        name.last().map(u8::to_ascii_lowercase),
        Some(b'd' | b'e' | b'l' | b'n' | b't' | b'y')
    ) {
        return false;
    }
    SECRETS.iter().any(|secret| {
        let Some(before) = name.len().checked_sub(secret.len()) else {
            return false;
        };
        let (before, last) = name.split_at(before);
        let same = |(a, b): (&u8, u8)| a.eq_ignore_ascii_case(&b) || (b == b'_' && is_separator(*a));
        last.iter().zip(secret.bytes()).all(same) && before.last().is_none_or(|byte| is_separator(*byte))
    })
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'.' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, secret: bool) {
        assert_eq!(is_secret(name), secret, "{name}");
    }

    #[test]
    fn every_word_of_the_list_is_secret_in_any_case() {
        for word in SECRETS {
            check(word, true);
            check(&word.to_uppercase(), true);
            check(&format!("user_{word}"), true);
            check(&format!("http.request.{word}"), true);
            check(&format!("X-{word}"), true);
        }
        check("set-cookie", true);
        check("Private-Key", true);
        check("api.key", true);
    }

    #[test]
    fn a_word_in_front_inside_or_glued_on_is_not_secret() {
        for name in [
            "session_id",
            "token_count",
            "secret_santa",
            "passwords",
            "tokens",
            "obsession",
            "biscookie",
            "key",
            "api",
            "message",
            "",
            "_",
            "authorization_server",
        ] {
            check(name, false);
        }
    }
}
