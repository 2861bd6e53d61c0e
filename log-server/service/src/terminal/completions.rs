//! `log-server completions`: what a shell needs to complete verbs and options.

use clap::CommandFactory;

use crate::config::{CommandLine, CompletionsOptions};

use super::print;

/// Prints the script for the shell.
///
/// # Errors
/// When the output cannot be written.
pub fn completions(options: &CompletionsOptions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut <CommandLine as CommandFactory>::command(),
        "log-server",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script)).map(drop)
}
