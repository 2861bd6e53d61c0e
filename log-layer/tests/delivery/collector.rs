//! A log server of the test's own: keeps every batch it is sent and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rpc::{Fault, Server};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The text of a batch, and how many came before it, to what the server answers.
pub(crate) type Answer = dyn Fn(&str, usize) -> Result<Value, Fault> + Send + Sync;

pub(crate) struct Collector {
    received: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Deserialize)]
struct Append {
    batch: Box<RawValue>,
}

impl Collector {
    /// Says that it stores everything.
    pub(crate) fn start(url: &str) -> Collector {
        Collector::answering(url, |_, _| {
            Ok(json!({"stored": 1, "duplicate": false, "rejected": []}))
        })
    }

    pub(crate) fn answering(
        url: &str,
        answer: impl Fn(&str, usize) -> Result<Value, Fault> + Send + Sync + 'static,
    ) -> Collector {
        let received = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let thread = std::thread::spawn({
            let (url, received, stop) = (url.to_owned(), received.clone(), stop.clone());
            let answer: Arc<Answer> = Arc::new(answer);
            move || serve(&url, received, answer, stop)
        });
        Collector {
            received,
            stop,
            thread: Some(thread),
        }
    }

    /// Everything received so far, as it came, repeats included.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    /// The records received so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        records(&self.texts())
    }
}

/// The batches by their number, each once; a repeat must be the same text.
pub(crate) fn batches(texts: &[String]) -> Vec<Value> {
    let mut batches = BTreeMap::new();
    for text in texts {
        let batch: Value = serde_json::from_str(text).unwrap();
        let id = (batch["source"]["boot"].to_string(), batch["no"].as_u64());
        let known = batches.insert(id, (text, batch));
        assert!(
            known.is_none_or(|(before, _)| before == text),
            "a resend differs: {text}"
        );
    }
    batches.into_values().map(|(_, batch)| batch).collect()
}

/// The records by their number, each with its call-site in place.
pub(crate) fn records(texts: &[String]) -> Vec<Value> {
    let mut records = Vec::new();
    for batch in batches(texts) {
        let callsites = batch["callsites"].as_array().unwrap();
        for record in batch["records"].as_array().unwrap() {
            let mut record = record.clone();
            let callsite = record["callsite"].as_u64().unwrap() as usize;
            record["callsite"] = callsites[callsite].clone();
            records.push(record);
        }
    }
    records.sort_by_key(|record| record["seq"].as_u64());
    records
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()),
            "the collector panicked"
        );
    }
}

fn serve(url: &str, received: Arc<Mutex<Vec<String>>>, answer: Arc<Answer>, stop: CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Server::builder("logs")
            .redis(url)
            .method("append", move |append: Append| {
                let text = append.batch.get().to_owned();
                let mut received = received.lock().unwrap();
                let answered = answer(&text, received.len());
                received.push(text);
                std::future::ready(answered)
            })
            .build()
            .unwrap();
        server.run(stop).await.unwrap();
    });
}
