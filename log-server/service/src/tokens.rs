//! Who may read over HTTP: a file of hashed tokens in the data directory, outside of what searches see.
//!
//! A token is 256 random bits, shown once, kept only as its SHA-256. The file is read for every request, so a change
//! holds at once; it has a line per token: name, hash, when it was made.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes of a token before it is written in hexadecimal.
const SECRET: usize = 32;
/// Bytes of a name.
const NAME: usize = 64;

/// The tokens of one data directory.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: PathBuf,
}

/// Why a token cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name cannot be used.
    #[error("a token's name has 1 to 64 letters, digits, dots, dashes or underscores; found {0:?}")]
    Name(String),
    /// There is one already.
    #[error("there is a token {0} already; remove it first")]
    Exists(String),
    /// There is none.
    #[error("there is no token {0}")]
    Unknown(String),
    /// The file cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Tokens {
    /// Those of `data`.
    pub fn of(data: &Path) -> Tokens {
        Tokens {
            path: data.join("tokens"),
        }
    }

    /// Makes a token called `name` and returns it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn add(&self, name: &str) -> Result<String, TokenError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > NAME || !name.chars().all(fits) {
            return Err(TokenError::Name(name.to_owned()));
        }
        let mut lines = self.lines()?;
        if lines.iter().any(|line| line.split(' ').next() == Some(name)) {
            return Err(TokenError::Exists(name.to_owned()));
        }
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(TokenError::Random)?;
        let token = hex(&secret);
        lines.push(format!(
            "{name} {} {}",
            hash(&token),
            log_record::Timestamp::now()
        ));
        self.write(&lines)?;
        Ok(token)
    }

    /// Removes the token called `name`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn remove(&self, name: &str) -> Result<(), TokenError> {
        let mut lines = self.lines()?;
        let before = lines.len();
        lines.retain(|line| line.split(' ').next() != Some(name));
        if lines.len() == before {
            return Err(TokenError::Unknown(name.to_owned()));
        }
        self.write(&lines)
    }

    /// The names, with when each was made.
    ///
    /// # Errors
    /// [`TokenError::File`].
    pub fn list(&self) -> Result<Vec<(String, String)>, TokenError> {
        let lines = self.lines()?;
        let parts = lines.iter().filter_map(|line| {
            let mut parts = line.split(' ');
            Some((parts.next()?.to_owned(), parts.nth(1)?.to_owned()))
        });
        Ok(parts.collect())
    }

    /// Whether `token` is one of them. What cannot be read lets nobody in.
    pub fn allow(&self, token: &str) -> bool {
        let hash = hash(token.trim());
        // Hashes are compared: how long that takes tells nothing of the token.
        self.lines()
            .is_ok_and(|lines| lines.iter().any(|line| line.split(' ').nth(1) == Some(&*hash)))
    }

    /// Whether there is none, so that nobody is asked. A file that cannot be read is not taken for that.
    pub fn is_empty(&self) -> bool {
        self.lines().is_ok_and(|lines| lines.is_empty())
    }

    fn lines(&self) -> Result<Vec<String>, TokenError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// All at once: a crash leaves the old file or the new one.
    fn write(&self, lines: &[String]) -> Result<(), TokenError> {
        let new = self.path.with_extension("new");
        let written = || {
            if let Some(directory) = self.path.parent() {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)?;
            }
            let mut options = fs::OpenOptions::new();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        written().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> TokenError {
        TokenError::File {
            path: self.path.display().to_string(),
            source,
        }
    }
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lets_in_until_it_is_removed_and_stands_nowhere_in_the_file() {
        let data = tempfile::TempDir::new().unwrap();
        let tokens = Tokens::of(&data.path().join("new"));
        assert!(tokens.is_empty() && !tokens.allow(""));
        let (one, other) = (tokens.add("one").unwrap(), tokens.add("other").unwrap());
        assert_ne!(one, other);
        assert!(tokens.allow(&one) && tokens.allow(&other) && !tokens.allow("") && !tokens.allow(&one[1..]));
        assert!(!fs::read_to_string(&tokens.path).unwrap().contains(&one));
        assert!(matches!(tokens.add("one"), Err(TokenError::Exists(_))));
        for name in ["", "two words", "a\nb", &"x".repeat(65)] {
            assert!(matches!(tokens.add(name), Err(TokenError::Name(_))), "{name:?}");
        }
        tokens.remove("one").unwrap();
        assert!(!tokens.allow(&one) && tokens.allow(&other));
        assert!(matches!(tokens.remove("one"), Err(TokenError::Unknown(_))));
        let names: Vec<_> = tokens.list().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["other"]);
    }
}
