//! Cuts a query into tokens. What is text although it looks like syntax is decided here; the module's doc lists it.
//!
//! Every character is looked at a bounded number of times, whatever is pasted.

use std::ops::Range;

use super::error::ParseError;
use super::fold::folds_to;
use super::pipeline;

/// Bytes of a field's name, path and all. The record's own limit is 128; this is room for several, nested.
pub(super) const NAME_BYTES: usize = 1024;

/// A piece of the query and where it stands.
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: Range<usize>,
}

pub(super) enum Kind<'a> {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A field's name; what follows is its value.
    Name(String),
    /// A word or a phrase.
    Text(String),
    Regex(String),
    Value(Value<'a>),
    /// The bar that begins the pipeline.
    Bar,
    End,
}

/// A field's value, not yet known to be a number, a level or text.
pub(super) struct Value<'a> {
    /// As it stands in the query.
    pub(super) raw: &'a str,
    /// What stands between its stars; one piece if there is none.
    pub(super) pieces: Vec<String>,
}

/// What a token may be: a field's values in parentheses know no names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Terms,
    Values,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    pub(super) fn next(&mut self, mode: Mode) -> Result<Token<'a>, ParseError> {
        self.at = self.text.len() - self.rest().trim_start().len();
        if mode == Mode::Terms && pipeline::begins(self.rest()) {
            return Ok(self.token(Kind::Bar, 1));
        }
        if let Some(token) = self.operator() {
            return Ok(token);
        }
        match mode {
            Mode::Terms => self.term(),
            Mode::Values => self.value(),
        }
    }

    /// The value directly after a name: there, neither operators nor `-` mean anything.
    pub(super) fn first_value(&mut self) -> Result<Token<'a>, ParseError> {
        if self.rest().starts_with('(') {
            return Ok(self.token(Kind::Open, 1));
        }
        self.value()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn token(&mut self, kind: Kind<'a>, length: usize) -> Token<'a> {
        let start = self.at;
        self.at += length;
        Token {
            kind,
            at: start..self.at,
        }
    }

    fn operator(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let keyword = |word| {
            rest.strip_prefix(word)
                .is_some_and(|after: &str| after.starts_with('(') || ends_term(after))
        };
        let (kind, length) = match rest.chars().next() {
            None => (Kind::End, 0),
            Some('(') => (Kind::Open, 1),
            Some(')') => (Kind::Close, 1),
            Some('-') if rest[1..].starts_with(can_be_negated) => (Kind::Not, 1),
            Some(_) if keyword("AND") => (Kind::And, 3),
            Some(_) if keyword("OR") => (Kind::Or, 2),
            Some(_) if keyword("NOT") => (Kind::Not, 3),
            Some(_) => return None,
        };
        Some(self.token(kind, length))
    }

    fn term(&mut self) -> Result<Token<'a>, ParseError> {
        if let Some(token) = self.regex() {
            return Ok(token);
        }
        if let Some(token) = self.name()? {
            return Ok(token);
        }
        let rest = self.rest();
        // Stars around a phrase are as idle as those around a word.
        let phrase = rest.trim_start_matches('*');
        if phrase.starts_with('"') {
            let Some((text, end)) = quoted(phrase) else {
                return Err(self.unclosed_quote());
            };
            let after = phrase[end..].trim_start_matches('*');
            if ends_term(after) {
                return Ok(self.token(Kind::Text(text), rest.len() - after.len()));
            }
        }
        let word = &rest[..word_end(rest)];
        Ok(self.token(Kind::Text(word.trim_matches('*').to_owned()), word.len()))
    }

    fn regex(&mut self) -> Option<Token<'a>> {
        let body = self.rest().strip_prefix('/')?;
        let mut pattern = String::new();
        let mut characters = body.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '/' if at > 0 && ends_term(&body[at + 1..]) => {
                    return Some(self.token(Kind::Regex(pattern), at + 2));
                }
                '/' => return None,
                '\\' => {
                    let (_, escaped) = characters.next()?;
                    if escaped != '/' {
                        pattern.push('\\');
                    }
                    pattern.push(escaped);
                }
                other => pattern.push(other),
            }
        }
        None
    }

    /// A field's name with the colon after it, or without the `<` or `>` after it: that is part of the value.
    fn name(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let rest = self.rest();
        let is_quoted = rest.starts_with('"');
        let (name, end) = if is_quoted {
            match quoted(rest) {
                Some(found) => found,
                None => return Err(self.unclosed_quote()),
            }
        } else {
            let end = bare_name(rest);
            (rest[..end].to_owned(), end)
        };
        if !is_quoted && end == 0 {
            return Ok(None);
        }
        let is_field = match rest[end..].strip_prefix(':') {
            Some(value) if ends_term(value) => false,
            Some(value) => is_quoted || !is_path(&name, value),
            None => is_compared(&name, &rest[end..]),
        };
        if !is_field {
            return Ok(None);
        }
        if name.len() > NAME_BYTES {
            let at = self.at..self.at + end;
            return Err(ParseError::new(
                at,
                format!("a field's name has at most {NAME_BYTES} bytes"),
            ));
        }
        let token = self.token(Kind::Name(name), end);
        if self.rest().starts_with(':') {
            self.at += 1;
        }
        Ok(Some(token))
    }

    fn value(&mut self) -> Result<Token<'a>, ParseError> {
        if let Some(token) = self.regex() {
            return Ok(token);
        }
        let rest = self.rest();
        let (mut at, mut depth) = (0, 0);
        let mut pieces = vec![String::new()];
        while let Some(character) = rest[at..].chars().next() {
            let piece = pieces.last_mut().expect("there is always a piece");
            match character {
                '*' => pieces.push(String::new()),
                '"' => {
                    let Some((phrase, length)) = quoted(&rest[at..]) else {
                        self.at += at;
                        return Err(self.unclosed_quote());
                    };
                    piece.push_str(&phrase);
                    at += length;
                    continue;
                }
                '\\' if rest[at + 1..].starts_with(['*', '"']) => {
                    at += 1;
                    piece.push_str(&rest[at..=at]);
                }
                _ if ends_word(character, &mut depth) => break,
                _ => piece.push(character),
            }
            at += character.len_utf8();
        }
        Ok(self.token(
            Kind::Value(Value {
                raw: &rest[..at],
                pieces,
            }),
            at,
        ))
    }

    fn unclosed_quote(&self) -> ParseError {
        ParseError::new(self.at..self.text.len(), "this quote is never closed")
            .hint("close it with \"; a quote inside of a phrase is written \\\"")
    }
}

