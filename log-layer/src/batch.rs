//! Batches: records sealed as JSON text, once, under a number of their own.
//!
//! Promises: a batch never changes after it was sealed, so a resend is the same bytes; it stands alone, with its source
//! and its dictionary of call-sites. Knows nothing of Redis.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::ops::Range;
use std::time::SystemTime;

use tracing_core::callsite::Identifier;

use crate::buffer::{Chunk, Head};
use crate::callsite;
use crate::dropped::Tally;
use crate::packed::Unpacker;

/// Who sends.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Source {
    pub(crate) service: String,
    pub(crate) instance: String,
    /// This run of the process: random, new at every start.
    pub(crate) boot: String,
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attrs: BTreeMap<String, String>,
}

/// Records on their way to the server.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first_seq: u64,
    /// A JSON array with the batch as its only element: the arguments of the call.
    pub(crate) text: String,
    /// What is known of each record; `end` is where it ends in `text`.
    pub(crate) heads: Vec<Head>,
    /// The drops declared in it.
    pub(crate) declared: Tally,
    /// What it costs the buffer.
    pub(crate) cost: usize,
    /// Where in `text` the inside of the dictionary and of the records stand.
    callsites: Range<usize>,
    records: Range<usize>,
}

/// Numbers and seals batches.
#[derive(Debug)]
pub(crate) struct Sealer {
    source: String,
    next_no: u64,
    unpacker: Unpacker,
}

impl Sealer {
    pub(crate) fn new(source: &Source) -> Sealer {
        Sealer {
            source: serde_json::to_string(source).expect("text serialises"),
            next_no: 1,
            unpacker: Unpacker::default(),
        }
    }

    /// Seals the chunk's records and takes its heads; the memory of the bodies stays with the chunk.
    pub(crate) fn seal(&mut self, chunk: &mut Chunk, declared: Tally) -> Batch {
        let mut dictionary = Dictionary::default();
        let mut records = Vec::with_capacity(chunk.cost());
        let mut ends = Vec::with_capacity(chunk.heads.len());
        let mut start = 0;
        for (seq, head) in (chunk.first_seq..).zip(&chunk.heads) {
            let (site, body) = chunk.bytes[start..head.end as usize].split_at(head.site_bytes as usize);
            start = head.end as usize;
            let callsite = dictionary.number(head, site);
            if !records.is_empty() {
                records.push(b',');
            }
            let ts = nanoseconds(head.time);
            write!(records, "{{\"seq\":{seq},\"ts\":{ts},\"callsite\":{callsite}").expect(VEC);
            self.unpacker.write(&mut records, head, body, chunk.record_bytes);
            records.push(b'}');
            ends.push(records.len());
        }
        let mut batch = self.assemble(&dictionary.json, &records, declared);
        batch.first_seq = chunk.first_seq;
        batch.cost = chunk.cost();
        batch.heads = std::mem::take(&mut chunk.heads);
        for (head, end) in batch.heads.iter_mut().zip(ends) {
            head.end = offset(batch.records.start + end);
        }
        batch
    }

    /// Two new batches with half of the records each; the first carries the declarations.
    pub(crate) fn split(&mut self, mut batch: Batch) -> (Batch, Batch) {
        let middle = batch.heads.len() / 2;
        let text = batch.text.as_bytes();
        let callsites = &text[batch.callsites.clone()];
        let cut = batch.heads[middle - 1].end as usize;
        let mut first = self.assemble(callsites, &text[batch.records.start..cut], batch.declared);
        // The comma between them belongs to neither.
        let mut second = self.assemble(callsites, &text[cut + 1..batch.records.end], Tally::default());
        second.heads = batch.heads.split_off(middle);
        first.heads = batch.heads;
        first.first_seq = batch.first_seq;
        second.first_seq = batch.first_seq + middle as u64;
        second.cost = batch.cost / 2;
        first.cost = batch.cost - second.cost;
        for (half, was) in [(&mut first, batch.records.start), (&mut second, cut + 1)] {
            for head in &mut half.heads {
                head.end = offset(head.end as usize - was + half.records.start);
            }
        }
        (first, second)
    }

