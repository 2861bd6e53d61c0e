//! Why reading stopped, in words for the sender.

use serde::de::IgnoredAny;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The text is not JSON.
    Syntax,
    /// It is JSON, but not of the shape that is expected there. Boxed, because every result is as large as its error.
    Shape(Box<Shape>),
}

/// What is not as expected, and where.
#[derive(Debug)]
pub(crate) struct Shape {
    what: String,
    /// The byte it begins at, if a place says more than the words do.
    place: Option<usize>,
}

impl Stop {
    #[cold]
    pub(crate) fn shape(what: impl Into<String>, place: impl Into<Option<usize>>) -> Stop {
        Stop::Shape(Box::new(Shape {
            what: what.into(),
            place: place.into(),
        }))
    }

    /// The reason, for text that was read from its beginning.
    #[cold]
    pub(crate) fn reason(&self, text: &str) -> String {
        match self {
            // Looking again keeps words and places out of the way of all text that is right.
            Stop::Syntax => match serde_json::from_str::<IgnoredAny>(text) {
                Err(error) => error.to_string(),
                Ok(IgnoredAny) => "it is not JSON".to_owned(),
            },
            Stop::Shape(shape) => shape.reason_within(text, 0),
        }
    }
}

impl Shape {
    /// The reason, where `text` is the part that began at `start`. The place counts from there, lines and columns
    /// from 1, columns in bytes.
    #[cold]
    pub(crate) fn reason_within(&self, text: &str, start: usize) -> String {
        let Some(place) = self.place else {
            return self.what.clone();
        };
        let before = &text.as_bytes()[..place - start];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{} at line {line} column {column}", self.what)
    }
}
