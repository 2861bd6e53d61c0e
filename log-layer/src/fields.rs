//! The fields of one event or span as JSON text, and the visitor that fills them.
//!
//! Promises: every name stands once and the last value wins; secrets are redacted by name; the size is bounded by
//! [`Budget`] and what did not fit is marked. Knows nothing of spans, records or the buffer.

use std::error::Error;
use std::fmt;

use tracing_core::field::{Field, Visit};

use crate::encode::{self, Json};
use crate::redact::{REDACTED, is_secret};
use crate::span_fields::SpanFields;

/// The server cuts longer names; doing it here keeps them unique.
const NAME_BYTES: usize = 128;

/// Any text may have this much even behind a text that is far too long.
const SMALL_TEXT: usize = 256;

/// How much one event or span may say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    /// Text stops here …
    soft: usize,
    /// … so that the small values behind it still fit.
    hard: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Budget {
        Budget {
            soft: bytes - bytes / 8,
            hard: bytes,
        }
    }

    /// Message and fields of a record that may be so large with everything around them.
    pub(crate) fn of_event(max_record_bytes: usize) -> Budget {
        Budget::new(max_record_bytes / 4 * 3)
    }

    pub(crate) fn is_spent(self, used: usize) -> bool {
        used >= self.hard
    }

    /// Where a text that starts when `used` bytes are taken must stop.
    pub(crate) fn stop(self, used: usize) -> usize {
        self.soft.max(used + SMALL_TEXT).min(self.hard)
    }
}

/// Fields as the inside of a JSON object.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// `,"name":value` for each entry, in order.
    json: Vec<u8>,
    /// Name, and where its comma stands.
    entries: Vec<(&'static str, usize)>,
    /// Something was cut or left out.
    pub(crate) truncated: bool,
    /// A name came twice.
    pub(crate) repeated: bool,
}

impl Fields {
    /// The inside of a JSON object: `"a":1,"b":2`, empty if there are none.
    pub(crate) fn json(&self) -> &[u8] {
        self.json.get(1..).unwrap_or_default()
    }

    /// JSON text of the value of `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let index = self.position(name)?;
        let start = self.entries[index].1;
        // A name that is asked for is plain, so its key is its length and `,"":`.
        Some(&self.json[start + name.len() + 4..self.end(index)])
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(index) = self.position(name) else {
            return false;
        };
        let (start, end) = (self.entries[index].1, self.end(index));
        self.json.drain(start..end);
        self.entries.remove(index);
        for entry in &mut self.entries[index..] {
            entry.1 -= end - start;
        }
        true
    }

    /// Takes over the fields of `later`; the last value wins.
    pub(crate) fn absorb(&mut self, later: &Fields, budget: Budget) {
        self.truncated |= later.truncated;
        for (index, (name, start)) in later.entries.iter().enumerate() {
            let entry = &later.json[*start..later.end(index)];
            self.remove(name);
            if self.json.len() + entry.len() > budget.hard {
                self.truncated = true;
                continue;
            }
            self.entries.push((name, self.json.len()));
            self.json.extend_from_slice(entry);
        }
    }

    /// Keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.json.clear();
        self.entries.clear();
        self.truncated = false;
        self.repeated = false;
    }

    /// Sets a field. `elsewhere` bytes of the budget are spent already.
    pub(crate) fn set(
        &mut self,
        name: &'static str,
        budget: Budget,
        elsewhere: usize,
        write: impl FnOnce(&mut Json<'_>),
    ) {
        self.repeated |= self.remove(name);
        let used = elsewhere + self.json.len();
        if budget.is_spent(used + name.len()) {
            self.truncated = true;
            return;
        }
        self.entries.push((name, self.json.len()));
        self.json.push(b',');
        encode::text(&mut self.json, name);
        self.json.push(b':');
        let stop = budget.stop(used) - elsewhere;
        self.truncated |= encode::value(&mut self.json, stop, write);
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|(known, _)| *known == name)
    }

    fn end(&self, index: usize) -> usize {
        self.entries.get(index + 1).map_or(self.json.len(), |next| next.1)
    }
}

/// Fills [`Fields`] from `tracing`'s values.
pub(crate) struct Collector<'a> {
    pub(crate) fields: &'a mut Fields,
    /// Where an event's message goes, as a JSON string; a span has none, so its field `message` is a field.
    pub(crate) message: Option<&'a mut Vec<u8>>,
    pub(crate) budget: Budget,
    /// Of a span: which of its fields are kept.
    pub(crate) wanted: Option<&'a SpanFields>,
}