    /// A batch without heads around the insides of its two lists.
    fn assemble(&mut self, callsites: &[u8], records: &[u8], declared: Tally) -> Batch {
        let mut text = Vec::with_capacity(self.source.len() + callsites.len() + records.len() + 512);
        let sent = nanoseconds(SystemTime::now());
        let (source, no) = (&self.source, self.next_no);
        write!(
            text,
            "[{{\"v\":1,\"source\":{source},\"no\":{no},\"sent\":{sent},\"dropped\":["
        )
        .expect(VEC);
        for (index, dropped) in declared.lines().iter().enumerate() {
            write!(
                text,
                "{}{{\"level\":\"{}\",\"reason\":\"{}\",\"count\":{},\"from\":{},\"to\":{}}}",
                if index > 0 { "," } else { "" },
                callsite::level_name(dropped.level),
                dropped.reason,
                dropped.count,
                nanoseconds(dropped.from),
                nanoseconds(dropped.to),
            )
            .expect(VEC);
        }
        text.extend_from_slice(b"],\"callsites\":[");
        let callsites = append(&mut text, callsites);
        text.extend_from_slice(b"],\"records\":[");
        let records = append(&mut text, records);
        text.extend_from_slice(b"]}]");
        self.next_no += 1;
        Batch {
            first_seq: 0,
            text: String::from_utf8(text).expect("only whole characters were written"),
            heads: Vec::new(),
            declared,
            cost: 0,
            callsites,
            records,
        }
    }
}

/// Why writing into memory cannot fail.
const VEC: &str = "a Vec takes every byte";

/// The call-sites of one batch, each once.
#[derive(Debug, Default)]
struct Dictionary<'a> {
    json: Vec<u8>,
    len: usize,
    known: HashMap<Identifier, usize>,
    /// Those of the log crate's records, which have no metadata of their own.
    foreign: HashMap<&'a [u8], usize>,
}

impl<'a> Dictionary<'a> {
    fn number(&mut self, head: &Head, site: &'a [u8]) -> usize {
        let next = self.len;
        let number = if site.is_empty() {
            *self.known.entry(head.metadata.callsite()).or_insert(next)
        } else {
            *self.foreign.entry(site).or_insert(next)
        };
        if number == next {
            self.len += 1;
            if next > 0 {
                self.json.push(b',');
            }
            if site.is_empty() {
                callsite::write(&mut self.json, head.metadata);
            } else {
                self.json.extend_from_slice(site);
            }
        }
        number
    }
}

fn append(text: &mut Vec<u8>, part: &[u8]) -> Range<usize> {
    let start = text.len();
    text.extend_from_slice(part);
    start..text.len()
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch is far below 4 GiB")
}

