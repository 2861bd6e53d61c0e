//! Tokens to a filter: one function per line of the grammar.

use std::ops::Range;

use log_record::Level;

use super::Query;
use super::ast::{Comparison, Field, Filter, Test};
use super::error::ParseError;
use super::fold::folds_to;
use super::lexer::{Kind, Lexer, Mode, Token, Value, starts_number};
use super::number::Number;
use super::pattern::Pattern;
use super::pipeline::{self, Pipeline};
use super::regex::Regex;

/// Bytes of a query: a pasted list of a thousand ids fits.
const QUERY_BYTES: usize = 64 * 1024;
/// Parentheses inside of each other: deeper ones would only try the stack of this parser and of its readers.
const DEPTH: usize = 64;
/// Terms: each one costs a look at every record.
const TERMS: usize = 1024;
/// Regular expressions: together they stay below the memory that a query may take.
const REGEXES: usize = 16;

/// Whose values are asked for.
#[derive(Clone, PartialEq)]
enum Subject {
    /// No field was named.
    Record,
    Level,
    Field(Field),
}

/// Parses `text` as the module's grammar has it.
pub(super) fn parse(text: &str) -> Result<Query, ParseError> {
    let too_long = format!("a query has at most {QUERY_BYTES} bytes");
    if text.len() > QUERY_BYTES {
        return Err(ParseError::new(
            text.floor_char_boundary(QUERY_BYTES)..text.len(),
            too_long,
        ));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        peeked: None,
        previous: None,
        depth: 0,
        terms: 0,
        regexes: 0,
    };
    let mut filter = Filter::All;
    if !matches!(parser.peek(&Subject::Record)?, Kind::End | Kind::Bar) {
        filter = parser.either(&Subject::Record)?;
    }
    let end = parser.take(&Subject::Record)?;
    let pipeline = match end.kind {
        Kind::End => Pipeline::default(),
        Kind::Bar => pipeline::parse(text, end.at.start)?,
        _ => return Err(parser.misplaced(&end)),
    };
    let query = Query { filter, pipeline };
    // A group repeats its field's name when it is printed, and quotes grow; what is printed must parse again.
    if query.to_string().len() > QUERY_BYTES {
        return Err(ParseError::new(
            0..text.len(),
            format!("{too_long} with every field written out"),
        ));
    }
    Ok(query)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    peeked: Option<Token<'a>>,
    /// The operator or parenthesis that was taken last, for the error if nothing follows.
    previous: Option<(&'static str, Range<usize>)>,
    depth: usize,
    terms: usize,
    regexes: usize,
}

impl<'a> Parser<'a> {
    fn peek(&mut self, subject: &Subject) -> Result<&Kind<'a>, ParseError> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => {
                let mode = if *subject == Subject::Record {
                    Mode::Terms
                } else {
                    Mode::Values
                };
                self.lexer.next(mode)?
            }
        };
        Ok(&self.peeked.insert(token).kind)
    }

    fn take(&mut self, subject: &Subject) -> Result<Token<'a>, ParseError> {
        self.peek(subject)?;
        Ok(self.peeked.take().expect("just peeked"))
    }

    fn either(&mut self, subject: &Subject) -> Result<Filter, ParseError> {
        let mut parts = vec![self.both(subject)?];
        while matches!(self.peek(subject)?, Kind::Or) {
            self.take_operator("OR", subject)?;
            parts.push(self.both(subject)?);
        }
        Ok(Filter::or(parts))
    }

    fn both(&mut self, subject: &Subject) -> Result<Filter, ParseError> {
        let mut parts = vec![self.unary(subject)?];
        loop {
            match self.peek(subject)? {
                Kind::End | Kind::Bar | Kind::Close | Kind::Or => return Ok(Filter::and(parts)),
                Kind::And => self.take_operator("AND", subject)?,
                Kind::Open | Kind::Not | Kind::Name(_) | Kind::Text(_) | Kind::Regex(_) | Kind::Value(_) => {}
            }
            parts.push(self.unary(subject)?);
        }
    }

    fn unary(&mut self, subject: &Subject) -> Result<Filter, ParseError> {
        let mut negated = false;
        while matches!(self.peek(subject)?, Kind::Not) {
            self.take_operator("NOT", subject)?;
            negated = !negated;
        }
        let token = self.take(subject)?;
        let filter = self.term(token, subject)?;
        self.previous = None;
        Ok(if negated { !filter } else { filter })
    }

    fn take_operator(&mut self, name: &'static str, subject: &Subject) -> Result<(), ParseError> {
        let at = self.take(subject)?.at;
        self.previous = Some((name, at));
        Ok(())
    }

    fn term(&mut self, token: Token<'a>, subject: &Subject) -> Result<Filter, ParseError> {
        let Token { kind, at } = token;
        if matches!(kind, Kind::Text(_) | Kind::Regex(_) | Kind::Value(_)) {
            self.terms += 1;
            if self.terms > TERMS {
                return Err(ParseError::new(at, format!("a query has at most {TERMS} terms")));
            }
        }
        match kind {
            Kind::Open => self.group(at, subject),
            Kind::Name(name) => {
                let subject = if folds_to(&name, "level") {
                    Subject::Level
                } else {
                    Subject::Field(Field::named(&name))
                };
                let value = self.lexer.first_value()?;
                self.term(value, &subject)
            }
            Kind::Text(text) => Ok(Filter::text(&text)),
            Kind::Regex(pattern) => self.regex(&pattern, at, subject),
            Kind::Value(value) => match subject {
                Subject::Level => level(&value, at),
                Subject::Field(field) => Ok(Filter::Field {
                    field: field.clone(),
                    test: test(&value, at)?,
                }),
                Subject::Record => unreachable!("values are only read after a name"),
            },
            Kind::Close | Kind::And | Kind::Or | Kind::Not | Kind::Bar | Kind::End => {
                Err(self.misplaced(&Token { kind, at }))
            }
        }
    }

    fn group(&mut self, open: Range<usize>, subject: &Subject) -> Result<Filter, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(ParseError::new(
                open,
                format!("at most {DEPTH} parentheses may stand inside of each other"),
            ));
        }
        self.previous = Some(("(", open.clone()));
        let filter = self.either(subject)?;
        let close = self.take(subject)?;
        if matches!(close.kind, Kind::Bar) {
            return Err(
                ParseError::new(close.at, "a pipeline cannot stand in parentheses")
                    .hint("to search for |, put it in quotes"),
            );
        }
        if matches!(close.kind, Kind::End) {
            return Err(
                ParseError::new(open, "this ( is never closed").hint("add a ), or put the text in quotes")
            );
        }
        self.depth -= 1;
        Ok(filter)
    }

    fn regex(&mut self, pattern: &str, at: Range<usize>, subject: &Subject) -> Result<Filter, ParseError> {
        self.regexes += 1;
        if self.regexes > REGEXES {
            return Err(ParseError::new(
                at,
                format!("a query has at most {REGEXES} regular expressions"),
            ));
        }
        let field = match subject {
            Subject::Record => Field::Message,
            Subject::Field(field) => field.clone(),
            Subject::Level => return Err(not_a_level(at)),
        };
        let hint = "to search for text with slashes, put it in quotes";
        match Regex::new(pattern) {
            Ok(regex) => Ok(Filter::Field {
                field,
                test: Test::Matches(regex),
            }),
            Err(why) => Err(ParseError::new(at, why).hint(hint)),
        }
    }

    /// The error for a token that cannot stand where a term must.
    fn misplaced(&self, token: &Token<'_>) -> ParseError {
        let (at, what, name) = match (&self.previous, &token.kind) {
            (Some((name, at)), _) => (at, format!("a term is missing after {name}"), *name),
            (None, Kind::And) => (&token.at, "a term is missing before AND".to_owned(), "AND"),
            (None, Kind::Or) => (&token.at, "a term is missing before OR".to_owned(), "OR"),
            (None, _) => (&token.at, "this ) closes nothing".to_owned(), ")"),
        };
        ParseError::new(at.clone(), what).hint(format!("to search for {name}, put it in quotes"))
    }
}