/// The length of the field name without quotes that `text` begins with.
pub(super) fn bare_name(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_alphabetic() || "_@$".contains(c)) {
        return 0;
    }
    let inner = |c: char| c.is_alphanumeric() || "_.-@$".contains(c);
    let end = text.find(|c| !inner(c)).unwrap_or(text.len());
    let name = &text[..end];
    // `ops@host:22` and `a-` before `>b` are text.
    if name.chars().skip(1).any(|c| matches!(c, '@' | '$')) || name.ends_with(['.', '-']) {
        0
    } else {
        end
    }
}

/// Whether `text` and not an operator stands there: both look like words.
pub(super) fn is_keyword(text: &str) -> bool {
    matches!(text, "AND" | "OR" | "NOT")
}

/// Whether a single letter is a drive rather than a field, for `/` begins regular expressions as well as paths.
pub(super) fn is_drive(name: &str) -> bool {
    name.len() == 1 && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether `name:value` is `std::io`, `http://host` or `C:\temp`.
fn is_path(name: &str, value: &str) -> bool {
    value.starts_with(':') || value.starts_with("//") || (is_drive(name) && value.starts_with(['/', '\\']))
}

/// Whether `after` a name begins a comparison, and not `->`, `Vec<u8>` or `<b>`.
fn is_compared(name: &str, after: &str) -> bool {
    let Some(operand) = after.strip_prefix(['<', '>']) else {
        return false;
    };
    let operand = operand.strip_prefix('=').unwrap_or(operand);
    starts_number(operand) || (folds_to(name, "level") && operand.starts_with(char::is_alphabetic))
}

/// Whether `text` begins as a number does, be it one or not.
pub(super) fn starts_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits
        .strip_prefix('.')
        .unwrap_or(digits)
        .starts_with(|c: char| c.is_ascii_digit())
}

fn can_be_negated(character: char) -> bool {
    character.is_alphanumeric() || "_\"(/*@$".contains(character)
}

fn ends_term(after: &str) -> bool {
    after.is_empty() || after.starts_with(|c: char| c == ')' || c.is_whitespace())
}

/// Whether `character` ends a word; parentheses that are opened in the word, `depth` of them, belong to it.
fn ends_word(character: char, depth: &mut usize) -> bool {
    match character {
        '(' => *depth += 1,
        ')' if *depth == 0 => return true,
        ')' => *depth -= 1,
        _ => return character.is_whitespace(),
    }
    false
}

/// The length of the word that `text` begins with; quotes belong to it together with what they enclose.
fn word_end(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(character) = text[at..].chars().next() {
        match character {
            '"' => at += quoted(&text[at..]).map_or(1, |(_, length)| length),
            // As in quotes, so that a quote that opens nothing is never looked for twice.
            '\\' if text[at + 1..].starts_with(['"', '\\']) => at += 2,
            _ if ends_word(character, &mut depth) => break,
            _ => at += character.len_utf8(),
        }
    }
    at
}

/// The phrase that `text`, which begins with a quote, begins with, and its length with the quotes.
pub(super) fn quoted(text: &str) -> Option<(String, usize)> {
    let mut phrase = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((phrase, at + 1)),
            '\\' => {
                let (_, escaped) = characters.next()?;
                // Only what must be escaped can be; "C:\temp" keeps its backslash.
                if !matches!(escaped, '"' | '\\') {
                    phrase.push('\\');
                }
                phrase.push(escaped);
            }
            other => phrase.push(other),
        }
    }
    None
}
