//! From JSON text to a [`Batch`](crate::Batch), in one pass: what a record keeps is copied once, to where it stays.
//!
//! Strict about what matters (who sent it, which batch it is, one record is one object) and tolerant about the rest:
//! an odd time, level or number is repaired and the record says so in its flags. A record of the wrong shape is
//! listed as rejected and never takes its neighbours along; text that is not JSON refuses the batch.
//!
//! Reading order: `batch`, then what stands in it.

mod batch;
mod source;
mod callsites;
mod record;
mod name;
mod cut;
mod time;
mod value;

pub(crate) use batch::{outline, read};

use std::borrow::Cow;

use self::name::Habit;
use crate::flags::{Flag, Flags};
use crate::json::{Literal, Number, Scanner, Stop};
use crate::record::BorrowedSpan;
use crate::value::{BorrowedFields, BorrowedValue};
use crate::{limits, text};

/// One value that is all of `text`.
pub(crate) fn value(text: &str) -> Option<BorrowedValue<'_>> {
    let mut reader = Reader::new(text);
    let value = reader.value(0, &mut Flags::default()).ok()?;
    reader.json.end().ok()?;
    Some(value)
}

/// Text on its way to become records.
struct Reader<'a> {
    json: Scanner<'a>,
    /// The fields of the objects that are not yet closed, innermost last. They wait here until their number is known,
    /// so that a list of fields is allocated once and has the size it needs.
    open_fields: BorrowedFields<'a>,
    /// The spans of the record that is being read, for the same reason.
    open_spans: Vec<BorrowedSpan<'a>>,
    /// The order of names in the records so far.
    habit: Habit,
    /// Whether what records say is kept.
    keeps: bool,
}

/// A value of any kind.
#[derive(Clone, Copy)]
enum Part<'a> {
    Text(Literal<'a>),
    /// Anything but a string, as JSON writes it.
    Other(&'a str),
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        Reader {
            json: Scanner::new(text),
            open_fields: Vec::new(),
            open_spans: Vec::new(),
            habit: Habit::new(),
            keeps: true,
        }
    }

    /// The value that comes next, whatever it is.
    #[inline]
    fn part(&mut self) -> Result<Part<'a>, Stop> {
        match self.json.peek() {
            Some(b'"') => self.json.string().map(Part::Text),
            _ => self.json.skip().map(Part::Other),
        }
    }

    /// The value that comes next, whatever it is; `null` is as good as none.
    #[inline]
    fn optional_part(&mut self) -> Result<Option<Part<'a>>, Stop> {
        if self.json.null()? {
            Ok(None)
        } else {
            self.part().map(Some)
        }
    }

    /// What `number` makes of the number that comes next, else `what` is wrong. `null` is as good as none.
    #[inline]
    fn optional_number<T>(
        &mut self,
        what: &'static str,
        number: impl FnOnce(Number<'a>) -> Option<T>,
    ) -> Result<Option<T>, Stop> {
        if self.json.null()? {
            return Ok(None);
        }
        let place = self.json.place();
        match self.json.peek() {
            Some(b'-' | b'0'..=b'9') => match number(self.json.number()?) {
                None => Err(Stop::shape(what, place)),
                some => Ok(some),
            },
            _ => Err(self.unexpected(what)),
        }
    }

    /// A string without lone surrogates, else `what` is wrong: a word that a program chose.
    fn word(&mut self, what: &'static str) -> Result<Cow<'a, str>, Stop> {
        self.expect(b'"', what)?;
        let place = self.json.place();
        self.json
            .string()?
            .exact()
            .ok_or_else(|| Stop::shape(what, place))
    }

    /// The value that comes next begins with `byte`, else `what` is wrong.
    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Stop> {
        if self.json.peek() == Some(byte) {
            Ok(())
        } else {
            Err(self.unexpected(what))
        }
    }

    #[cold]
    fn unexpected(&mut self, what: &'static str) -> Stop {
        let place = self.json.place();
        match self.json.skip() {
            Ok(_) => Stop::shape(what, place),
            // No value at all is worse than one of the wrong kind.
            Err(stop) => stop,
        }
    }

    /// An object's name, in which a lone surrogate is not mended.
    #[inline]
    fn exact(&mut self, name: Literal<'a>) -> Result<Cow<'a, str>, Stop> {
        name.exact()
            .ok_or_else(|| Stop::shape("a lone surrogate in the name of the value", self.json.place()))
    }
}

impl<'a> Part<'a> {
    /// A string's characters; everything else as JSON writes it.
    #[inline]
    fn text(self, flags: &mut Flags) -> Cow<'a, str> {
        match self {
            Part::Text(literal) => literal.text(flags),
            Part::Other(json) => Cow::Borrowed(json),
        }
    }

    /// The same, cut to the length of a name.
    #[inline]
    fn label(self, flags: &mut Flags) -> Cow<'a, str> {
        let mut label = self.text(flags);
        if text::cut(&mut label, limits::LABEL_BYTES) {
            flags.set(Flag::Truncated);
        }
        label
    }
}

/// Which of an object's known names came already: each has a number below 32.
#[derive(Default)]
struct Seen(u32);

impl Seen {
    #[inline]
    fn once(&mut self, number: u32, name: &str, place: usize) -> Result<(), Stop> {
        if self.0 & 1 << number != 0 {
            return Err(Stop::shape(
                format!("duplicate field `{}`", name.trim_matches('"')),
                place,
            ));
        }
        self.0 |= 1 << number;
        Ok(())
    }
}
