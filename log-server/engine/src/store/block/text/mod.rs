//! Texts by template: see `template` for how a text is cut.
//!
//! Format of the head: a section with the number of templates, the templates (each ended by a zero), the number of
//! rows of each, the lengths of their hexadecimal slots, and, where the kind says so, the first text of each, less one more
//! than that of the template before · a section with the number of words, their lengths, and the
//! words (each ended by a zero) · the template of each text, as codes.
//! Format of the body, in which everything stands template by template: a section with the integers of templates that
//! have fewer than [`COLUMN_LEAST`] rows, row by row · a section with the hexadecimal digits, row by row · the words,
//! slot by slot, as integers · a section with the length of each further column · a column of integers for each
//! integer slot of the other templates.

mod template;
mod encode;
mod body;
mod rare;
mod folded;
mod laying;
mod find;
mod count;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::bytes::{Damaged, Reader, Section, damaged, text};
use super::codes::Codes;
use super::loaded::Loaded;
use body::Body;
use encode::COLUMN_LEAST;
use folded::Folded;
use template::{END, HEX, INT, WHOLE, WORD};

pub(super) use encode::TextWriter;
pub(super) use find::Found;
pub(super) use template::INT_DIGITS;

/// More texts, or words in them, than any column has.
const MOST: usize = 1 << 28;
/// Before each of so few texts those of its template are counted, which is faster than counting those of all templates.
const FEW: usize = 8;

const OTHER_TEXTS: Damaged = damaged("a template has other texts than it says");

/// How a head is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kind {
    /// The template of each text is told as a rank.
    pub(super) ranked: bool,
    /// It says which is the first text of each template.
    pub(super) firsts: bool,
}

/// Texts, decoded as far as they are read.
pub(super) struct Text<'a> {
    templates: Vec<Template>,
    firsts: Firsts,
    /// The templates, each ended by [`END`].
    arena: String,
    words: Words<'a>,
    /// The template of each text.
    codes: Codes<'a>,
    loaded: &'a Loaded<'a>,
    /// The column that holds the body.
    body_number: u32,
    body: Option<Body<'a>>,
    /// The arena without case, and where each template ends in it.
    folded: Option<Folded>,
}

/// The first text of each template, rising; none if that is not told. Most searches need not know.
enum Firsts {
    Unread(Vec<u8>),
    Read(Vec<usize>),
}

/// What is known of a template. Its text is `arena[start..end]`.
struct Template {
    start: usize,
    end: usize,
    /// How many texts it has.
    rows: usize,
    ints: usize,
    words: usize,
    /// Lengths of its hexadecimal slots.
    hex: SmallVec<[u8; 16]>,
}

impl Template {
    /// Bytes that the hexadecimal digits of one text take.
    fn hex_bytes(&self) -> usize {
        self.hex_before(self.hex.len())
    }

    /// Bytes of these that are before those of slot `slot`.
    fn hex_before(&self, slot: usize) -> usize {
        let before = self.hex[..slot].iter();
        before.map(|length| usize::from(length.div_ceil(2))).sum()
    }

    /// Whether its integers are columns.
    fn has_columns(&self) -> bool {
        self.rows >= COLUMN_LEAST as usize
    }
}

/// What fills the slots that are neither integer nor hexadecimal.
enum Words<'a> {
    Unread(Section<'a>),
    Read {
        arena: String,
        ends: Vec<usize>,
        /// The same without case, if it was asked for.
        folded: OnceCell<Folded>,
    },
}

impl Words<'_> {
    /// The word of that number; they have been read.
    fn at(&self, number: usize) -> &str {
        let Words::Read { arena, ends, .. } = self else {
            unreachable!("who asks has read them");
        };
        let start = number.checked_sub(1).map_or(0, |before| ends[before] + 1);
        &arena[start..ends[number]]
    }
}

impl<'a> Text<'a> {
    /// Reads the head; `body_number` is the column with the body.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        loaded: &'a Loaded<'a>,
        body_number: u32,
        kind: Kind,
    ) -> Result<Text<'a>, Damaged> {
        let section = reader.section()?.open()?;
        let (arena, templates, behind) = read_templates(Reader::new(&section))?;
        let firsts = if kind.firsts { behind.to_vec() } else { Vec::new() };
        let words = Words::Unread(reader.section()?);
        let codes = if kind.ranked {
            Codes::read_ranked(reader, loaded)?
        } else {
            Codes::read(reader)?
        };
        if codes.length() != templates.iter().map(|template| template.rows).sum::<usize>() {
            return Err(damaged("the templates have other texts than the column"));
        }
        Ok(Text {
            templates,
            firsts: Firsts::Unread(firsts),
            arena,
            words,
            codes,
            loaded,
            body_number,
            body: None,
            folded: None,
        })
    }

    /// How many texts there are.
    pub(super) fn length(&self) -> usize {
        self.codes.length()
    }

    /// Shows the texts at `indexes`, which rise.
    pub(super) fn each(
        &mut self,
        indexes: impl IntoIterator<Item = usize>,
        mut see: impl FnMut(usize, &str),
    ) -> Result<(), Damaged> {
        // Of one template, the texts stand in order.
        let many = self.templates.len() > 1;
        self.read_body()?;
        let length = self.length();
        let Text {
            templates,
            firsts,
            arena,
            words,
            codes,
            body,
            ..
        } = self;
        let body = body.as_mut().expect("it was read above");
        let mut seen = vec![0_usize; templates.len()];
        let mut text = String::new();
        let mut at = 0;
        let indexes = indexes.into_iter();
        let are_few = indexes.size_hint().1.is_some_and(|most| most <= FEW);
        let firsts = if are_few {
            firsts.read(templates.len(), length)?
        } else {
            &[]
        };
        for index in indexes {
            if index >= length {
                return Err(damaged("a column has too few texts"));
            }
            let mut code = 0;
            if let Ok(template) = firsts.binary_search(&index) {
                (code, seen[template]) = (template, 0);
            } else if many {
                let codes = codes.first(index + 1, templates.len() - 1)?;
                code = codes[index] as usize;
                if are_few {
                    let before = codes[..index].iter().filter(|known| **known as usize == code);
                    seen[code] = before.count();
                } else {
                    for code in &codes[at..index] {
                        seen[*code as usize] += 1;
                    }
                    at = index;
                }
            } else {
                seen[code] = index;
            }
            if seen[code] >= templates[code].rows {
                return Err(OTHER_TEXTS);
            }
            text.clear();
            let word = |number: usize| words.at(number);
            body.write(code, &templates[code], arena, seen[code], word, &mut text)?;
            see(index, &text);
        }
        Ok(())
    }

    fn read_words(&mut self) -> Result<(), Damaged> {
        if let Words::Unread(section) = &self.words {
            self.words = read_words(*section)?;
        }
        Ok(())
    }

    fn read_body(&mut self) -> Result<(), Damaged> {
        self.read_words()?;
        if self.body.is_none() {
            let Words::Read { ends, .. } = &self.words else {
                unreachable!("they were read above");
            };
            let reader = self.loaded.column(self.body_number)?;
            self.body = Some(Body::read(reader, &self.templates, ends.len())?);
        }
        Ok(())
    }
}

