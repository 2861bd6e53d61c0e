//! JSON text, read once from front to back, each part where it stands: no tree, no copy of what is not kept.
//!
//! Whoever reads asks for what may come next: [`Scanner::first_name`] and [`Scanner::next_name`] walk an object,
//! [`Scanner::first_item`] and [`Scanner::next_item`] a list, [`Scanner::skip`] takes any value as text. What is not JSON
//! is refused at the byte where `serde_json` refuses it, at any depth without recursion. Knows nothing of records.

mod number;
mod stop;
mod string;

pub(crate) use number::Number;
pub(crate) use stop::Stop;
pub(crate) use string::Literal;

/// A place in JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    /// The byte that comes next, white space aside.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Where the next value begins, for [`Self::back_to`] and for messages.
    pub(crate) fn place(&mut self) -> usize {
        // The byte itself does not matter, only that white space is behind.
        let _ = self.peek();
        self.at
    }

    /// Reads again from a place where it was before.
    pub(crate) fn back_to(&mut self, place: usize) {
        self.at = place;
    }

    /// The text from `place` up to here.
    pub(crate) fn since(&self, place: usize) -> &'a str {
        &self.text[place..self.at]
    }

    /// The length of the whole text.
    pub(crate) fn length(&self) -> usize {
        self.text.len()
    }

    /// Nothing may come any more.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        self.peek().map_or(Ok(()), |_| Err(Stop::Syntax))
    }

    /// Enters the object that comes next, up to its first value. `None` if it is empty, and then it is left again.
    pub(crate) fn first_name(&mut self) -> Result<Option<Literal<'a>>, Stop> {
        self.first_entry()?.then(|| self.name()).transpose()
    }

    /// Goes on in an object after a value; `None` if that was the last one.
    #[inline]
    pub(crate) fn next_name(&mut self) -> Result<Option<Literal<'a>>, Stop> {
        self.next_entry()?.then(|| self.name()).transpose()
    }

    /// Enters the object that comes next, up to its first name. False if it is empty, and then it is left again.
    pub(crate) fn first_entry(&mut self) -> Result<bool, Stop> {
        self.first(b'{', b'}')
    }

    /// Goes on in an object after a value, up to the next name; false if that was the last one.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<bool, Stop> {
        self.next(b'}')
    }

    /// The name that comes next, up to its value.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Literal<'a>, Stop> {
        let name = self.string()?;
        self.take(b':')?;
        Ok(name)
    }

    /// Passes over the name that comes next if it stands there exactly like this, with its quotes; says whether it did.
    #[inline]
    pub(crate) fn name_is(&mut self, quoted: &str) -> Result<bool, Stop> {
        let place = self.place();
        let same = self.text.as_bytes()[place..].starts_with(quoted.as_bytes());
        if same {
            self.at += quoted.len();
            self.take(b':')?;
        }
        Ok(same)
    }

    /// Enters the list that comes next. False if it is empty, and then it is left again.
    pub(crate) fn first_item(&mut self) -> Result<bool, Stop> {
        self.first(b'[', b']')
    }

    /// Goes on in a list after an item; false if that was the last one.
    #[inline]
    pub(crate) fn next_item(&mut self) -> Result<bool, Stop> {
        self.next(b']')
    }

    fn first(&mut self, open: u8, close: u8) -> Result<bool, Stop> {
        self.take(open)?;
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        Ok(!empty)
    }

    #[inline]
    fn next(&mut self, close: u8) -> Result<bool, Stop> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Stop::Syntax),
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Stop> {
        // Mostly it stands right here.
        if self.text.as_bytes().get(self.at) != Some(&byte) && self.peek() != Some(byte) {
            return Err(Stop::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// `true`, `false` or `null`, whichever the caller saw begin.
    pub(crate) fn word(&mut self, word: &str) -> Result<(), Stop> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Stop::Syntax);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a `null` if one comes; says whether it did.
    #[inline]
    pub(crate) fn null(&mut self) -> Result<bool, Stop> {
        let null = self.peek() == Some(b'n');
        if null {
            self.word("null")?;
        }
        Ok(null)
    }

    /// Passes over a value of any kind and depth; its text, as it stands.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Stop> {
        let start = self.place();
        // The brackets that are still to be closed. A list rather than recursion: the sender chooses the depth.
        let mut open = Vec::new();
        loop {
            let entered = match self.peek() {
                Some(b'{') => self.first_name()?.map(|_| b'}'),
                Some(b'[') => self.first_item()?.then_some(b']'),
                _ => self.scalar().map(|()| None)?,
            };
            open.extend(entered);
            // A value is behind: out of everything that ends here, then to the next one.
            while entered.is_none()
                && let Some(&close) = open.last()
            {
                let more = self.next(close)?;
                if more && close == b'}' {
                    self.name()?;
                }
                if more {
                    break;
                }
                open.pop();
            }
            if open.is_empty() {
                return Ok(self.since(start));
            }
        }
    }

    fn scalar(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// Skipping refuses what `serde_json` refuses, and takes the same text for the value.
    #[track_caller]
    fn check(json: &str) {
        let mut scanner = Scanner::new(json);
        let skipped = scanner.skip().and_then(|text| scanner.end().map(|()| text));
        let expected = serde_json::from_str::<&RawValue>(json);
        assert_eq!(skipped.ok(), expected.ok().map(RawValue::get), "{json}");
    }

    #[test]
    fn what_is_json_is_what_serde_json_says_it_is() {
        for json in [
            "",
            " ",
            "null",
            "nul",
            "nulll",
            " true ",
            "tru",
            "false",
            "[]",
            "[ ]",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{",
            "{}",
            "{ }",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "{\"a\":1]",
            "{\"a\" : [ { } , [ ] , \"x\" ] , \"b\":{\"c\":null}}",
            "[[[[1],2],{}],3]",
            "[[1]",
            "{} {}",
            "[]x",
            "\u{feff}{}",
            "NaN",
            "-Infinity",
            "'a'",
            "[1,\u{a0}2]",
            "\u{c}1",
        ] {
            check(json);
        }
        for depth in [100, 1_000, 100_000] {
            check(&format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
            check(&format!("{}1{}", "{\"a\":[".repeat(depth), "]}".repeat(depth)));
            check(&"[".repeat(depth));
        }
    }

    #[test]
    fn numbers_are_what_serde_json_says_they_are() {
        for json in [
            "0",
            "-0",
            "-",
            "00",
            "01",
            "-01",
            "1.",
            ".5",
            "1.5",
            "1.5.",
            "1e",
            "1e5",
            "1E+5",
            "1e-5",
            "1e+",
            "1e5.0",
            "+1",
            "1_000",
            "0x10",
            "123456789012345678901234567890",
            "0.1234567890123456789012345",
            "1-",
            "1e400",
        ] {
            check(json);
        }
    }

    #[test]
    fn strings_are_what_serde_json_says_they_are() {
        for content in [
            "",
            "a",
            "登录",
            "\\n\\t\\r\\b\\f\\/\\\\\\\"",
            "\\x",
            "\\",
            "\\u",
            "\\u12",
            "\\u12g4",
            "\\u+123",
            "\\ud800",
            "\\ud800\\udc00",
            "\n",
            "\u{0}",
            "\u{1f}",
            "\u{7f}",
            "\u{80}",
            "1234567\\",
            "12345678\\n",
            "1234567\u{1}",
            "12345678901234567890\u{1f}",
            "登登登登登登登登登登登\u{1e}",
            "\u{2028}",
            "a\"b",
        ] {
            check(&format!("\"{content}\""));
            check(&format!("\"{content}"));
            check(&format!("{{\"{content}\":1}}"));
        }
    }
}
