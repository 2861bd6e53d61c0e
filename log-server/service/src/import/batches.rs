//! Lines to batches that are numbered by what they hold, so that a file imported twice is stored once.
//!
//! The run of a batch is named after the service and the file's first bytes, and its number is its place in the file. The
//! same file makes the same batches; what was stored of it is answered as a repeat, so a broken import is just begun
//! again.

use std::io::{self, BufRead, Read};

use log_record::limits;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::line::parse;

/// Records of a batch: enough for few commits, few enough that all fit with long lines.
const RECORDS: usize = 2_000;
/// Bytes of lines in a batch; with what JSON adds it stays below what a batch may have.
const BYTES: usize = 1 << 20;
/// Bytes of a file by which it is known.
const KNOWN_BY: usize = 4_096;
/// Bytes of a line that are read; the record would be cut there anyway.
const LINE: u64 = limits::RECORD_BYTES as u64;

/// A batch to be appended.
pub(super) struct Sealed {
    pub(super) text: String,
    pub(super) records: usize,
}

/// Senders whose batches are filled at the same time.
const SENDERS: usize = 64;
/// Bytes of all batches that are being filled.
const FILLING: usize = 8 << 20;

/// Reads a file batch by batch.
pub(super) struct Batches<R> {
    reader: R,
    service: String,
    run: String,
    no: u64,
    /// What is not yet full, by sender, in the order in which they began.
    filling: Vec<Filling>,
    /// The line that is looked at; empty: it must be read.
    line: Vec<u8>,
    done: bool,
}

struct Filling {
    sender: Map<String, Value>,
    records: Vec<Value>,
    bytes: usize,
}

impl<R: BufRead> Batches<R> {
    /// Batches of `service`, unless lines name their own.
    pub(super) fn new(
        mut reader: R,
        service: &str,
    ) -> io::Result<Batches<io::Chain<io::Cursor<Vec<u8>>, R>>> {
        let mut first = Vec::new();
        reader.by_ref().take(KNOWN_BY as u64).read_to_end(&mut first)?;
        let mut hash = Xxh3::new();
        hash.update(service.as_bytes());
        hash.update(&[0]);
        hash.update(&first);
        Ok(Batches {
            reader: io::Cursor::new(first).chain(reader),
            service: service.to_owned(),
            run: format!("import:{:032x}", hash.digest128()),
            no: 0,
            filling: Vec::new(),
            line: Vec::new(),
            done: false,
        })
    }

    /// The next batch; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Sealed>> {
        while let Some((sender, record)) = self.record()? {
            let known = self.filling.iter().position(|filling| filling.sender == sender);
            let place = known.unwrap_or_else(|| {
                self.filling.push(Filling {
                    sender,
                    records: Vec::new(),
                    bytes: 0,
                });
                self.filling.len() - 1
            });
            let filling = &mut self.filling[place];
            filling.bytes += size(&record);
            filling.records.push(record);
            if filling.records.len() >= RECORDS || filling.bytes >= BYTES {
                return Ok(Some(self.seal(place)));
            }
            let bytes: usize = self.filling.iter().map(|filling| filling.bytes).sum();
            if self.filling.len() > SENDERS || bytes > FILLING {
                let fullest = (0..self.filling.len()).max_by_key(|place| self.filling[*place].bytes);
                return Ok(fullest.map(|place| self.seal(place)));
            }
        }
        Ok((!self.filling.is_empty()).then(|| self.seal(0)))
    }

    fn seal(&mut self, place: usize) -> Sealed {
        let Filling {
            mut sender, records, ..
        } = self.filling.remove(place);
        self.no += 1;
        sender.insert("boot".to_owned(), self.run.clone().into());
        let count = records.len();
        let batch = json!({ "v": 1, "source": sender, "no": self.no, "records": records });
        Sealed {
            text: batch.to_string(),
            records: count,
        }
    }

    /// The next record with the lines that continue it, and its sender.
    fn record(&mut self) -> io::Result<Option<(Map<String, Value>, Value)>> {
        let mut current: Option<(Map<String, Value>, Value, bool)> = None;
        loop {
            if self.line.is_empty() && !self.read_line()? {
                break;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            let continues = line.starts_with([' ', '\t']);
            match &mut current {
                Some((_, record, true)) if continues && size(record) < limits::RECORD_BYTES => {
                    if let Some(Value::String(message)) = record.get_mut("message") {
                        message.push('\n');
                        message.push_str(&line);
                    }
                }
                Some(_) => break,
                None => {
                    let mut parsed = parse(&line);
                    let service = parsed.sender.entry("service");
                    service.or_insert_with(|| self.service.clone().into());
                    current = Some((parsed.sender, parsed.record, parsed.is_text));
                }
            }
            self.line.clear();
        }
        Ok(current.map(|(sender, record, _)| (sender, record)))
    }

    /// Reads the next line that is not empty into `self.line`, without its end; `false` at the end of the file.
    fn read_line(&mut self) -> io::Result<bool> {
        while !self.done {
            self.line.clear();
            if self
                .reader
                .by_ref()
                .take(LINE)
                .read_until(b'\n', &mut self.line)?
                == 0
            {
                self.done = true;
                break;
            }
            let is_cut = self.line.len() as u64 == LINE && !self.line.ends_with(b"\n");
            while self.line.ends_with(b"\n") || self.line.ends_with(b"\r") {
                self.line.pop();
            }
            if is_cut {
                self.skip_line()?;
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
        self.line.clear();
        Ok(false)
    }

    /// Reads on to the next line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let (used, found) = {
                let buffer = self.reader.fill_buf()?;
                let end = memchr::memchr(b'\n', buffer);
                (end.map_or(buffer.len(), |at| at + 1), end.is_some())
            };
            self.reader.consume(used);
            if found || used == 0 {
                return Ok(());
            }
        }
    }
}