/// The templates, and the bytes behind them.
fn read_templates(mut reader: Reader<'_>) -> Result<(String, Vec<Template>, &[u8]), Damaged> {
    let count = reader.count(MOST)?;
    let arena = reader.text()?.to_owned();
    let mut templates = Vec::with_capacity(count.min(arena.len()));
    let mut hexes = Vec::with_capacity(templates.capacity());
    let (mut start, mut ints, mut words, mut hex) = (0, 0, 0, 0);
    for (end, byte) in markers(arena.as_bytes()) {
        match byte {
            END => {
                templates.push(Template {
                    start,
                    end,
                    rows: 0,
                    ints: std::mem::take(&mut ints),
                    words: std::mem::take(&mut words),
                    hex: SmallVec::new(),
                });
                hexes.push(std::mem::take(&mut hex));
                start = end + 1;
            }
            INT => ints += 1,
            HEX => hex += 1,
            WORD | WHOLE => words += 1,
            _ => {}
        }
    }
    if templates.len() != count || start != arena.len() {
        return Err(damaged("there are other templates than it says"));
    }
    for template in &mut templates {
        template.rows = reader.count(MOST)?;
    }
    for (template, hex) in templates.iter_mut().zip(hexes) {
        template.hex = reader.take(hex)?.into();
    }
    Ok((arena, templates, reader.rest()?))
}

impl Firsts {
    /// Those of so many templates, which have so many texts.
    fn read(&mut self, templates: usize, texts: usize) -> Result<&[usize], Damaged> {
        if let Firsts::Unread(bytes) = self {
            let mut reader = Reader::new(bytes);
            let mut after = 0;
            let first = |_| {
                let first = after + reader.count(texts)?;
                after = first + 1;
                Some(first).filter(|first| *first < texts).ok_or(OTHER_TEXTS)
            };
            let told = if bytes.is_empty() { 0 } else { templates };
            *self = Firsts::Read((0..told).map(first).collect::<Result<_, _>>()?);
        }
        match self {
            Firsts::Read(firsts) => Ok(firsts),
            Firsts::Unread(_) => unreachable!("they were read above"),
        }
    }
}

/// The bytes that mean something, up to [`WHOLE`], and where they are: eight are looked at at once, for most are none.
fn markers(bytes: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = 0x80 * ONES;
    const BEYOND: u64 = (WHOLE as u64 + 1) * ONES;
    let (eights, rest) = bytes.as_chunks::<8>();
    let found = eights.iter().enumerate().flat_map(move |(index, chunk)| {
        let eight = u64::from_le_bytes(*chunk);
        // With its highest bit set, no byte borrows from the next; that bit remains where the other seven are beyond.
        let mut found = !((eight | HIGH).wrapping_sub(BEYOND) | eight) & HIGH;
        std::iter::from_fn(move || {
            let place = found.trailing_zeros() as usize / 8;
            found &= found.wrapping_sub(1);
            chunk.get(place).map(|byte| (8 * index + place, *byte))
        })
    });
    let behind = 8 * eights.len();
    let rest = rest.iter().enumerate().filter(|(_, byte)| **byte <= WHOLE);
    found.chain(rest.map(move |(place, byte)| (behind + place, *byte)))
}

fn read_words<'a>(section: Section<'_>) -> Result<Words<'a>, Damaged> {
    let bytes = section.open()?;
    let mut reader = Reader::new(&bytes);
    let count = reader.count(MOST)?;
    let mut ends = Vec::with_capacity(count.min(bytes.len()));
    let mut end = 0;
    for _ in 0..count {
        end += reader.count(MOST)?;
        ends.push(end);
        end += 1;
    }
    let arena = text(reader.rest()?)?.to_owned();
    let ended = |end: &usize| arena.as_bytes().get(*end) == Some(&END);
    if arena.len() != end || !ends.iter().all(ended) {
        return Err(damaged("there are other words than it says"));
    }
    let folded = OnceCell::new();
    Ok(Words::Read { arena, ends, folded })
}
