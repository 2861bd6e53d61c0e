//! What is shown: results on the standard output, notes and progress on the standard error. Text from Redis is hostile:
//! whatever a terminal would act on is written out instead.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::failure::Failure;
use super::json;

pub(crate) struct Screen {
    pub(crate) json: bool,
    watched: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            watched: io::stderr().is_terminal(),
        }
    }

    /// A line for people.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(io::stdout(), "{}", shown(text))?)
    }

    /// A line for programs.
    pub(crate) fn object(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        Ok(writeln!(io::stdout(), "{}", json::in_one_line(&text))?)
    }

    /// A JSON text, laid out for people or in one line for programs.
    pub(crate) fn json_text(&self, text: &str) -> Result<(), Failure> {
        let text = if self.json {
            json::in_one_line(text)
        } else {
            json::laid_out(text)
        };
        Ok(writeln!(io::stdout(), "{text}")?)
    }

    /// Columns under their names, as wide as they need to be.
    pub(crate) fn table<const N: usize>(
        &self,
        names: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), Failure> {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| row.each_ref().map(|cell| shown(cell)))
            .collect();
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
                .max(names[column].len())
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut out = io::stdout().lock();
        for row in std::iter::once(&names.map(str::to_owned)).chain(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', 2 + width - cell.width()));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// A remark beside the output.
    pub(crate) fn note(&self, text: &str) {
        // There is nobody to tell that there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", shown(text));
    }

    /// Tells somebody who watches how far it has come; the next such line takes its place.
    pub(crate) fn progress(&self, text: &str) {
        if self.watched {
            // As for a note.
            let _ = write!(io::stderr(), "\r{}\x1b[K", shown(text));
        }
    }

    /// The progress is over.
    pub(crate) fn progress_over(&self) {
        if self.watched {
            // As for a note.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        let over = match failure {
            Failure::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Failure::Rpc(_) | Failure::Usage(_) | Failure::NotThere(_) | Failure::Interrupted => false,
        };
        if !over {
            self.progress_over();
            self.note(&format!("rpc: {}", failure.told()));
        }
    }
}

/// Whether a terminal would do something else with this character than show it: control characters, and those that
/// change the direction of text or have no width.
pub(crate) fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if acts(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        check("plain 登录 😀", "plain 登录 😀");
        check("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}");
        check("two\nlines\r\u{9b}31m", "two\\nlines\\r\\u{9b}31m");
        check("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}");
    }
}
