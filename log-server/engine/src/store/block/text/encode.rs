//! Writing texts by template. The format is in [`Text`](super::Text).

use super::super::bytes::{put_bytes, put_number, put_prose_section, put_section, put_text_section};
use super::super::filter::Terms;
use super::super::{codes, integers};
use super::Kind;
use super::template::{self, END, Slot};

/// From so many rows on, each slot of a template is a column of its own; below that, what belongs to one value stands
/// together with everything else that is rare.
pub(super) const COLUMN_LEAST: u32 = 64;

type Map<K> = std::collections::HashMap<K, u32, foldhash::fast::RandomState>;

/// Texts on their way into a column.
#[derive(Default)]
pub(in super::super) struct TextWriter<'t> {
    /// By template, with the lengths of its hexadecimal slots behind [`END`].
    known: Map<Box<[u8]>>,
    templates: Vec<Template>,
    codes: Vec<u32>,
    known_words: Map<&'t str>,
    words: Vec<&'t str>,
}

/// A column of texts as it is written.
pub(in super::super) struct Written {
    pub(in super::super) head: Vec<u8>,
    pub(in super::super) body: Vec<u8>,
    pub(in super::super) kind: Kind,
}

struct Template {
    key: Box<[u8]>,
    /// How much of the key is the template.
    length: usize,
    /// Its first text.
    first: u32,
    rows: u32,
    /// Row by row.
    ints: Vec<i64>,
    hex: Vec<u8>,
    words: Vec<u32>,
}

/// The slots of the text that is being added.
#[derive(Default)]
struct Slots {
    ints: Vec<i64>,
    hex: Vec<u8>,
    words: Vec<u32>,
    hex_lengths: Vec<u8>,
}

impl<'t> TextWriter<'t> {
    /// Writes `texts`; `callsites` are those of the texts, if every row has one text.
    pub(in super::super) fn write(
        texts: &[&'t str],
        callsites: Option<&[u32]>,
        terms: &mut Terms,
    ) -> Written {
        let mut writer = TextWriter::default();
        let (mut key, mut slots) = (Vec::new(), Slots::default());
        for text in texts {
            writer.add(text, &mut key, &mut slots);
        }
        writer.show(terms);
        let mut head = writer.head();
        Written {
            kind: Kind {
                ranked: codes::put(&mut head, &writer.codes, callsites),
                firsts: true,
            },
            head,
            body: writer.body(),
        }
    }

    fn add(&mut self, text: &'t str, key: &mut Vec<u8>, slots: &mut Slots) {
        key.clear();
        slots.clear();
        let TextWriter {
            known_words, words, ..
        } = self;
        template::cut(text, key, |slot| match slot {
            Slot::Int(number) => slots.ints.push(number),
            Slot::Hex(digits) => slots.add_hex(digits),
            Slot::Word(word) => slots.words.push(*known_words.entry(word).or_insert_with(|| {
                words.push(word);
                words.len() as u32 - 1
            })),
        });
        let length = key.len();
        key.push(END);
        key.extend_from_slice(&slots.hex_lengths);
        let code = match self.known.get(&key[..]) {
            Some(code) => *code,
            None => {
                let code = self.templates.len() as u32;
                self.known.insert(key[..].into(), code);
                self.templates
                    .push(Template::new(key[..].into(), length, self.codes.len()));
                code
            }
        };
        let template = &mut self.templates[code as usize];
        template.rows += 1;
        template.ints.extend_from_slice(&slots.ints);
        template.hex.extend_from_slice(&slots.hex);
        template.words.extend_from_slice(&slots.words);
        self.codes.push(code);
    }

    /// Shows every word to the filter's terms.
    fn show(&self, terms: &mut Terms) {
        for template in &self.templates {
            terms.add_text(&template.key[..template.length]);
        }
        for word in &self.words {
            terms.add_text(word.as_bytes());
        }
        for template in &self.templates {
            let mut at = 0;
            let lengths = template.hex_lengths();
            while at < template.hex.len() {
                for length in lengths {
                    terms.add_hex(&template.hex[at..at + usize::from(*length).div_ceil(2)], *length);
                    at += usize::from(*length).div_ceil(2);
                }
            }
        }
    }

    /// The head without the codes, which end it.
    fn head(&self) -> Vec<u8> {
        let mut arena = Vec::new();
        let mut templates = Vec::new();
        for template in &self.templates {
            arena.extend_from_slice(&template.key[..template.length]);
            arena.push(END);
        }
        put_number(&mut templates, self.templates.len() as u64);
        put_bytes(&mut templates, &arena);
        for template in &self.templates {
            put_number(&mut templates, u64::from(template.rows));
        }
        for template in &self.templates {
            templates.extend_from_slice(template.hex_lengths());
        }
        let mut after = 0;
        for template in &self.templates {
            put_number(&mut templates, u64::from(template.first - after));
            after = template.first + 1;
        }
        let mut words = Vec::new();
        put_number(&mut words, self.words.len() as u64);
        for word in &self.words {
            put_number(&mut words, word.len() as u64);
        }
        for word in &self.words {
            words.extend_from_slice(word.as_bytes());
            words.push(END);
        }
        let mut head = Vec::new();
        put_prose_section(&mut head, &templates);
        put_text_section(&mut head, &words);
        head
    }

    fn body(&self) -> Vec<u8> {
        let (mut rare, mut hex, mut words) = (Vec::new(), Vec::new(), Vec::new());
        let (mut columns, mut lengths) = (Vec::new(), Vec::new());
        for template in &self.templates {
            let rows = template.rows as usize;
            let ints = template.ints.len() / rows;
            if template.rows < COLUMN_LEAST {
                template
                    .ints
                    .iter()
                    .for_each(|int| put_number(&mut rare, *int as u64));
            } else {
                for slot in 0..ints {
                    let start = columns.len();
                    let column: Vec<i64> = template.ints[slot..].iter().step_by(ints).copied().collect();
                    integers::put(&mut columns, &column);
                    put_number(&mut lengths, (columns.len() - start) as u64);
                }
            }
            hex.extend_from_slice(&template.hex);
            let slots = template.words.len() / rows;
            for slot in 0..slots {
                words.extend(template.words[slot..].iter().step_by(slots));
            }
        }
        let mut body = Vec::new();
        put_text_section(&mut body, &rare);
        put_text_section(&mut body, &hex);
        integers::put_codes(&mut body, &words);
        put_section(&mut body, &lengths);
        body.extend_from_slice(&columns);
        body
    }
}

impl Template {
    fn new(key: Box<[u8]>, length: usize, first: usize) -> Template {
        Template {
            key,
            length,
            first: first as u32,
            rows: 0,
            ints: Vec::new(),
            hex: Vec::new(),
            words: Vec::new(),
        }
    }

    fn hex_lengths(&self) -> &[u8] {
        &self.key[self.length + 1..]
    }
}

impl Slots {
    fn clear(&mut self) {
        self.ints.clear();
        self.hex.clear();
        self.words.clear();
        self.hex_lengths.clear();
    }

    /// Two digits a byte; the last of an odd number has a byte to itself.
    fn add_hex(&mut self, digits: &[u8]) {
        self.hex_lengths.push(digits.len() as u8);
        let value = |digit: &u8| {
            if *digit <= b'9' {
                digit - b'0'
            } else {
                digit - b'a' + 10
            }
        };
        self.hex.extend(
            digits
                .chunks(2)
                .map(|pair| value(&pair[0]) << 4 | pair.get(1).map_or(0, value)),
        );
    }
}
