//! Counting texts: those of one template that differ in one slot are told apart by it, and put together once each.

use std::collections::HashMap;

use super::super::bytes::Damaged;
use super::super::rows::Rows;
use super::body::Body;
use super::{HEX, INT, OTHER_TEXTS, Template, Text, WHOLE, WORD};

/// How texts of a template are told apart.
enum Counted {
    /// They are all the same: how many, and one of them.
    Same(Times),
    /// By the value of their only slot, an integer or a word.
    BySlot(u8, HashMap<i64, Times, foldhash::fast::RandomState>),
    /// Each is put together.
    Each,
}

/// How often a text was met, and one of its rows.
#[derive(Default)]
struct Times {
    count: u64,
    row: usize,
}

impl Times {
    fn add(&mut self, row: usize) {
        self.count += 1;
        self.row = row;
    }
}

impl Text<'_> {
    /// Shows the texts at `indexes`, and how many of them are the same. A text may be shown more than once.
    pub(in super::super) fn count(
        &mut self,
        indexes: &Rows,
        see: &mut dyn FnMut(&str, u64),
    ) -> Result<(), Damaged> {
        self.read_body()?;
        let Text {
            templates,
            arena,
            words,
            codes,
            body: Some(body),
            ..
        } = self
        else {
            unreachable!("it was read above");
        };
        let codes = codes.all(templates.len().saturating_sub(1))?;
        let mut counted: Vec<Counted> = templates.iter().map(|template| of(template, arena)).collect();
        let mut seen = vec![0; templates.len()];
        let mut text = String::new();
        let mut show = |body: &mut Body<'_>, code: usize, row: usize, count: u64| {
            text.clear();
            body.write(
                code,
                &templates[code],
                arena,
                row,
                |word| words.at(word),
                &mut text,
            )?;
            see(&text, count);
            Ok::<(), Damaged>(())
        };
        for (index, code) in codes.iter().enumerate() {
            let code = *code as usize;
            let row = seen[code];
            seen[code] += 1;
            if !indexes.holds(index) {
                continue;
            }
            if row >= templates[code].rows {
                return Err(OTHER_TEXTS);
            }
            match &mut counted[code] {
                Counted::Same(times) => times.add(row),
                Counted::BySlot(marker, times) => {
                    let value = if *marker == INT {
                        body.int(code, &templates[code], 0, row)?
                    } else {
                        body.word(code, &templates[code], 0, row)? as i64
                    };
                    times.entry(value).or_default().add(row);
                }
                Counted::Each => show(body, code, row, 1)?,
            }
        }
        for (code, counted) in counted.into_iter().enumerate() {
            let mut times: Vec<Times> = match counted {
                Counted::Same(times) => vec![times],
                Counted::BySlot(_, times) => times.into_values().collect(),
                Counted::Each => continue,
            };
            // Values that are near each other are decoded together.
            times.sort_unstable_by_key(|times| times.row);
            for Times { count, row } in times.into_iter().filter(|times| times.count > 0) {
                show(body, code, row, count)?;
            }
        }
        Ok(())
    }
}

fn of(template: &Template, arena: &str) -> Counted {
    let text = arena[template.start..template.end].bytes();
    let mut slots = text.filter(|byte| matches!(byte, INT..=WHOLE));
    match (slots.next(), slots.next()) {
        (None, _) => Counted::Same(Times::default()),
        (Some(marker @ (INT | WORD | WHOLE)), None) => Counted::BySlot(marker, HashMap::default()),
        (Some(HEX), None) | (Some(_), _) => Counted::Each,
    }
}
