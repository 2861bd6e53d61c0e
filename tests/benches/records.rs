//! Records like those of a busy shop, the same at every run, sealed into batches as the layer would.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::{Map, Value, json};

/// Records in a batch: what the layer sends at most.
const BATCH: usize = 1_000;

const SERVICES: [&str; 6] = ["gateway", "payment", "auth", "search", "billing", "inventory"];
const TEMPLATES: [(&str, &str); 10] = [
    ("info", "request completed in {} ms, {} bytes written"),
    ("info", "order ord_{} created by user {}"),
    ("warn", "slow query took {} ms on connection {}"),
    ("error", "connection to 10.0.{}.17:{} failed: connection refused"),
    ("debug", "cache miss for user {}, loading from replica {}"),
    ("info", "用户 {} 登录成功，来源地址 10.2.{}.9"),
    ("trace", "frame {} decoded, {} bytes"),
    ("warn", "payment for order ord_{} declined by issuer, code {}"),
    ("info", "connection {} accepted from 10.1.0.3:{}"),
    ("debug", "enter poll loop, {} futures ready, {} idle"),
];

/// Made here, spread over the last day.
pub fn made(count: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(42);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let start = u64::try_from(now.as_nanos()).unwrap() - 86_400_000_000_000;
    let step = 86_400_000_000_000 / count as u64;
    let mut batches = Batches::default();
    for number in 0..count as u64 {
        let (level, template) = TEMPLATES[random.usize(..TEMPLATES.len())];
        let mut message = template.to_owned();
        while let Some(at) = message.find("{}") {
            message.replace_range(at..at + 2, &random.u32(..100_000).to_string());
        }
        let record = json!({
            "ts": start + number * step,
            "level": level,
            "target": "shop::handler",
            "message": message,
            "fields": {
                "user_id": random.u32(..1_000_000),
                "latency_ms": f64::from(random.u32(..2_000_000)) / 1e3,
                "path": format!("/api/v1/orders/{}", random.u32(..120)),
                "status": random.choice([200, 200, 200, 404, 503]),
                "session": format!("{:016x}", random.u64(..)),
            },
            "trace_id": format!("{:032x}", random.u128(..)),
            "spans": [{"name": "http_request"}],
        });
        batches.add(SERVICES[random.usize(..SERVICES.len())], "node-01", record);
    }
    batches.sealed()
}

/// From a file of records, one JSON object a line.
pub fn from_file(path: &Path, count: usize) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut batches = Batches::default();
    for line in BufReader::new(file).lines().take(count) {
        let mut record: Map<String, Value> = serde_json::from_str(&line.unwrap()).unwrap();
        let mut text = |name: &str| {
            record
                .remove(name)
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default()
        };
        let (service, host, message) = (text("service"), text("host"), text("msg"));
        record.insert("message".into(), message.into());
        batches.add(&service, &host, Value::Object(record));
    }
    batches.sealed()
}

#[derive(Default)]
struct Batches {
    open: BTreeMap<(String, String), Vec<Value>>,
    sealed: Vec<String>,
}

impl Batches {
    fn add(&mut self, service: &str, host: &str, record: Value) {
        let source = (service.to_owned(), host.to_owned());
        let records = self.open.entry(source.clone()).or_default();
        records.push(record);
        if records.len() == BATCH {
            let records = std::mem::take(records);
            self.seal(&source, &records);
        }
    }

    fn seal(&mut self, (service, host): &(String, String), records: &[Value]) {
        let no = self.sealed.len() + 1;
        let source = json!({"service": service, "host": host, "boot": "b3c4"});
        self.sealed
            .push(json!({"v": 1, "source": source, "no": no, "records": records}).to_string());
    }

    fn sealed(mut self) -> Vec<String> {
        for (source, records) in std::mem::take(&mut self.open) {
            self.seal(&source, &records);
        }
        self.sealed
    }
}
