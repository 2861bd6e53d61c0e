//! The records that both are given, as NDJSON; for our server sealed into batches as layers would.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Records in a batch unless said otherwise: what a layer sends at most, and does send when it logs as fast as here.
pub const BATCH: usize = 1_000;
const SERVICES: [&str; 6] = ["gateway", "payment", "auth", "search", "billing", "inventory"];
const TEMPLATES: [(&str, &str); 8] = [
    ("info", "request completed in {} ms, {} bytes written"),
    ("info", "order ord_{} created by user {}"),
    ("warn", "slow query took {} ms on connection {}"),
    (
        "error",
        "connection to 10.0.{}.17 port {} failed: connection refused",
    ),
    ("debug", "cache miss for user {}, loading from replica {}"),
    ("info", "用户 {} 退款成功，来源地址 10.2.{}.9"),
    ("error", "payment for order ord_{} declined by issuer, code {}"),
    ("debug", "enter poll loop, {} futures ready, {} idle"),
];

/// Lines of JSON, each with its time under `ts`.
pub struct Records {
    pub text: String,
    pub count: usize,
    /// Nanoseconds from the first to behind the last.
    span: i64,
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.text.len() / self.count;
        write!(f, "{} records, {bytes} bytes each as JSON", self.count)
    }
}

impl Records {
    /// At most `most` of what `BENCH_FILE` names.
    pub fn from_environment(most: usize) -> Records {
        match std::env::var("BENCH_FILE").as_deref() {
            Err(_) => Records::of((0..most).map(made())),
            Ok("random") => Records::of((0..most).map(random())),
            Ok(path) if Path::new(path).is_dir() => {
                Records::of(plain(Path::new(path)).into_iter().take(most))
            }
            Ok(path) => Records::from_file(Path::new(path), most),
        }
    }

    fn of(lines: impl Iterator<Item = String>) -> Records {
        let lines: Vec<String> = lines.collect();
        Records::of_text(
            lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect(),
            lines.len(),
        )
    }

    fn from_file(path: &Path, most: usize) -> Records {
        let mut text = String::new();
        let mut file =
            std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.read_to_string(&mut text).unwrap();
        let ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let (count, end) = (1..).zip(ends).take(most).last().expect("it has lines");
        text.truncate(end);
        Records::of_text(text, count)
    }

    fn of_text(text: String, count: usize) -> Records {
        let time = |line: Option<&str>| {
            let line = line.expect("there are records");
            line[time_of(line)].parse::<i64>().expect("a record has a time")
        };
        let span = time(text.lines().next_back()) - time(text.lines().next()) + 1_000_000;
        Records { text, count, span }
    }

    /// Makes all of them later, so that they go on where they ended.
    pub fn go_on(&mut self) {
        self.shift(self.span);
    }

    /// Undoes that so many times.
    pub fn go_back(&mut self, times: usize) {
        self.shift(-self.span * i64::try_from(times).expect("it is a few times"));
    }

    fn shift(&mut self, by: i64) {
        let mut shifted = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            let place = time_of(line);
            let time: i64 = line[place.clone()].parse().expect("a record has a time");
            shifted.push_str(&line[..place.start]);
            write!(shifted, "{}", time + by).expect("a text takes what is written to it");
            shifted.push_str(&line[place.end..]);
            shifted.push('\n');
        }
        self.text = shifted;
    }

    /// Sealed by sender, so many records in each batch. In another round, other senders.
    pub fn batches(&self, round: usize, size: usize) -> Vec<String> {
        let mut senders = BTreeMap::<(&str, &str), Sender>::new();
        let mut sealed = Vec::with_capacity(self.count / size + 1_000);
        for line in self.text.lines() {
            let line: Line<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let number = senders.len();
            let sender = senders
                .entry((line.service, line.host))
                .or_insert_with(|| Sender {
                    boot: format!("{round:016x}{number:016x}"),
                    ..Sender::default()
                });
            sender.add(&line);
            if sender.open == size {
                sealed.push(sender.seal(line.service, line.host));
            }
        }
        for ((service, host), mut sender) in senders {
            if sender.open > 0 {
                sealed.push(sender.seal(service, host));
            }
        }
        sealed
    }
}

/// Where the time stands in a line.
fn time_of(line: &str) -> std::ops::Range<usize> {
    let start = line.find("\"ts\":").expect("a record has a time") + 5;
    let rest = line[start..].trim_start();
    let start = line.len() - rest.len();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    start..start + digits
}

#[derive(Deserialize)]
struct Line<'a> {
    ts: u64,
    #[serde(default)]
    level: &'a str,
    service: &'a str,
    #[serde(default)]
    host: &'a str,
    #[serde(default)]
    target: &'a str,
    #[serde(borrow)]
    msg: &'a RawValue,
    trace_id: Option<&'a str>,
    #[serde(default)]
    spans: Vec<&'a str>,
    fields: Option<&'a RawValue>,
}

