//! Which rows of a block have a field of which some value passes.

use log_record::{LogRecord, Source, Value};

use super::bytes::{Damaged, damaged};
use super::head::{FieldKey, Owner, Shape, Type};
use super::packed;
use super::probe::probe;
use super::read::{Block, Numbers, field_column};
use super::rows::Rows;
use crate::query::{Field, Name, Needle, Scratch, Test, any_inside, is_in_value, strip_name};

impl Block<'_> {
    /// The rows that have the needle in a value of that field.
    pub(super) fn in_field(
        &mut self,
        number: usize,
        field: FieldKey<'_>,
        needle: &Needle,
    ) -> Result<Rows, Damaged> {
        if !self.may_hold(number, field, needle)? {
            return Ok(Rows::none(self.rows()));
        }
        let mut scratch = Scratch::default();
        let mut holds = |value: &Value| is_in_value(needle, value, &mut scratch);
        let per_shape = self.per_shape_of(number);
        match field.type_ {
            Type::Text => self.containing(field_column(number), needle.folded(), &per_shape),
            Type::Json => self.json_where(number, &per_shape, &mut holds),
            Type::Null | Type::Bool | Type::Int | Type::UInt | Type::Float => {
                self.numbers_where(number, &per_shape, holds)
            }
        }
    }

    /// Whether some value of the field may have the needle. Most fields cannot, and are told by that alone.
    pub(super) fn may_hold(
        &mut self,
        number: usize,
        field: FieldKey<'_>,
        needle: &Needle,
    ) -> Result<bool, Damaged> {
        let mut scratch = Scratch::default();
        let mut holds = |value: &Value| is_in_value(needle, value, &mut scratch);
        Ok(match field.type_ {
            Type::Text => self
                .filter()?
                .may_contain(field_column(number), needle.folded())?,
            Type::Json => true,
            Type::Null => holds(&Value::Null),
            Type::Bool => holds(&Value::Bool(false)) || holds(&Value::Bool(true)),
            Type::Int | Type::UInt | Type::Float => needle.may_be_in_number(),
        })
    }

    /// Fields of records or of spans. A column whose name is the beginning of the path may have the rest inside.
    pub(super) fn own_where(
        &mut self,
        owner: Owner,
        name: &Name,
        field: &Field,
        test: &Test,
    ) -> Result<Rows, Damaged> {
        let mut rows = Rows::none(self.rows());
        for (number, known) in self.fields_of(owner) {
            let per_shape = self.per_shape_of(number);
            match strip_name(&name.0, known.name) {
                Some("") => rows.unite(&self.field_where(number, known.type_, test, &per_shape)?),
                Some(rest) if known.type_ == Type::Json => {
                    let Some(rest) = rest.strip_prefix('.') else {
                        continue;
                    };
                    let mut scratch = Scratch::default();
                    let mut passes =
                        |value: &Value| any_inside(rest, value, &mut |value| test.value(value, &mut scratch));
                    rows.unite(&self.json_where(number, &per_shape, &mut passes)?);
                }
                Some(_) | None => {}
            }
        }
        let mut scratch = Scratch::default();
        rows.unite(
            &self.packed_where(|record| field.passes(test, record, &Source::default(), &mut scratch))?,
        );
        Ok(rows)
    }

    fn field_where(
        &mut self,
        number: usize,
        type_: Type,
        test: &Test,
        per_shape: &[usize],
    ) -> Result<Rows, Damaged> {
        let mut scratch = Scratch::default();
        if matches!(test, Test::Present) {
            return self.rows_where_shape_index(|shape| per_shape[shape] > 0);
        }
        match type_ {
            Type::Text => self.field_text_where(number, test, per_shape),
            Type::Json => self.json_where(number, per_shape, &mut |value| test.value(value, &mut scratch)),
            Type::Int | Type::UInt | Type::Float if !test_may_pass_number(test) => {
                Ok(Rows::none(self.rows()))
            }
            Type::Null | Type::Bool | Type::Int | Type::UInt | Type::Float => {
                self.numbers_where(number, per_shape, |value| test.value(value, &mut scratch))
            }
        }
    }

    fn field_text_where(&mut self, number: usize, test: &Test, per_shape: &[usize]) -> Result<Rows, Damaged> {
        let column = field_column(number);
        let hint = test.hint();
        if let Some(hint) = hint
            && !self.filter()?.may_contain(column, hint)?
        {
            return Ok(Rows::none(self.rows()));
        }
        let texts = self.texts(column)?;
        let mut folded = String::new();
        let values = match test {
            Test::Compare(..) | Test::Range(..) => {
                texts.numbers_passing(&mut |text| test.text(text, &mut folded))?
            }
            Test::Present | Test::Is(_) | Test::Matches(_) => {
                texts.passing(hint, &mut |text| test.text(text, &mut folded))?
            }
        };
        self.rows_with(&values, per_shape)
    }

    /// The rows of which some value of a field passes that is neither text nor JSON.
    fn numbers_where(
        &mut self,
        number: usize,
        per_shape: &[usize],
        mut passes: impl FnMut(&Value) -> bool,
    ) -> Result<Rows, Damaged> {
        // Of few values each is looked at once.
        let few = match self.head.fields[number].type_ {
            Type::Null => Some([passes(&Value::Null); 2]),
            Type::Bool => Some([false, true].map(|value| passes(&Value::Bool(value)))),
            _ => None,
        };
        match few {
            Some([false, false]) => return Ok(Rows::none(self.rows())),
            Some([true, true]) => return self.rows_where_shape_index(|shape| per_shape[shape] > 0),
            Some(_) | None => {}
        }
        let mut each = |values: Vec<i64>, value: fn(i64) -> Value| {
            Rows::where_true(values.len(), |index| passes(&value(values[index])))
        };
        let values = match self.numbers(number)? {
            Numbers::Nulls => unreachable!("all of them pass, or none"),
            Numbers::Bools(values) => {
                let values = values.all()?;
                let passing = few.is_some_and(|[_, yes]| yes);
                Rows::where_true(values.len(), |index| (values[index] != 0) == passing)
            }
            Numbers::Ints(values) => each(values.all()?, Value::Int),
            Numbers::UInts(values) => each(values.all()?, |value| Value::UInt(value as u64)),
            Numbers::Floats(values) => {
                let values = values.all()?;
                Rows::where_true(values.len(), |index| passes(&Value::Float(values[index])))
            }
        };
        self.rows_with(&values, per_shape)
    }

    fn json_where(
        &mut self,
        number: usize,
        per_shape: &[usize],
        passes: &mut dyn FnMut(&Value) -> bool,
    ) -> Result<Rows, Damaged> {
        let mut all_json = true;
        let values = self.texts(field_column(number))?.passing(None, &mut |text| {
            Value::from_json(text).map_or_else(
                || {
                    all_json = false;
                    false
                },
                |value| passes(&value),
            )
        })?;
        if !all_json {
            return Err(damaged("a value is not JSON"));
        }
        self.rows_with(&values, per_shape)
    }

    /// The rows that were packed and whose fields and spans pass.
    pub(super) fn packed_where(
        &mut self,
        mut passes: impl FnMut(&LogRecord) -> bool,
    ) -> Result<Rows, Damaged> {
        let Some((number, _)) = self.fields_of(Owner::Packed).pop() else {
            return Ok(Rows::none(self.rows()));
        };
        let per_shape = self.per_shape_of(number);
        let mut unreadable = None;
        let mut record = probe();
        let values =
            self.texts(field_column(number))?
                .passing(None, &mut |text| match packed::read(text) {
                    Ok((fields, spans)) => {
                        (record.fields, record.spans) = (fields, spans);
                        passes(&record)
                    }
                    Err(error) => {
                        unreadable = Some(error);
                        false
                    }
                })?;
        match unreadable {
            None => self.rows_with(&values, &per_shape),
            Some(error) => Err(error),
        }
    }

    /// How many values of a field the rows of each shape have.
    pub(super) fn per_shape_of(&self, field: usize) -> Vec<usize> {
        self.per_shape(|shape: &Shape<'_>| shape.columns().filter(|column| *column as usize == field).count())
    }

    fn rows_where_shape_index(&mut self, mut passes: impl FnMut(usize) -> bool) -> Result<Rows, Damaged> {
        let mut index = 0;
        self.rows_where_shape(|_| {
            index += 1;
            passes(index - 1)
        })
    }
}

/// Whether a number can pass at all, whichever it is.
fn test_may_pass_number(test: &Test) -> bool {
    match test {
        Test::Is(pattern) => {
            pattern.number().is_some() || pattern.pieces().iter().all(Needle::may_be_in_number)
        }
        Test::Present | Test::Compare(..) | Test::Range(..) | Test::Matches(_) => true,
    }
}
