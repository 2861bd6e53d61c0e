//! `replay FILE…`: sends log files that something else wrote through the layer, line by line. Each line becomes a
//! record with the level and time that can be told from it; nothing is lost when a file is larger than the buffer.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use examples::line::recognise;
use jiff::Timestamp;
use log_layer::Guard;
use tracing::Level;
use tracing_subscriber::prelude::*;

/// Sends log files through the layer, line by line.
#[derive(Parser)]
#[command(
    after_help = "The Redis is taken from LOG_LAYER_REDIS_URL, redis://127.0.0.1:6379 by default.\n\nExample:\n  replay /var/log/syslog --service syslog --now"
)]
struct Options {
    /// The files; each becomes a service named after it
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// One service name for all files
    #[arg(long)]
    service: Option<String>,
    /// Give records the time of sending instead of the time in the line
    #[arg(long)]
    now: bool,
}

/// Bytes waiting above which sending pauses: well below what the layer holds, so that it never refuses a line.
const HIGH_WATER: usize = 2 * 1024 * 1024;
/// How long the server may be away before sending is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines between two looks at the buffer.
const STRIDE: u64 = 500;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    for path in &options.files {
        let named = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
        let service = options.service.clone().or(named).context("a file needs a name")?;
        let (lines, took) = send(path, &service, options.now)?;
        let rate = lines as f64 / took.as_secs_f64().max(1e-9);
        // Whoever started it may have closed stdout; the records are sent all the same.
        let _ = writeln!(
            std::io::stdout(),
            "{}: {lines} lines as service {service}, {rate:.0} a second",
            path.display()
        );
    }
    Ok(())
}

fn send(path: &Path, service: &str, now: bool) -> anyhow::Result<(u64, Duration)> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let (layer, guard) = log_layer::builder(service).level(Level::TRACE).build();
    let subscriber = tracing_subscriber::registry().with(layer);
    let started = Instant::now();
    let lines = tracing::subscriber::with_default(subscriber, || replay(BufReader::new(file), &guard, now))?;
    let report = guard.shutdown(PATIENCE);
    anyhow::ensure!(
        report.still_buffered == 0 && report.dropped == 0,
        "{}: {} records were not delivered and {} were refused; is the log server running?",
        path.display(),
        report.still_buffered,
        report.dropped
    );
    Ok((lines, started.elapsed()))
}

fn replay(mut file: impl std::io::BufRead, guard: &Guard, now: bool) -> anyhow::Result<u64> {
    let (mut bytes, mut number) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut bytes)? > 0 {
        number += 1;
        // Old files are not always UTF-8; what is not is shown as such rather than left out.
        let text = String::from_utf8_lossy(&bytes);
        emit(text.trim_end_matches(['\n', '\r']), number, now);
        bytes.clear();
        if number % STRIDE == 0 && guard.stats().buffered_bytes > HIGH_WATER {
            let report = guard.flush(PATIENCE);
            anyhow::ensure!(
                report.still_buffered == 0,
                "the log server takes nothing; stopped at line {number}"
            );
        }
    }
    Ok(number)
}

/// A level is part of a call-site, so each has its own.
fn emit(line: &str, number: u64, now: bool) {
    let found = recognise(line, Timestamp::now());
    let time = found
        .time
        .filter(|_| !now)
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    macro_rules! send {
        ($level:expr) => {
            tracing::event!(target: "replay", $level, line_number = number, log.time = time, "{line}")
        };
    }
    match found.level {
        Some(Level::TRACE) => send!(Level::TRACE),
        Some(Level::DEBUG) => send!(Level::DEBUG),
        Some(Level::WARN) => send!(Level::WARN),
        Some(Level::ERROR) => send!(Level::ERROR),
        Some(Level::INFO) | None => send!(Level::INFO),
    }
}
