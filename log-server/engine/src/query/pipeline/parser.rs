//! Words to steps: one function per line of the grammar.

use std::ops::Range;
use std::time::Duration;

use crate::query::error::ParseError;
use crate::query::lexer::NAME_BYTES;

use super::words::{Kind, VERBS, Word, is_count, word};
use super::{Aggregate, Column, Function, Heading, Key, Pipeline, Step, Table};

/// Steps of a pipeline; more would only try the patience of who reads it.
const STEPS: usize = 16;
/// Names in one list: each costs a look at every record.
const LIST: usize = 16;
/// Rows that can be asked for, as in a page of records.
const ROWS: usize = 10_000;
/// Rows of `top` unless said otherwise: what a person reads at a glance.
const TOP: usize = 10;

/// Parses the pipeline that begins with the bar at `at`.
pub(in crate::query) fn parse(text: &str, at: usize) -> Result<Pipeline, ParseError> {
    let mut parser = Parser {
        text,
        next: word(text, at),
        pipeline: Pipeline::default(),
        columns: None,
    };
    while parser.accept(&Kind::Bar) {
        if parser.pipeline.steps.len() == STEPS {
            let why = format!("a pipeline has at most {STEPS} steps");
            return Err(ParseError::new(parser.next.at, why));
        }
        parser.step()?;
    }
    match &parser.next.kind {
        Kind::End => Ok(parser.pipeline),
        _ => Err(parser.unexpected("a comma, | or the end", None)),
    }
}

struct Parser<'a> {
    text: &'a str,
    next: Word,
    pipeline: Pipeline,
    /// The columns that the rows have by now; `None`: they are still records, which may have any.
    columns: Option<Vec<Heading>>,
}