fn test(value: &Value<'_>, at: Range<usize>) -> Result<Test, ParseError> {
    if let Some((comparison, operand)) = comparison(value.raw)
        && starts_number(operand)
    {
        let operand_at = at.end - operand.len()..at.end;
        return match Number::parse(operand) {
            Some(number) => Ok(Test::Compare(comparison, number)),
            None => Err(ParseError::new(operand_at, format!("{operand} is not a number"))
                .hint("numbers are written like 950, -1.5 or 2e9, without a unit")),
        };
    }
    if let Some(range) = range(value.raw) {
        return Ok(range);
    }
    let pattern = Pattern::new(&value.pieces);
    Ok(if pattern.is_any() {
        Test::Present
    } else {
        Test::Is(pattern)
    })
}

/// A range of numbers; what only looks like one is text, as in `path:a..b`.
fn range(raw: &str) -> Option<Test> {
    match raw.split_once("..")? {
        ("", "") => None,
        ("", to) => Some(Test::Compare(Comparison::LessOrEqual, Number::parse(to)?)),
        (from, "") => Some(Test::Compare(Comparison::GreaterOrEqual, Number::parse(from)?)),
        (from, to) => Some(Test::Range(Number::parse(from)?, Number::parse(to)?)),
    }
}

fn comparison(raw: &str) -> Option<(Comparison, &str)> {
    const SIGNS: [(&str, Comparison); 4] = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    SIGNS
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, raw.strip_prefix(sign)?)))
}

fn level(value: &Value<'_>, at: Range<usize>) -> Result<Filter, ParseError> {
    let named = |name: &str| name.parse::<Level>().map_err(|_| not_a_level(at.clone()));
    if let Some((comparison, name)) = comparison(value.raw) {
        let limit = named(name)?;
        let mut fitting = Level::ALL
            .into_iter()
            .filter(|level| comparison.accepts(level.cmp(&limit)));
        let Some(from) = fitting.next() else {
            return Err(ParseError::new(
                at.clone(),
                format!("no level lies beyond {limit}"),
            ));
        };
        return Ok(Filter::Level {
            from,
            to: fitting.next_back().unwrap_or(from),
        });
    }
    if let Some((from, to)) = value.raw.split_once("..") {
        let from = if from.is_empty() {
            Level::Trace
        } else {
            named(from)?
        };
        let to = if to.is_empty() { Level::Error } else { named(to)? };
        return Ok(Filter::Level { from, to });
    }
    match &value.pieces[..] {
        [name] => named(name).map(|level| Filter::Level {
            from: level,
            to: level,
        }),
        // Every record has a level.
        pieces if pieces.iter().all(String::is_empty) => Ok(Filter::All),
        _ => Err(not_a_level(at)),
    }
}

fn not_a_level(at: Range<usize>) -> ParseError {
    ParseError::new(at, "not a level").hint("levels are trace, debug, info, warn, error")
}
