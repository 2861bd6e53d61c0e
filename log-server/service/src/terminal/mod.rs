//! The verbs that print: records for people and for programs.
//!
//! What records say is hostile to terminals: every control character is shown, never sent.
//!
//! One verb per file; `line` and `grid` are how records and tables look.

mod query;
mod export;
mod tail;
mod sql;
mod token;
mod completions;
mod check;
mod backup;
mod line;
mod grid;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;

pub use backup::backup;
pub use check::check;
pub use completions::completions;
pub use export::export;
pub use query::query;
pub use sql::sql;
pub use tail::tail;
pub use token::token;

/// Whether what is printed may be coloured.
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints to stdout; `false` when its reader has seen enough (`| head`), which is no error.
fn print(text: &str) -> anyhow::Result<bool> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("writing to stdout"),
    }
}

/// Says something beside the records.
pub(crate) fn note(text: &str) {
    // With stderr closed there is nowhere left to say it.
    let _ = writeln!(io::stderr(), "log-server: {text}");
}

/// Text with every character that a terminal would act on written out: control characters, and those that change the
/// direction of text or have no width.
fn shown(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(acts) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown_instead() {
        check("plain 登录 😀", "plain 登录 😀");
        check("\u{1b}[2J", "\\u{1b}[2J");
        check("\u{9b}31m", "\\u{9b}31m");
        check("two\nlines\r", "two\\nlines\\r");
        check("\u{7}\u{0}", "\\u{7}\\u{0}");
        check("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}");
    }
}
