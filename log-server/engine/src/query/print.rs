//! The canonical form of a query: what parses to the same filter again, and shows how the query was read.
//!
//! AND is a space, NOT is `-`, and whatever could be read in another way stands in quotes.

use std::fmt::{self, Display, Formatter, Write as _};

use log_record::Level;

use super::Query;
use super::ast::{Comparison, Field, Filter, Test};
use super::lexer::{bare_name, is_drive, is_keyword};
use super::number::Number;
use super::pattern::Pattern;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.filter, self.pipeline)
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Filter::All => f.write_char('*'),
            Filter::And(parts) => write_joined(parts, " ", |part| matches!(part, Filter::Or(_)), f),
            Filter::Or(parts) => write_joined(parts, " OR ", |_| false, f),
            Filter::Not(inner) => {
                f.write_char('-')?;
                write_part(
                    inner,
                    matches!(**inner, Filter::And(_) | Filter::Or(_) | Filter::Not(_)),
                    f,
                )
            }
            Filter::Text(needle) => {
                let word = needle.written();
                let begins = word.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                write_text(
                    word,
                    begins && is_bare(word) && !word.contains([':', '<', '>', '|']) && !is_keyword(word),
                    f,
                )
            }
            Filter::Level { from, to } => write_level(*from, *to, f),
            Filter::Field {
                field: Field::Message,
                test: test @ Test::Matches(_),
            } => test.fmt(f),
            Filter::Field { field, test } => {
                let name = field.name();
                let is_compared = matches!(test, Test::Compare(..));
                // `c:/x/` would be a drive.
                let is_path = is_drive(&name) && matches!(test, Test::Matches(_));
                write_text(
                    &name,
                    !name.is_empty() && bare_name(&name) == name.len() && !is_path,
                    f,
                )?;
                write!(f, "{}{test}", if is_compared { "" } else { ":" })
            }
        }
    }
}

fn write_joined(
    parts: &[Filter],
    between: &str,
    grouped: fn(&Filter) -> bool,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        write_part(part, grouped(part), f)?;
    }
    Ok(())
}

fn write_part(part: &Filter, grouped: bool, f: &mut Formatter<'_>) -> fmt::Result {
    if grouped {
        write!(f, "({part})")
    } else {
        part.fmt(f)
    }
}

fn write_level(from: Level, to: Level, f: &mut Formatter<'_>) -> fmt::Result {
    match (from, to) {
        _ if from == to => write!(f, "level:{from}"),
        (_, Level::Error) => write!(f, "level>={from}"),
        (Level::Trace, _) => write!(f, "level<={to}"),
        _ => write!(f, "level:{from}..{to}"),
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Test::Present => f.write_char('*'),
            Test::Is(pattern) => pattern.fmt(f),
            Test::Compare(comparison, number) => write!(f, "{comparison}{number}"),
            Test::Range(from, to) => write!(f, "{from}..{to}"),
            // The only slashes in a pattern are those that were escaped.
            Test::Matches(regex) => write!(f, "/{}/", regex.pattern().replace('/', "\\/")),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(number) => number.fmt(f),
            // Debug keeps the point or the exponent, by which it is read as a float again.
            Number::Float(number) => write!(f, "{number:?}"),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pieces = self.pieces();
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                f.write_char('*')?;
            }
            let piece = piece.written();
            // Next to a star, nothing at all is nothing; alone it is the empty text.
            if !piece.is_empty() || pieces.len() == 1 {
                write_text(
                    piece,
                    is_bare(piece) && !piece.starts_with(['/', ':', '<', '>']) && !piece.contains(".."),
                    f,
                )?;
            }
        }
        Ok(())
    }
}

/// Whether `text` is nothing but characters that mean themselves everywhere but at the beginning.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"()*\\".contains(c))
}

pub(super) fn write_text(text: &str, bare: bool, f: &mut Formatter<'_>) -> fmt::Result {
    if bare {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}