/// Bytes of the record's message, about, and of the rest a guess: only the bound matters.
fn size(record: &Value) -> usize {
    match record {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 8,
        Value::Object(entries) => {
            entries
                .iter()
                .map(|(name, value)| name.len() + size(value))
                .sum::<usize>()
                + 8
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_record::{Batch, Timestamp};

    fn batches(text: &[u8]) -> Vec<Batch> {
        let mut batches = Batches::new(text, "s").unwrap();
        let mut found = Vec::new();
        while let Some(sealed) = batches.next().unwrap() {
            let batch = Batch::parse(&sealed.text, Timestamp::now()).unwrap();
            assert_eq!((batch.records.len(), batch.rejected.len()), (sealed.records, 0));
            found.push(batch);
        }
        found
    }

    #[test]
    fn stack_traces_belong_to_the_line_before_them() {
        let found = batches(b"ERROR boom\n  at a\n\tat b\r\n\n\nINFO next");
        let messages: Vec<_> = found[0].records.iter().map(|record| &*record.message).collect();
        assert_eq!(messages, ["ERROR boom\n  at a\n\tat b", "INFO next"]);
    }

    #[test]
    fn the_same_file_makes_the_same_batches_and_another_one_others() {
        let text = (0..5_000)
            .map(|number| format!("line {number}\n"))
            .collect::<String>();
        let (one, again) = (batches(text.as_bytes()), batches(text.as_bytes()));
        assert_eq!(
            one.iter().map(|batch| batch.records.len()).collect::<Vec<_>>(),
            [2_000, 2_000, 1_000]
        );
        let ids = |batches: &[Batch]| {
            batches
                .iter()
                .map(|batch| (batch.source.boot.clone(), batch.no))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&one), ids(&again));
        assert_ne!(ids(&one), ids(&batches(format!("x{text}").as_bytes())));
        assert_eq!(one[2].no, Some(3));
    }

    #[test]
    fn lines_of_several_services_fill_a_batch_of_each() {
        let text = "{\"service\":\"a\",\"msg\":\"1\"}\n{\"service\":\"b\",\"msg\":\"2\"}\nplain\n".repeat(10);
        let found = batches(text.as_bytes());
        let services: Vec<_> = found
            .iter()
            .map(|batch| (&*batch.source.service, batch.records.len()))
            .collect();
        assert_eq!(services, [("a", 10), ("b", 10), ("s", 10)]);
    }

    #[test]
    fn broken_and_endless_lines_are_stored_cut_and_lose_no_neighbour() {
        let mut text = vec![b'x'; 1 << 20];
        text.extend(b"\n\xff\xfe not text \0\nlast");
        let found = batches(&text);
        let messages: Vec<_> = found
            .iter()
            .flat_map(|batch| &batch.records)
            .map(|record| &record.message)
            .collect();
        assert_eq!(messages.len(), 3);
        assert_eq!(
            (messages[0].len(), &**messages[2]),
            (limits::RECORD_BYTES, "last")
        );
        assert!(batches(b"").is_empty() && batches(b"\n \n").is_empty());
    }
}