/// What one layer has not sent yet.
#[derive(Default)]
struct Sender {
    boot: String,
    no: u64,
    seq: u64,
    open: usize,
    records: String,
    callsites: Vec<(String, String)>,
}

impl Sender {
    fn add(&mut self, line: &Line<'_>) {
        let callsite = (line.target.to_owned(), line.level.to_lowercase());
        let known = self.callsites.iter().position(|known| *known == callsite);
        let callsite = known.unwrap_or_else(|| {
            self.callsites.push(callsite);
            self.callsites.len() - 1
        });
        self.seq += 1;
        let comma = if self.open > 0 { "," } else { "" };
        let out = &mut self.records;
        let written = (|| {
            write!(
                out,
                "{comma}{{\"seq\":{},\"ts\":{},\"callsite\":{callsite},\"message\":{}",
                self.seq, line.ts, line.msg
            )?;
            line.fields
                .map_or(Ok(()), |fields| write!(out, ",\"fields\":{fields}"))?;
            if !line.spans.is_empty() {
                let spans: Vec<_> = line.spans.iter().map(|name| json!({"name": name})).collect();
                write!(out, ",\"spans\":{}", json!(spans))?;
            }
            line.trace_id
                .map_or(Ok(()), |id| write!(out, ",\"trace_id\":\"{id}\""))?;
            out.write_char('}')
        })();
        written.expect("a text takes what is written to it");
        self.open += 1;
    }

    fn seal(&mut self, service: &str, host: &str) -> String {
        self.no += 1;
        let source = json!({"service": service, "host": host, "boot": self.boot});
        let callsites: Vec<_> = std::mem::take(&mut self.callsites)
            .into_iter()
            .map(|(target, level)| json!({"target": target, "level": level}))
            .collect();
        let records = std::mem::take(&mut self.records);
        self.open = 0;
        format!(
            "{{\"v\":1,\"source\":{source},\"no\":{},\"callsites\":{},\"records\":[{records}]}}",
            self.no,
            json!(callsites)
        )
    }
}

/// Nanoseconds since 1970, an hour ago, and later by a millisecond for each record.
fn clock() -> impl Fn(usize) -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let start = u64::try_from(now.as_nanos()).unwrap() - 3_600_000_000_000;
    move |number| start + number as u64 * 1_000_003
}

/// Records like those of a busy shop.
fn made() -> impl FnMut(usize) -> String {
    let mut random = fastrand::Rng::with_seed(42);
    let time = clock();
    move |number| {
        let (level, template) = TEMPLATES[random.usize(..TEMPLATES.len())];
        let mut message = template.to_owned();
        while let Some(at) = message.find("{}") {
            message.replace_range(at..at + 2, &random.u32(..100_000).to_string());
        }
        json!({
            "ts": time(number),
            "level": level,
            "service": SERVICES[random.usize(..SERVICES.len())],
            "host": "node-01",
            "target": "shop::handler",
            "msg": message,
            "fields": {
                "user_id": random.u32(..1_000_000),
                "latency_ms": f64::from(random.u32(..1_000_000)) / 1e3,
                "path": format!("/api/v1/orders/{}", random.u32(..120)),
                "session": format!("{:016x}", random.u64(..)),
            },
            "trace_id": format!("{:032x}", random.u128(..)),
            "spans": ["http_request"],
        })
        .to_string()
    }
}

/// Messages of 6 to 16 words that make no sentence, every third with an id.
fn random() -> impl FnMut(usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let time = clock();
    let words: Vec<String> = (0..20_000)
        .map(|_| (0..random.usize(3..10)).map(|_| random.lowercase()).collect())
        .collect();
    move |number| {
        let mut message: Vec<&str> = (0..random.usize(6..=16))
            .map(|_| &*words[random.usize(..words.len())])
            .collect();
        let id = format!("{:016x}", random.u64(..));
        if number.is_multiple_of(3) {
            message.push(&id);
        }
        json!({"ts": time(number), "level": "info", "service": "babble", "msg": message.join(" ")})
            .to_string()
    }
}

/// The lines of every file of a directory, each file a service.
fn plain(directory: &Path) -> Vec<String> {
    let time = clock();
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    files.sort();
    let mut lines = Vec::new();
    for path in files {
        let service = path
            .file_stem()
            .expect("it has a name")
            .to_string_lossy()
            .to_lowercase();
        for line in String::from_utf8_lossy(&std::fs::read(&path).unwrap()).lines() {
            lines.push(
                json!({"ts": time(lines.len()), "level": "info", "service": service, "msg": line})
                    .to_string(),
            );
        }
    }
    lines
}