impl Parser<'_> {
    fn take(&mut self) -> Word {
        let following = word(self.text, self.next.at.end);
        std::mem::replace(&mut self.next, following)
    }

    fn accept(&mut self, kind: &Kind) -> bool {
        let is_there = self.next.kind == *kind;
        if is_there {
            self.take();
        }
        is_there
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let is_there = self.next.is(word);
        if is_there {
            self.take();
        }
        is_there
    }

    fn unexpected(&self, expected: &str, hint: Option<&str>) -> ParseError {
        let error = match self.next.kind {
            Kind::Unclosed => {
                return ParseError::new(self.next.at.clone(), "this quote is never closed")
                    .hint("close it with \"");
            }
            Kind::End => ParseError::new(self.next.at.clone(), format!("expected {expected}")),
            _ => {
                let found = &self.text[self.next.at.clone()];
                ParseError::new(
                    self.next.at.clone(),
                    format!("expected {expected}, found {found}"),
                )
            }
        };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn step(&mut self) -> Result<(), ParseError> {
        let Some(verb) = VERBS.iter().find(|verb| self.next.is(verb)) else {
            let hint = format!("steps are {}", VERBS.join(", "));
            return Err(self.unexpected("a step after |", Some(&hint)));
        };
        let at = self.take().at;
        let step = match *verb {
            "sort" => self.sort()?,
            "limit" => Step::Limit(self.count("limit")?),
            "fields" => {
                let headings = self.list(Parser::heading)?;
                self.columns = Some(headings.clone());
                Step::Fields(headings)
            }
            table => return self.table(table, at),
        };
        self.pipeline.steps.push(step);
        Ok(())
    }

    fn table(&mut self, verb: &str, at: Range<usize>) -> Result<(), ParseError> {
        if !self.pipeline.is_empty() {
            return Err(ParseError::new(at, format!("{verb} can only be the first step"))
                .hint("after it come sort, limit and fields"));
        }
        let mut table = Table {
            every: None,
            aggregates: vec![Aggregate::Count],
            by: Vec::new(),
        };
        let mut top = None;
        match verb {
            "top" => {
                let is_number = matches!(&self.next.kind, Kind::Bare(bare) if bare.starts_with(|c: char| c.is_ascii_digit()));
                top = Some(if is_number { self.count("top")? } else { TOP });
                table.by = self.list(Parser::column)?;
            }
            "timechart" => {
                table.every = Some(self.every()?);
                if !self.next.is("by") && !matches!(self.next.kind, Kind::Bar | Kind::End) {
                    table.aggregates = self.list(Parser::aggregate)?;
                }
            }
            "stats" => table.aggregates = self.list(Parser::aggregate)?,
            _ => self.no_arguments()?,
        }
        if top.is_none() && self.accept_word("by") {
            table.by = self.list(Parser::column)?;
        }
        self.columns = Some(table.headings());
        self.pipeline.table = Some(table);
        // What counts is in the order of its counts, so the top ones are the first ones.
        self.pipeline.steps.extend(top.map(Step::Limit));
        Ok(())
    }

    fn sort(&mut self) -> Result<Step, ParseError> {
        self.accept_word("by");
        let keys = self.list(|parser| {
            let heading = parser.heading()?;
            let descending = parser.accept_word("desc");
            if !descending {
                parser.accept_word("asc");
            }
            Ok(Key { heading, descending })
        })?;
        Ok(Step::Sort(keys))
    }

    /// Items with commas between them, each once.
    fn list<T: PartialEq>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let start = self.next.at.start;
        let mut items = Vec::new();
        loop {
            let found = item(self)?;
            if !items.contains(&found) {
                items.push(found);
            }
            if items.len() > LIST {
                return Err(ParseError::new(
                    start..self.next.at.start,
                    format!("at most {LIST} can be listed"),
                ));
            }
            if !self.accept(&Kind::Comma) {
                return Ok(items);
            }
        }
    }

    fn column(&mut self) -> Result<Column, ParseError> {
        if !self.next.is_name() {
            return Err(self.unexpected(
                "the name of a field",
                Some("names with other characters stand in quotes"),
            ));
        }
        let Word { kind, at } = self.take();
        match kind {
            Kind::Bare(name) | Kind::Quoted(name) if name.len() <= NAME_BYTES => Ok(Column::named(&name)),
            _ => Err(ParseError::new(
                at,
                format!("a field's name has at most {NAME_BYTES} bytes"),
            )),
        }
    }

    fn aggregate(&mut self) -> Result<Aggregate, ParseError> {
        match self.try_aggregate()? {
            Some(aggregate) => Ok(aggregate),
            None => Err(self.unexpected(
                "something to compute",
                Some("write count, or sum, avg, min, max, distinct, p50 … p99 and a field: avg latency_ms"),
            )),
        }
    }

    /// `count`, or a function and a field, with parentheses or without; `None` where none of these stands.
    fn try_aggregate(&mut self) -> Result<Option<Aggregate>, ParseError> {
        let Kind::Bare(name) = &self.next.kind else {
            return Ok(None);
        };
        let following = word(self.text, self.next.at.end);
        if is_count(name) {
            self.take();
            self.no_arguments()?;
            return Ok(Some(Aggregate::Count));
        }
        let Some(function) = Function::named(name) else {
            return Ok(None);
        };
        if following.kind != Kind::Open && !following.is_name() {
            return Ok(None);
        }
        self.take();
        let opened = self.accept(&Kind::Open);
        let at = self.next.at.clone();
        let column = self.column()?;
        if opened && !self.accept(&Kind::Close) {
            return Err(self.unexpected(")", None));
        }
        let makes_sense = match function {
            Function::Min | Function::Max | Function::Distinct => true,
            Function::Sum | Function::Avg | Function::Percentile(_) => matches!(column, Column::Field(_)),
        };
        if !makes_sense {
            return Err(
                ParseError::new(at, format!("{} has no {}", column.name(), function.name()))
                    .hint("min, max and distinct can be asked of it"),
            );
        }
        Ok(Some(Aggregate::Of(function, column)))
    }

    /// The parentheses of `count()`, if they are there.
    fn no_arguments(&mut self) -> Result<(), ParseError> {
        if self.accept(&Kind::Open) && !self.accept(&Kind::Close) {
            return Err(self.unexpected(")", None));
        }
        Ok(())
    }

    /// A column that the rows have at this place.
    fn heading(&mut self) -> Result<Heading, ParseError> {
        let at = self.next.at.start;
        let mut computed = None;
        if self.pipeline.table.is_some() {
            computed = self.try_aggregate()?;
        }
        let heading = match computed {
            Some(aggregate) => Heading::Aggregate(aggregate),
            None => Heading::Column(self.column()?),
        };
        match &self.columns {
            Some(columns) if !columns.contains(&heading) => {
                let names: Vec<_> = columns.iter().map(ToString::to_string).collect();
                let end = at + self.text[at..self.next.at.start].trim_end().len();
                Err(
                    ParseError::new(at..end, format!("there is no column {heading} here"))
                        .hint(format!("there is {}", names.join(", "))),
                )
            }
            _ => Ok(heading),
        }
    }

    fn count(&mut self, verb: &str) -> Result<usize, ParseError> {
        let number = match &self.next.kind {
            Kind::Bare(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (1..=ROWS).contains(number));
        let Some(number) = number else {
            let example = format!("for example {verb} 10");
            return Err(self.unexpected(&format!("a number from 1 to {ROWS}"), Some(&example)));
        };
        self.take();
        Ok(number)
    }

    fn every(&mut self) -> Result<Duration, ParseError> {
        let every = match &self.next.kind {
            Kind::Bare(text) => duration(text),
            _ => None,
        };
        let Some(every) = every.filter(|every| !every.is_zero()) else {
            return Err(self.unexpected(
                "a span of time",
                Some("for example timechart 1m count; units are ms, s, m, h, d and w"),
            ));
        };
        self.take();
        Ok(every)
    }
}

/// The units of a span of time, in milliseconds, largest first.
pub(super) const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A whole number and a unit, at most a hundred years.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (_, unit) = UNITS
        .iter()
        .find(|(unit, _)| unit.eq_ignore_ascii_case(&text[digits..]))?;
    let milliseconds = text[..digits].parse::<u64>().ok()?.checked_mul(*unit)?;
    (milliseconds <= 100 * 366 * 86_400_000).then(|| Duration::from_millis(milliseconds))
}
