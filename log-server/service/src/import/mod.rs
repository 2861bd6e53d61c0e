//! `log-server import`: log files that something else wrote become records.
//!
//! Reading order: `line` (one line to one record), `batches` (lines to numbered batches), this file (where they go).

mod line;
mod batches;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use log_record::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::config::ImportOptions;
use crate::store::{Appended, Incoming, Store, StoreError};
use crate::terminal::note;

use batches::{Batches, Sealed};

/// Batches on their way at once: they are committed together.
const AT_ONCE: usize = 8;
/// Magic numbers of the compressions that are read.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Where batches go.
#[derive(Clone)]
enum Sink {
    Store(Store),
    Redis(rpc::Client),
}

/// What became of a file's records.
#[derive(Default)]
struct Tally {
    stored: usize,
    known: usize,
    rejected: usize,
}

/// Imports the files, `-` being the input, and says how many records came of each.
///
/// # Errors
/// When a file cannot be read or its records cannot be stored. What was stored stays; the same import can be run again.
pub async fn import(options: ImportOptions) -> anyhow::Result<()> {
    let sink = match &options.redis {
        Some(url) => Sink::Redis(rpc::Client::builder(&options.queue).redis(url).build()?),
        None => Sink::Store(open(&options.data)?),
    };
    let mut outcome = Ok(());
    for file in &options.files {
        outcome = one(file, &options, &sink)
            .await
            .with_context(|| file.display().to_string());
        if outcome.is_err() {
            break;
        }
    }
    if let Sink::Store(store) = sink {
        tokio::task::spawn_blocking(move || store.close()).await?;
    }
    outcome
}

fn open(data: &Path) -> anyhow::Result<Store> {
    Store::open(data).map_err(|error| match error {
        StoreError::InUse(_) => {
            anyhow::Error::from(error).context("send to the running server with --redis URL")
        }
        other => other.into(),
    })
}

async fn one(path: &Path, options: &ImportOptions, sink: &Sink) -> anyhow::Result<()> {
    let is_input = path.as_os_str() == "-";
    let stem = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = stem
        .as_deref()
        .and_then(|name| name.split('.').find(|part| !part.is_empty()));
    let named = if is_input { None } else { stem };
    let service = options
        .service
        .as_deref()
        .or(named)
        .unwrap_or("import")
        .to_owned();
    let size = if is_input {
        None
    } else {
        Some(std::fs::metadata(path)?.len())
    };
    let bar = bar(size, path);
    let (sender, receiver) = mpsc::channel::<Sealed>(AT_ONCE);
    let (reader_bar, owned) = (bar.clone(), path.to_owned());
    let reader = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let input: Box<dyn Read> = if is_input {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(owned)?)
        };
        let mut batches = Batches::new(unpacked(reader_bar.wrap_read(input))?, &service)?;
        while let Some(batch) = batches.next()? {
            // Nobody takes it any more: the error is at the other end.
            if sender.blocking_send(batch).is_err() {
                break;
            }
        }
        Ok(())
    });
    let batches = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|batch| (batch, receiver))
    });
    let answers = batches.map(|batch| append(sink.clone(), batch)).buffered(AT_ONCE);
    let mut answers = Box::pin(answers);
    let mut tally = Tally::default();
    while let Some(answer) = answers.next().await {
        let (stored, known, rejected) = answer?;
        tally.stored += stored;
        tally.known += known;
        tally.rejected += rejected;
    }
    reader.await??;
    bar.finish_and_clear();
    let mut text = format!("{}: {} records stored", path.display(), tally.stored);
    if tally.known > 0 {
        text.push_str(&format!(", {} had been before", tally.known));
    }
    if tally.rejected > 0 {
        text.push_str(&format!(", {} could not be read", tally.rejected));
    }
    note(&text);
    Ok(())
}

/// The reader behind the compression that its first bytes tell of.
fn unpacked(input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let first = input.fill_buf()?;
    Ok(if first.starts_with(&GZIP) {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input)))
    } else if first.starts_with(&ZSTD) {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?))
    } else {
        Box::new(input)
    })
}

/// How many records are stored now, were stored before, and cannot be read.
async fn append(sink: Sink, sealed: Sealed) -> anyhow::Result<(usize, usize, usize)> {
    match sink {
        Sink::Store(store) => {
            let arrived = Timestamp::now();
            let incoming = Incoming::read(&sealed.text, arrived)?;
            let rejected = incoming.rejected.len();
            let stored = sealed.records - rejected;
            match store.append(incoming).await {
                Ok(Appended::Stored) => Ok((stored, 0, rejected)),
                Ok(Appended::Duplicate) => Ok((0, stored, rejected)),
                Err(error) => Err(changed(error)),
            }
        }
        Sink::Redis(client) => {
            let batch = RawValue::from_string(sealed.text)?;
            let answer: Value = client.call("append", (batch,)).await?;
            let rejected = answer["rejected"].as_array().map_or(0, Vec::len);
            let stored = sealed.records - rejected;
            let known = answer["duplicate"] == true;
            Ok(if known {
                (0, stored, rejected)
            } else {
                (stored, 0, rejected)
            })
        }
    }
}

fn changed(error: StoreError) -> anyhow::Error {
    let is_reused = matches!(error, StoreError::Reused { .. });
    let error = anyhow::Error::from(error);
    if is_reused {
        error.context(
            "it was imported before and has changed since; --service NAME imports it anew under another name",
        )
    } else {
        error
    }
}

/// Shown only on a terminal.
fn bar(size: Option<u64>, path: &Path) -> ProgressBar {
    let template = match size {
        Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{prefix} {spinner} {bytes} {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the templates are well-formed");
    let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style).with_prefix(path.display().to_string())
}