/// Since 1970; a clock before that counts as 1970, one after 2262 as that year, for the server's times are signed.
fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dropped::{DropReason, Dropped};
    use serde_json::{Value, json};
    use tracing_core::Level;
    use tracing_core::dispatcher::{Dispatch, with_default};
    use tracing_core::{Metadata, Subscriber, span};

    /// The static metadata of one real event.
    fn metadata() -> &'static Metadata<'static> {
        struct Catch(std::sync::Mutex<Option<&'static Metadata<'static>>>);
        impl Subscriber for Catch {
            fn enabled(&self, _: &Metadata<'_>) -> bool {
                true
            }
            fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
                span::Id::from_u64(1)
            }
            fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
            fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
            fn event(&self, event: &tracing_core::Event<'_>) {
                *self.0.lock().unwrap() = Some(event.metadata());
            }
            fn enter(&self, _: &span::Id) {}
            fn exit(&self, _: &span::Id) {}
        }
        let dispatch = Dispatch::new(Catch(None.into()));
        with_default(&dispatch, || tracing::warn!(target: "here", "once"));
        let caught = dispatch.downcast_ref::<Catch>().unwrap().0.lock().unwrap();
        caught.unwrap()
    }

    fn sealer() -> Sealer {
        Sealer::new(&Source {
            service: "a \"service\"".to_owned(),
            instance: "i".to_owned(),
            boot: "b".to_owned(),
            host: "h".to_owned(),
            version: None,
            attrs: BTreeMap::new(),
        })
    }

    fn chunk(bodies: &[&str]) -> Chunk {
        let mut chunk = Chunk {
            first_seq: 11,
            ..Chunk::default()
        };
        for body in bodies {
            let site = r#"{"target":"foreign"}"#;
            let own = body.starts_with(site);
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(5);
            let mut head = Head::new(time, metadata(), if own { site.len() } else { 0 });
            chunk.bytes.extend_from_slice(body.as_bytes());
            head.end = offset(chunk.bytes.len());
            chunk.heads.push(head);
        }
        chunk
    }

    fn parse(batch: &Batch) -> Value {
        serde_json::from_str::<Vec<Value>>(&batch.text).unwrap().remove(0)
    }

    const BODIES: [&str; 4] = [
        r#","message":"one""#,
        r#"{"target":"foreign"},"message":"two""#,
        "",
        r#"{"target":"foreign"},"message":"four""#,
    ];

    #[test]
    fn a_batch_has_each_callsite_once_and_numbers_its_records() {
        let batch = parse(&sealer().seal(&mut chunk(&BODIES), Tally::default()));
        assert_eq!(batch["no"], 1);
        assert_eq!(batch["source"]["service"], "a \"service\"");
        assert_eq!(batch["callsites"][0]["target"], "here");
        assert_eq!(batch["callsites"][0]["level"], "warn");
        assert_eq!(batch["callsites"][1], json!({"target": "foreign"}));
        assert_eq!(batch["callsites"].as_array().unwrap().len(), 2);
        assert_eq!(
            batch["records"],
            json!([
                {"seq": 11, "ts": 5, "callsite": 0, "message": "one"},
                {"seq": 12, "ts": 5, "callsite": 1, "message": "two"},
                {"seq": 13, "ts": 5, "callsite": 0},
                {"seq": 14, "ts": 5, "callsite": 1, "message": "four"},
            ])
        );
    }

    #[test]
    fn halves_have_the_same_records_under_new_numbers() {
        let mut tally = Tally::default();
        tally.add(&Dropped::one(
            Level::DEBUG,
            DropReason::Full,
            SystemTime::UNIX_EPOCH,
        ));
        let mut sealer = sealer();
        let whole = sealer.seal(&mut chunk(&BODIES[..3]), tally);
        let expected = parse(&whole);
        let cost = whole.cost;

        let (first, rest) = sealer.split(whole);
        let (second, third) = sealer.split(rest);

        assert_eq!(first.cost + second.cost + third.cost, cost);
        assert_eq!([first.first_seq, second.first_seq, third.first_seq], [11, 12, 13]);
        let parts = [&first, &second, &third].map(parse);
        let records: Vec<_> = parts.iter().map(|part| part["records"][0].clone()).collect();
        assert_eq!(json!(records), expected["records"]);
        assert_eq!(parts[0]["dropped"], expected["dropped"]);
        assert_eq!(parts[1]["dropped"], json!([]));
        assert!(
            parts
                .iter()
                .all(|part| part["callsites"] == expected["callsites"])
        );
        assert_eq!(
            parts.map(|part| part["no"].as_u64().unwrap()),
            [2, 4, 5],
            "3 was the half that was split again"
        );
    }

    #[test]
    fn a_batch_of_declarations_alone_is_valid() {
        let mut tally = Tally::default();
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(7);
        for time in [at, SystemTime::UNIX_EPOCH] {
            tally.add(&Dropped::one(Level::INFO, DropReason::Recursion, time));
        }
        tally.add(&Dropped::one(Level::ERROR, DropReason::Full, at));
        let batch = parse(&sealer().seal(&mut Chunk::default(), tally));
        assert_eq!(
            batch["dropped"],
            json!([
                {"level": "info", "reason": "recursion", "count": 2, "from": 0, "to": 7},
                {"level": "error", "reason": "full", "count": 1, "from": 7, "to": 7},
            ])
        );
        assert_eq!(batch["records"], json!([]));
    }
}