impl Collector<'_> {
    /// Whether that is the message, and no field.
    pub(crate) fn is_message(&self, name: &str) -> bool {
        self.message.is_some() && name == "message"
    }

    /// Sets the field of that name to the one value that `write` writes.
    pub(crate) fn put(&mut self, name: &'static str, write: impl FnOnce(&mut Json<'_>)) {
        let name = name.strip_prefix("r#").unwrap_or(name);
        if self.wanted.is_some_and(|wanted| !wanted.keep(name)) {
            return;
        }
        let short = &name[..name.floor_char_boundary(NAME_BYTES)];
        self.fields.truncated |= short.len() < name.len();
        match &mut self.message {
            Some(message) if name == "message" => {
                self.fields.repeated |= !message.is_empty();
                message.clear();
                let used = self.fields.json.len();
                let stop = self.budget.stop(used) - used;
                self.fields.truncated |= encode::value(message, stop, write);
                if message.first() != Some(&b'"') {
                    let number = String::from_utf8_lossy(message).into_owned();
                    message.clear();
                    encode::text(message, &number);
                }
            }
            message => {
                let elsewhere = message.as_ref().map_or(0, |message| message.len());
                if is_secret(short) {
                    self.fields
                        .set(short, self.budget, elsewhere, |json| json.text(REDACTED));
                } else {
                    self.fields.set(short, self.budget, elsewhere, write);
                }
            }
        }
    }
}

impl Visit for Collector<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), |json| json.plain(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), |json| json.plain(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), |json| json.plain(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), |json| json.float(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field.name(), |json| json.quoted(format_args!("{value}")));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field.name(), |json| json.quoted(format_args!("{value}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), |json| json.text(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let causes = || std::iter::successors(value.source(), |&cause| cause.source());
        self.put(field.name(), |json| json.error(value, causes()));
    }

    #[cfg(all(feature = "valuable", tracing_unstable))]
    fn record_value(&mut self, field: &Field, value: valuable::Value<'_>) {
        if !matches!(value, valuable::Value::Unit) {
            self.put(field.name(), |json| crate::structured::write(json, value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), |json| json.quoted(format_args!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Budget = Budget {
        soft: 1000,
        hard: 1000,
    };

    fn fields(pairs: &[(&'static str, i64)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.set(name, WIDE, 0, |json| json.plain(*value));
        }
        fields
    }

    #[test]
    fn a_repeated_name_stands_once_with_its_last_value() {
        let fields = fields(&[("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(fields.json(), br#""b":2,"a":3"#);
        assert!(fields.repeated);
        assert_eq!(fields.value("a").unwrap(), b"3");
        assert_eq!(fields.value("b").unwrap(), b"2");
        assert!(fields.value("c").is_none());
    }

    #[test]
    fn later_fields_replace_earlier_ones_and_memory_does_not_grow() {
        let mut kept = fields(&[("a", 1), ("b", 2), ("c", 3)]);
        for round in 0..1000 {
            kept.absorb(&fields(&[("a", round), ("b", round)]), WIDE);
        }
        assert_eq!(kept.json(), br#""c":3,"a":999,"b":999"#);
        assert!(kept.json.capacity() < 200);
    }

    #[test]
    fn nothing_left_is_an_empty_inside() {
        let mut one = fields(&[("only", 1)]);
        assert!(one.remove("only"));
        assert!(!one.remove("only"));
        assert_eq!(one.json(), b"");
    }

    #[test]
    fn a_long_text_leaves_room_for_the_small_values_behind_it() {
        let budget = Budget::new(4096);
        let mut fields = Fields::default();
        fields.set("long", budget, 0, |json| json.text(&"x".repeat(1_000_000)));
        fields.set("small", budget, 0, |json| json.plain(42));
        fields.set("text", budget, 0, |json| json.text("still here"));
        let json = format!("{{{}}}", std::str::from_utf8(fields.json()).unwrap());
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["small"], 42);
        assert_eq!(read["text"], "still here");
        assert!(read["long"].as_str().unwrap().len() > 3000);
        assert!(fields.truncated);
        assert!(json.len() <= 4096 + 16, "{}", json.len());
    }
}
