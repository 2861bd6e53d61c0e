//! `log-server token`: who may read over HTTP.

use crate::config::{TokenAction, TokenOptions};
use crate::tokens::Tokens;

use super::{note, print};

/// Makes, lists or removes tokens.
///
/// # Errors
/// When a name cannot be used, or the file cannot be read or written.
pub fn token(options: &TokenOptions) -> anyhow::Result<()> {
    let tokens = Tokens::of(&options.data);
    match &options.action {
        TokenAction::Add { name } => {
            let token = tokens.add(name)?;
            note("this is shown once; from now on every request needs a token");
            print(&format!("{token}\n"))?;
        }
        TokenAction::List => {
            for (name, made) in tokens.list()? {
                print(&format!("{name}\t{made}\n"))?;
            }
        }
        TokenAction::Remove { name } => tokens.remove(name)?,
    }
    Ok(())
}
