//! One value of a table, and how values are ordered and shown.

use std::cmp::Ordering;

use log_record::{Level, Timestamp};
use serde::ser::{Serialize, Serializer};

use crate::query::{Aggregate, Column, Function, Heading, Number};

/// Integers beyond this size are not the same in JavaScript.
const SAFE: u128 = 1 << 53;

/// A value in a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// There is none.
    Nothing,
    /// A text, or a number as JSON writes it.
    Text(String),
    /// A number that was computed.
    Number(Number),
    /// A moment.
    Time(Timestamp),
    /// A severity.
    Level(Level),
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Texts.
    Text,
    /// Numbers.
    Number,
    /// Moments, as RFC 3339.
    Time,
    /// Levels, by their names.
    Level,
}

impl Cell {
    /// A number as a person writes it: without a fraction if it has none.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    pub(super) fn float(number: f64) -> Cell {
        if number.fract() == 0.0 && number.abs() < 1e15 {
            Cell::Number(Number::Int(number as i128))
        } else if number.is_finite() {
            Cell::Number(Number::Float(number))
        } else {
            Cell::Nothing
        }
    }

    /// A value of `column`, from its text.
    pub(super) fn of(column: &Column, text: Option<String>) -> Cell {
        let Some(text) = text else {
            return Cell::Nothing;
        };
        match column {
            Column::Time => text.parse().map_or(Cell::Text(text), Cell::Time),
            Column::Level => text.parse().map_or(Cell::Text(text), Cell::Level),
            Column::Field(_) => Cell::Text(text),
        }
    }

    /// A value of `column`, from its number.
    pub(super) fn numbered(column: &Column, number: Number) -> Cell {
        match (column, number) {
            (Column::Time, Number::Int(nanos)) => {
                i64::try_from(nanos).map_or(Cell::Nothing, |nanos| Cell::Time(Timestamp::from_nanos(nanos)))
            }
            (Column::Level, Number::Int(place)) => {
                let level = usize::try_from(place)
                    .ok()
                    .and_then(|place| Level::ALL.get(place));
                level.copied().map_or(Cell::Nothing, Cell::Level)
            }
            (Column::Field(_), Number::Int(_)) => Cell::Number(number),
            (Column::Time | Column::Level | Column::Field(_), Number::Float(float)) => Cell::float(float),
        }
    }

    /// As text; nothing is empty.
    pub fn text(&self) -> String {
        match self {
            Cell::Nothing => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string(),
            Cell::Time(time) => time.to_string(),
            Cell::Level(level) => level.to_string(),
        }
    }

    /// Whether it holds what somebody wrote, rather than what was computed.
    pub(in crate::search) fn is_text(&self) -> bool {
        match self {
            Cell::Text(_) => true,
            Cell::Nothing | Cell::Number(_) | Cell::Time(_) | Cell::Level(_) => false,
        }
    }

    /// By what it is sorted.
    pub(super) fn rank(&self) -> Rank {
        match self {
            Cell::Nothing => Rank::Nothing,
            Cell::Text(text) => match Number::parse(text) {
                Some(number) => Rank::Number(number, text.clone()),
                None => Rank::Text(text.clone()),
            },
            Cell::Number(number) => Rank::Number(*number, String::new()),
            Cell::Time(time) => Rank::Number(Number::Int(time.as_nanos().into()), String::new()),
            Cell::Level(level) => Rank::Number(Number::Int(*level as i128), String::new()),
        }
    }

    /// Whether a program can take it for a number without changing it.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Cell::Number(_) => true,
            Cell::Text(text) => Number::parse(text).is_some_and(|number| {
                let is_safe = !matches!(number, Number::Int(int) if int.unsigned_abs() > SAFE);
                is_safe && number.to_string() == *text
            }),
            Cell::Nothing | Cell::Time(_) | Cell::Level(_) => false,
        }
    }
}

/// Numbers by size, before texts by their letters, before nothing. What is written differently never ranks the same, or
/// rows of `42` and `42.0` would come as they happen to be found.
#[derive(Debug, Clone)]
pub(super) enum Rank {
    /// With how it was written, where that is known.
    Number(Number, String),
    Text(String),
    Nothing,
}

impl Rank {
    /// The order in which they are shown; what there is not comes last either way.
    pub(super) fn order(&self, other: &Rank, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Rank::Nothing, Rank::Nothing) => return Ordering::Equal,
            (Rank::Nothing, _) => return Ordering::Greater,
            (_, Rank::Nothing) => return Ordering::Less,
            (Rank::Number(one, as_one), Rank::Number(other, as_other)) => {
                one.order(*other).then_with(|| as_one.cmp(as_other))
            }
            (Rank::Text(one), Rank::Text(other)) => one.cmp(other),
            (Rank::Number(..), Rank::Text(_)) => Ordering::Less,
            (Rank::Text(_), Rank::Number(..)) => Ordering::Greater,
        };
        if descending { order.reverse() } else { order }
    }
}

impl Kind {
    /// What the column `heading` has, whose values are `cells`.
    pub(super) fn of<'a>(heading: &Heading, cells: impl Iterator<Item = &'a Cell>) -> Kind {
        let column = match heading {
            Heading::Aggregate(Aggregate::Of(Function::Min | Function::Max, column)) => column,
            Heading::Aggregate(_) => return Kind::Number,
            Heading::Column(column) => column,
        };
        match column {
            Column::Time => Kind::Time,
            Column::Level => Kind::Level,
            Column::Field(_) => {
                let mut given = cells.filter(|cell| **cell != Cell::Nothing).peekable();
                if given.peek().is_some() && given.all(Cell::is_number) {
                    Kind::Number
                } else {
                    Kind::Text
                }
            }
        }
    }
}

/// A cell of a column of that kind, as JSON.
pub(super) struct ShownCell<'a>(pub(super) &'a Cell, pub(super) Kind);

impl Serialize for ShownCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = match (self.0, self.1) {
            (Cell::Nothing, _) => return serializer.serialize_unit(),
            (Cell::Number(number), _) => Some(*number),
            (Cell::Text(text), Kind::Number) => Number::parse(text),
            (Cell::Text(_) | Cell::Time(_) | Cell::Level(_), _) => None,
        };
        match number {
            Some(Number::Int(number)) => match i64::try_from(number) {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.serialize_i128(number),
            },
            Some(Number::Float(number)) => serializer.serialize_f64(number),
            None => serializer.serialize_str(&self.0.text()),
        }
    }
}
