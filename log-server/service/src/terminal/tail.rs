//! `log-server tail`: records as they arrive, from a running server or from the data directory.
//!
//! A server is asked over plain HTTP for its stream of events; when it goes away it is asked again, from the record on
//! that was printed last. A data directory is looked at twice a second.

use std::time::Duration;

use anyhow::{Context as _, bail};
use log_record::{Batch, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::config::TailOptions;
use crate::query::{self, Filter, Scratch};
use crate::store::{RecordId, Store, StoredRecord};

use super::line::line;
use super::{colours, note, print};

/// Between two looks, or two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Batches looked at in one step; who is further behind is told that some are missing.
const BATCHES: usize = 1_000;
/// Bytes of one event: a record is smaller.
const LINE: u64 = 4 << 20;

/// Prints records that match as they arrive, until Ctrl-C or until nobody reads them.
///
/// # Errors
/// When the server refuses, or the data directory cannot be read.
pub async fn tail(options: TailOptions) -> anyhow::Result<()> {
    let reading = query::read(&options.query);
    if let Some(error) = &reading.error {
        note(&format!("searched as text, for it is no query: {error}"));
    }
    if !reading.query.pipeline.is_empty() {
        note("only the records are followed; what comes behind | is left out");
    }
    let followed = async {
        match &options.data {
            Some(data) => follow_data(data, &reading.query.filter, options.json).await,
            None => follow_server(&options, &reading.query.filter).await,
        }
    };
    tokio::select! {
        ended = followed => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C"),
    }
}

async fn follow_data(data: &std::path::Path, filter: &Filter, json: bool) -> anyhow::Result<()> {
    let mut after: Option<RecordId> = None;
    let mut scratch = Scratch::default();
    loop {
        let owned = data.to_owned();
        let from = after;
        let step = tokio::task::spawn_blocking(move || {
            let store = Store::open_to_read(&owned)?;
            let newest = *store.newest().borrow();
            from.map_or(Ok((Vec::new(), false)), |from| store.since(from, BATCHES))
                .map(|found| (found, newest))
        });
        let ((batches, missing), newest) = step.await??;
        if missing {
            note("some records are left out: more arrive than can be followed");
        }
        for batch in batches {
            for (place, record) in batch.records.iter().enumerate() {
                let id = RecordId::new(batch.id, place);
                if after.is_some_and(|after| id > after)
                    && filter.matches(record, &batch.source, &mut scratch)
                {
                    let (source, record) = (batch.source.clone(), record.clone());
                    if !show(&StoredRecord { id, source, record }, json)? {
                        return Ok(());
                    }
                }
            }
        }
        after = after.max(Some(newest));
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow_server(options: &TailOptions, filter: &Filter) -> anyhow::Result<()> {
    let address = options
        .server
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'));
    let Some(address) = address.filter(|address| !address.is_empty() && !address.contains('/')) else {
        bail!("--server wants http://HOST:PORT, found {}", options.server);
    };
    let mut last: Option<String> = None;
    let mut connected = false;
    loop {
        match stream(address, options, filter, &mut last, &mut connected).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if !connected => return Err(error),
            Err(error) => tracing::debug!(%error, "the stream broke off"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints events until the connection ends (`true`) or nobody reads them (`false`).
async fn stream(
    address: &str,
    options: &TailOptions,
    filter: &Filter,
    last: &mut Option<String>,
    connected: &mut bool,
) -> anyhow::Result<bool> {
    let mut socket = TcpStream::connect(address)
        .await
        .with_context(|| format!("no log-server answers at {}", options.server))?;
    let mut request = format!(
        "GET /api/tail?as=query&q={} HTTP/1.0\r\nHost: {address}\r\nAccept: text/event-stream\r\n",
        encoded(&filter.to_string())
    );
    if let Some(last) = last {
        request.push_str(&format!("Last-Event-ID: {last}\r\n"));
    }
    if let Some(token) = &options.token {
        request.push_str(&format!("Authorization: Bearer {}\r\n", token.trim()));
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).await?;
    // HTTP/1.0: the body is what comes until the connection ends.
    let mut reader = BufReader::new(socket);
    let mut text = String::new();
    let mut read = async |text: &mut String| {
        text.clear();
        (&mut reader).take(LINE).read_line(text).await
    };
    read(&mut text).await?;
    let status = text.trim_end().to_owned();
    while read(&mut text).await? > 2 {}
    if !status.contains(" 200 ") {
        read(&mut text).await?;
        *connected = false;
        bail!("{} answers {}: {}", options.server, status, text.trim());
    }
    *connected = true;
    let (mut event, mut data, mut id) = (String::new(), String::new(), None);
    while read(&mut text).await? > 0 {
        let line = text.trim_end_matches(['\r', '\n']);
        match line
            .split_once(':')
            .map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value)))
        {
            Some(("event", value)) => value.clone_into(&mut event),
            Some(("data", value)) => data.push_str(value),
            Some(("id", value)) => id = Some(value.to_owned()),
            _ if line.is_empty() && !data.is_empty() => {
                if event == "gap" {
                    note("some records are left out: more arrive than can be followed");
                } else if !shown(&data, options.json)? {
                    return Ok(false);
                }
                *last = id.take().or(last.take());
                event.clear();
                data.clear();
            }
            _ => {}
        }
    }
    Ok(true)
}

fn shown(data: &str, json: bool) -> anyhow::Result<bool> {
    if json {
        return print(&format!("{data}\n"));
    }
    show(
        &record(data).context("the server sent something that is no record")?,
        false,
    )
}

fn show(record: &StoredRecord, json: bool) -> anyhow::Result<bool> {
    if json {
        return print(&(crate::search::record_json(record) + "\n"));
    }
    print(&line(record, colours()))
}

/// The record that the API shows.
fn record(data: &str) -> Option<StoredRecord> {
    let shown: Value = serde_json::from_str(data).ok()?;
    let keys = [
        "level", "target", "file", "line", "message", "fields", "spans", "trace_id", "span_id", "thread",
    ];
    let mut record = json!({ "ts": shown["time"] });
    for key in keys {
        if let Some(value) = shown.get(key) {
            record[key] = value.clone();
        }
    }
    let batch = json!({"source": {"service": shown["service"]}, "records": [record]}).to_string();
    let mut batch = Batch::parse(&batch, Timestamp::now()).ok()?;
    Some(StoredRecord {
        id: RecordId::default(),
        source: batch.source,
        record: batch.records.pop()?,
    })
}

/// Text as part of an address.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
