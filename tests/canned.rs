//! The page, served with answers made up for one test: every view with what no real server would say in a hurry, above
//! all with hostile text in every place where there is text.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Serves until dropped.
pub struct Canned {
    pub page: String,
    server: JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Canned {
    /// `answer` gets the path behind `/api/` and the query string. Null is "not found", `false` never comes, and a text
    /// is a stream of events.
    pub async fn start(answer: fn(&str, &str) -> Value) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let page = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, answer));
            }
        });
        Canned { page, server }
    }
}

async fn serve(mut connection: TcpStream, answer: fn(&str, &str) -> Value) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request);
    let target = request.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, kind, body) = match (path.strip_prefix("/api/"), web::asset(path)) {
        (Some(asked), _) => match answer(asked, query) {
            Value::Bool(false) => return std::future::pending().await,
            Value::String(events) => (200, "text/event-stream", events.into_bytes()),
            Value::Null => (404, "application/json", br#"{"error":"nothing"}"#.to_vec()),
            found => (200, "application/json", found.to_string().into_bytes()),
        },
        (None, Some(asset)) => (200, asset.content_type, asset.bytes.to_vec()),
        (None, None) => (200, web::index().content_type, web::index().body.into()),
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncontent-security-policy: {}\r\n\
         connection: close\r\n\r\n",
        body.len(),
        web::CONTENT_SECURITY_POLICY
    );
    // A browser that has gone away needs no answer.
    let _ = connection.write_all(head.as_bytes()).await;
    let _ = connection.write_all(&body).await;
}

/// Text that would run, hide or pretend if a view took it for anything but text.
pub const HOSTILE: [&str; 7] = [
    "<script>window.ran=1</script>",
    "<img src=x onerror=\"window.ran=2\">",
    "\"><svg/onload=\"window.ran=3\">",
    "javascript:window.ran=4",
    "=cmd|'/c calc'!A1 {{7*7}}${jndi:ldap://x}",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m",
    "\u{202e}live\u{2066}\u{200b}\r\nfake line\u{2028}\u{85}",
];

/// Every answer of the API, with `HOSTILE` wherever a record's sender chooses the text.
pub fn hostile(asked: &str, _query: &str) -> Value {
    let account = json!({ "read_as": HOSTILE[0], "as_text": false, "error": null, "scanned": 7, "ms": 1.5, "partial": HOSTILE[1] });
    let answer = match asked {
        "search" if _query.contains("%7C") => table(_query),
        "search" => json!({ "records": records(), "next": null }),
        "histogram" => json!({ "from": TIME, "to": "2026-07-28T13:00:00Z", "step_ms": 60_000, "total": 7,
            "buckets": [{ "time": TIME, "counts": { "error": 5, "warn": 2 } }] }),
        "fields" => {
            json!({ "fields": HOSTILE.map(|name| json!({ "name": name, "records": 3 })), "capped": false })
        }
        "values" => {
            json!({ "field": HOSTILE[0], "values": HOSTILE.map(|value| json!({ "value": value, "records": 3 })),
            "distinct": 7, "capped": false })
        }
        "stats" => stats(),
        "issues" => json!({ "issues": HOSTILE.map(issue) }),
        "language" => json!({ "table": HOSTILE.map(|text| json!({ "written": text, "finds": text })) }),
        "saved" => json!({ "saved": HOSTILE.map(saved) }),
        other if other.starts_with("context/") || other.starts_with("trace/") => {
            json!({ "records": records(), "next": null })
        }
        _ => return Value::Null,
    };
    let mut whole = answer.as_object().unwrap().clone();
    whole.extend(account.as_object().unwrap().clone());
    Value::Object(whole)
}

const TIME: &str = "2026-07-28T12:00:00Z";

fn records() -> Vec<Value> {
    let record = |(number, text): (usize, &str)| {
        json!({
            "id": number.to_string(), "time": format!("2026-07-28T12:00:0{number}.000000001Z"),
            "level": if number == 3 { text } else { "error" }, "service": text, "instance": text, "host": text,
            "version": text, "boot": text, "seq": number, "target": text, "file": text, "line": 1, "message": text,
            "attrs": { text: text }, "fields": { text: text, "list": [text], "map": { text: text } },
            "spans": [{ "name": text, "fields": { text: text, "queue_wait_ms": 3 } }], "trace_id": text,
            "span_id": text, "thread": text, "flags": [text, if number == 2 { "lost" } else { "repaired" }],
        })
    };
    HOSTILE.into_iter().enumerate().map(record).collect()
}

fn table(query: &str) -> Value {
    if query.contains("timechart") {
        let columns: Vec<Value> = std::iter::once(json!({ "name": "time", "kind": "time" }))
            .chain(HOSTILE.map(|name| json!({ "name": name, "kind": "number" })))
            .collect();
        let row = |minute: u32| json!([format!("2026-07-28T12:0{minute}:00Z"), 1, 2, null, 4, 5, 6, 7]);
        return json!({ "columns": columns, "rows": [row(1), row(2)] });
    }
    json!({
        "columns": [{ "name": HOSTILE[0], "kind": "text" }, { "name": HOSTILE[1], "kind": "level" }, { "name": "count", "kind": "number" }],
        "rows": HOSTILE.map(|text| json!([text, text, 5])), "capped": true,
    })
}

fn stats() -> Value {
    let service = |text: &str| {
        json!({ "service": text, "records": 70, "bytes": 7000, "rate_per_minute": 3.5, "errors": 2, "lost": 1,
            "last_seen": TIME, "callsites": [{ "callsite": text, "records": 7, "bytes": 700 }] })
    };
    json!({ "services": HOSTILE.map(service), "lost": {},
        "store": { "records": 490, "bytes": 49_000, "oldest": TIME, "newest": TIME, "partitions": 1 } })
}

fn issue(text: &str) -> Value {
    let version = |version: &str, since: &str| json!({ "version": version, "first_seen": since, "last_seen": TIME, "count": 1 });
    json!({
        "id": text, "title": text, "level": "error", "callsite": text, "count": 3, "first_seen": "2026-07-27T12:00:00Z",
        "last_seen": TIME, "sparkline": [0, 1, 2], "sample": "1", "query": text,
        "services": [{ "service": "a", "versions": [version(text, "2026-07-27T12:00:00Z")] },
            { "service": text, "versions": [version("1", "2026-07-26T12:00:00Z"), version(text, "2026-07-27T12:00:00Z")] }],
        "new_since": [{ "service": text, "version": text }],
    })
}

fn saved(text: &str) -> Value {
    json!({ "id": text, "name": text, "q": text, "from": "-1h",
        "alert": { "threshold": 1, "above": true, "window_s": 300, "webhook": text, "cooldown_s": 0, "enabled": true },
        "state": { "last_fired": TIME, "last_error": text } })
}
