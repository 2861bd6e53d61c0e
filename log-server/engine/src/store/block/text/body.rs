//! What fills the slots of texts, and putting a text together.

use std::borrow::Cow;

use super::super::bytes::{Damaged, Reader, Section, damaged};
use super::super::integers::Integers;
use super::rare::Rare;
use super::{HEX, INT, MOST, Template, WHOLE, WORD};

const MISSING: Damaged = damaged("the slots of texts are missing");

/// The slots of all texts.
pub(super) struct Body<'a> {
    rare: Rare<'a>,
    hex: Hex<'a>,
    words: Integers<'a>,
    columns: Vec<Column<'a>>,
    /// Where the slots of each template begin.
    starts: Vec<Start>,
    /// Of templates that were looked at.
    slots: Vec<Option<Slots>>,
    word_count: usize,
}

/// The hexadecimal digits of all texts, two a byte.
struct Hex<'a> {
    section: Section<'a>,
    opened: Option<Cow<'a, [u8]>>,
}

/// Where the slots of a template are in it, and what fills them.
type Slots = Box<[(usize, u8)]>;

/// Digits that stand in one place of a template's texts.
pub(super) struct HexSlot<'b> {
    /// From those of the first text on.
    bytes: &'b [u8],
    /// From one text to the next.
    stride: usize,
    /// How many digits.
    pub(super) length: usize,
}

impl HexSlot<'_> {
    /// Those of text `row`, two a byte.
    pub(super) fn digits(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.stride..][..self.length.div_ceil(2)]
    }
}

/// An integer slot of a template with many rows.
enum Column<'a> {
    Unread(Reader<'a>),
    Read(Integers<'a>),
}

/// Indexes into the parts of a body.
#[derive(Clone, Copy, Default)]
struct Start {
    rare: usize,
    hex: usize,
    words: usize,
    columns: usize,
}

impl<'a> Body<'a> {
    pub(super) fn read(
        mut reader: Reader<'a>,
        templates: &[Template],
        word_count: usize,
    ) -> Result<Body<'a>, Damaged> {
        let mut end = Start::default();
        let starts = templates
            .iter()
            .map(|template| {
                let start = end;
                if template.has_columns() {
                    end.columns += template.ints;
                } else {
                    end.rare += template.ints * template.rows;
                }
                end.hex += template.hex_bytes() * template.rows;
                end.words += template.words * template.rows;
                start
            })
            .collect();
        let rare = Rare::new(end.rare, reader.section()?);
        let hex = Hex {
            section: reader.section()?,
            opened: None,
        };
        let words = Integers::read(&mut reader)?;
        if hex.section.length() != end.hex || words.length() != end.words {
            return Err(MISSING);
        }
        let section = reader.section()?.open()?;
        let mut lengths = Reader::new(&section);
        let mut columns = Vec::with_capacity(end.columns);
        for template in templates.iter().filter(|template| template.has_columns()) {
            for _ in 0..template.ints {
                columns.push(Column::Unread(reader.part(lengths.count(MOST)?)?));
            }
        }
        Ok(Body {
            rare,
            hex,
            words,
            columns,
            starts,
            slots: vec![None; templates.len()],
            word_count,
        })
    }

    /// Appends the text that is number `row` of template `code`.
    pub(super) fn write<'w>(
        &mut self,
        code: usize,
        template: &Template,
        arena: &str,
        row: usize,
        word: impl Fn(usize) -> &'w str,
        out: &mut String,
    ) -> Result<(), Damaged> {
        let text = &arena[template.start..template.end];
        let (mut int, mut hex, mut words) = (0, 0, 0);
        let mut literal = 0;
        let slots = self.slots[code].take().unwrap_or_else(|| slots(text));
        for (at, marker) in slots.iter().copied() {
            out.push_str(&text[literal..at]);
            literal = at + 1;
            match marker {
                INT => {
                    let number = self.int(code, template, int, row)?;
                    write_int(number, out);
                    int += 1;
                }
                HEX => {
                    let start = self.starts[code].hex + template.hex_bytes() * row + template.hex_before(hex);
                    let length = template.hex[hex].into();
                    write_hex(self.hex.some(start, length)?, length, out);
                    hex += 1;
                }
                WORD | WHOLE => {
                    out.push_str(word(self.word(code, template, words, row)?));
                    words += 1;
                }
                _ => unreachable!("no other marker lies between them"),
            }
        }
        out.push_str(&text[literal..]);
        self.slots[code] = Some(slots);
        Ok(())
    }

    /// The integer in slot `slot` of text `row` of a template.
    pub(super) fn int(
        &mut self,
        code: usize,
        template: &Template,
        slot: usize,
        row: usize,
    ) -> Result<i64, Damaged> {
        let start = self.starts[code];
        if template.has_columns() {
            self.columns[start.columns + slot].read(template.rows)?.at(row)
        } else {
            self.rare.at(start.rare + row * template.ints + slot)
        }
    }

    /// The hexadecimal slot `slot` of a template's texts.
    pub(super) fn hex_slot(
        &mut self,
        code: usize,
        template: &Template,
        slot: usize,
    ) -> Result<HexSlot<'_>, Damaged> {
        let start = self.starts[code].hex + template.hex_before(slot);
        Ok(HexSlot {
            // Of a template without texts, nothing need be there.
            bytes: self.hex.all()?.get(start..).unwrap_or_default(),
            stride: template.hex_bytes(),
            length: template.hex[slot].into(),
        })
    }

    /// The word in slot `slot` of text `row` of a template.
    pub(super) fn word(
        &mut self,
        code: usize,
        template: &Template,
        slot: usize,
        row: usize,
    ) -> Result<usize, Damaged> {
        let index = self.starts[code].words + slot * template.rows + row;
        usize::try_from(self.words.at(index)?)
            .ok()
            .filter(|word| *word < self.word_count)
            .ok_or(damaged("a slot names a word that is not there"))
    }
}

impl Hex<'_> {
    fn all(&mut self) -> Result<&[u8], Damaged> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.section.open()?,
        };
        Ok(self.opened.insert(opened))
    }

    /// From `start` on, those of so many digits.
    fn some(&mut self, start: usize, digits: usize) -> Result<&[u8], Damaged> {
        let range = start..start + digits.div_ceil(2);
        if self.opened.is_none()
            && let Some(bytes) = self.section.some(range.clone())?
        {
            return Ok(bytes);
        }
        self.all()?.get(range).ok_or(MISSING)
    }
}

impl<'a> Column<'a> {
    fn read(&mut self, rows: usize) -> Result<&mut Integers<'a>, Damaged> {
        if let Column::Unread(reader) = self {
            let column = Integers::read(reader)?;
            if column.length() != rows {
                return Err(damaged("an integer slot has other texts than its template"));
            }
            *self = Column::Read(column);
        }
        match self {
            Column::Read(column) => Ok(column),
            Column::Unread(_) => unreachable!("it was read above"),
        }
    }
}

fn slots(template: &str) -> Slots {
    let bytes = template.bytes().enumerate();
    bytes.filter(|(_, byte)| matches!(byte, INT..=WHOLE)).collect()
}

fn write_int(number: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

pub(super) fn write_hex(digits: &[u8], length: usize, out: &mut String) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for index in 0..length {
        let pair = digits[index / 2];
        let digit = if index % 2 == 0 { pair >> 4 } else { pair & 15 };
        out.push(char::from(DIGITS[usize::from(digit)]));
    }
}
