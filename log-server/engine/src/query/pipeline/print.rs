//! The canonical form of a pipeline: what parses to the same steps again.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::query::lexer::bare_name;
use crate::query::print::write_text;

use super::parser::UNITS;
use super::words::is_reserved;
use super::{Aggregate, Column, Heading, Key, Pipeline, Step, Table};

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(table) = &self.table {
            write!(f, " | {table}")?;
        }
        for step in &self.steps {
            write!(f, " | {step}")?;
        }
        Ok(())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let only_counts = self.aggregates == [Aggregate::Count];
        match self.every {
            Some(every) => write!(f, "timechart {} ", Span(every))?,
            None if !only_counts => f.write_str("stats ")?,
            None => {}
        }
        write_list(&self.aggregates, f)?;
        if self.by.is_empty() {
            return Ok(());
        }
        f.write_str(" by ")?;
        write_list(&self.by, f)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Sort(keys) => {
                f.write_str("sort ")?;
                write_list(keys, f)
            }
            Step::Limit(most) => write!(f, "limit {most}"),
            Step::Fields(headings) => {
                f.write_str("fields ")?;
                write_list(headings, f)
            }
        }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.heading,
            if self.descending { " desc" } else { "" }
        )
    }
}

impl Display for Heading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Heading::Column(column) => column.fmt(f),
            Heading::Aggregate(aggregate) => aggregate.fmt(f),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Aggregate::Count => f.write_str("count"),
            Aggregate::Of(function, column) => write!(f, "{} {column}", function.name()),
        }
    }
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let bare = !name.is_empty() && bare_name(&name) == name.len() && !is_reserved(&name);
        write_text(&name, bare, f)
    }
}

struct Span(Duration);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let (unit, size) = UNITS
            .iter()
            .find(|(_, size)| milliseconds.is_multiple_of(u128::from(*size)))
            .expect("the last unit is a millisecond");
        write!(f, "{}{unit}", milliseconds / u128::from(*size))
    }
}

fn write_list<T: Display>(items: &[T], f: &mut Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
