//! What of a record a pipeline asks for by name.

use log_record::{LogRecord, Source};

use crate::query::ast::Field;
use crate::query::eval::Scratch;
use crate::query::fold::folds_to;
use crate::query::number::Number;

/// A record's time, its level, or one of its fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// When it happened; the record's own field of that name is `fields.time`.
    Time,
    /// Its severity.
    Level,
    /// Anything else.
    Field(Field),
}

impl Column {
    /// The column of that name.
    pub fn named(name: &str) -> Column {
        if folds_to(name, "time") {
            Column::Time
        } else if folds_to(name, "level") {
            Column::Level
        } else {
            Column::Field(Field::named(name))
        }
    }

    /// The name that [`Column::named`] reads back.
    pub fn name(&self) -> String {
        match self {
            Column::Time => "time".to_owned(),
            Column::Level => "level".to_owned(),
            Column::Field(field) => {
                let name = field.name();
                if folds_to(&name, "time") {
                    format!("fields.{name}")
                } else {
                    name
                }
            }
        }
    }

    /// Shows every value that the record has of this column, as [`Field::each_value`] does.
    pub fn each_value(
        &self,
        record: &LogRecord,
        source: &Source,
        scratch: &mut Scratch,
        see: &mut dyn FnMut(&str),
    ) {
        match self {
            Column::Time => see(&record.time.to_string()),
            Column::Level => see(record.level().as_str()),
            Column::Field(field) => field.each_value(record, source, scratch, see),
        }
    }

    /// What the record has of this column as one text, as [`Field::shown`] does.
    pub fn shown(&self, record: &LogRecord, source: &Source) -> Option<String> {
        match self {
            Column::Time => Some(record.time.to_string()),
            Column::Level => Some(record.level().to_string()),
            Column::Field(field) => field.shown(record, source),
        }
    }

    /// Shows every number that the record has of this column, texts that are numbers among them; the time in
    /// nanoseconds since 1970, the level as its place among the levels.
    pub fn each_number(&self, record: &LogRecord, source: &Source, see: &mut dyn FnMut(Number)) {
        match self {
            Column::Time => see(Number::Int(record.time.as_nanos().into())),
            Column::Level => see(Number::Int(record.level() as i128)),
            Column::Field(field) => field.each_number(record, source, see),
        }
    }
}
