//! Who may watch: names, password hashes and sessions, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::rand_core::{OsRng, RngCore as _};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use serde::{Deserialize, Serialize};

/// Everybody who has registered.
#[derive(Default)]
pub struct Accounts {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: HashMap<String, Account>,
    sessions: HashMap<String, u64>,
}

struct Account {
    id: u64,
    hash: String,
}

/// Who a session belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Number of the account.
    pub user_id: u64,
}

/// A session that was opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Proves who it is; a secret.
    pub token: String,
    /// Number of the account.
    pub user_id: u64,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// The name is in use.
    #[error("the name {0} is taken")]
    Taken(String),
    /// Nobody has that name.
    #[error("there is no user {0}")]
    Unknown(String),
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The token was never given out.
    #[error("this session does not exist")]
    NoSession,
}

impl Accounts {
    /// Adds a user and returns its number. Slow on purpose: passwords are hashed.
    ///
    /// # Errors
    /// [`AccountError::Taken`].
    pub fn register(&self, name: &str, password: &str) -> Result<u64, AccountError> {
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
        let hash = hash.expect("the default parameters are valid").to_string();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.users.contains_key(name) {
            return Err(AccountError::Taken(name.to_owned()));
        }
        let id = 1_000 + state.users.len() as u64;
        state.users.insert(name.to_owned(), Account { id, hash });
        Ok(id)
    }

    /// Opens a session. Slow on purpose.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::WrongPassword`].
    pub fn login(&self, name: &str, password: &str) -> Result<Session, AccountError> {
        let known = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state
                .users
                .get(name)
                .map(|account| (account.id, account.hash.clone()))
        };
        let (user_id, hash) = known.ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        let hash = PasswordHash::new(&hash).expect("it was written by register");
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .map_err(|_| AccountError::WrongPassword)?;
        let token = format!("{:016x}{:016x}", OsRng.next_u64(), OsRng.next_u64());
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sessions
            .insert(token.clone(), user_id);
        Ok(Session { token, user_id })
    }

    /// Whose session it is.
    ///
    /// # Errors
    /// [`AccountError::NoSession`].
    pub fn verify(&self, token: &str) -> Result<User, AccountError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .sessions
            .get(token)
            .map(|user_id| User { user_id: *user_id })
            .ok_or(AccountError::NoSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_password_gets_a_session() {
        let accounts = Accounts::default();
        let id = accounts.register("mei", "correct").unwrap();
        assert_eq!(
            accounts.register("mei", "other").unwrap_err(),
            AccountError::Taken("mei".into())
        );
        assert_eq!(
            accounts.login("mei", "wrong").unwrap_err(),
            AccountError::WrongPassword
        );
        assert_eq!(
            accounts.login("bo", "correct").unwrap_err(),
            AccountError::Unknown("bo".into())
        );
        let session = accounts.login("mei", "correct").unwrap();
        assert_eq!(accounts.verify(&session.token).unwrap().user_id, id);
        assert_eq!(accounts.verify("made up").unwrap_err(), AccountError::NoSession);
    }
}
