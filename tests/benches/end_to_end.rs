//! Records per second from a sender over Redis (append-only file on) to durable and searchable, with what it costs the
//! server. `cargo bench -p e2e`; nothing else should run beside it.
//!
//! `BENCH_RECORDS` says how many (1,000,000); `BENCH_FILE` names NDJSON to send instead of records made here, one
//! object a line with `ts level service host target msg trace_id spans fields`.

mod records;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{Process, free_port, until};
use futures_util::StreamExt as _;
use rpc::{Client, RawArgs};
use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// As many batches unacknowledged as one layer allows itself.
const WINDOW: usize = 4;
/// Rounds of each query; the median counts.
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks for a list, and there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let count = std::env::var("BENCH_RECORDS")
        .map_or(1_000_000, |text| text.parse().expect("BENCH_RECORDS is a number"));
    let batches = match std::env::var("BENCH_FILE") {
        Ok(path) => records::from_file(Path::new(&path), count),
        Err(_) => records::made(count),
    };
    let bytes: usize = batches.iter().map(String::len).sum();
    println!(
        "{count} records in {} batches, {} bytes a record on the wire",
        batches.len(),
        bytes / count
    );

    let directory = TempDir::new().unwrap();
    let redis_port = free_port().to_string();
    let mut redis = Command::new("redis-server")
        .args([
            "--port",
            &redis_port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--dir",
        ])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("redis://127.0.0.1:{redis_port}");
    let data = directory.path().join("data");
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--redis",
        &url,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Process::start("log-server", &arguments, &[]);
    let page = server.told("  page      ").await;
    let client = Client::builder("logs").redis(&url).build().unwrap();
    until("a server that answers", async || {
        client
            .call::<Value>("search", ())
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await;
    println!("idle: {} MB resident", resident_kb(server.pid(), "VmRSS") / 1024);

    let before = processor_time(server.pid());
    let started = Instant::now();
    ingest(&client, batches).await;
    let took = started.elapsed();
    let used = processor_time(server.pid()) - before;
    let per_million = 1e6 / count as f64;
    println!(
        "ingest: {:.0} records/s; server {:.2} CPU s per million, {} MB resident, {} MB at most; {:.1} bytes a record on disk",
        count as f64 / took.as_secs_f64(),
        used.as_secs_f64() * per_million,
        resident_kb(server.pid(), "VmRSS") / 1024,
        resident_kb(server.pid(), "VmHWM") / 1024,
        size(&data.join("logs")) as f64 / count as f64,
    );
    for (name, path) in [
        ("newest 100", "/api/search?q="),
        ("common word", "/api/search?q=connection"),
        (
            "warnings of one service",
            "/api/search?q=service:payment%20level:warn",
        ),
        ("histogram of everything", "/api/histogram?q="),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let answer: Value = reqwest::get(format!("{page}{path}"))
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert!(answer["scanned"].is_u64(), "{answer}");
            times.push(started.elapsed());
        }
        times.sort();
        println!(
            "{name}: {:.1} ms (median of {ROUNDS})",
            times[ROUNDS / 2].as_secs_f64() * 1e3
        );
    }
    server.stop().await;
    redis.kill().unwrap();
    redis.wait().unwrap();
}

/// Sends all batches, so many at once, and waits for every acknowledgement.
async fn ingest(client: &Client, batches: Vec<String>) {
    let calls = futures_util::stream::iter(batches).map(|batch| async move {
        let params = RawArgs {
            args: format!("[{batch}]"),
            kwargs: "{}".into(),
        };
        let answer: Value = client
            .request("append")
            .params(params)
            .no_deadline()
            .send()
            .await
            .expect("it is stored");
        assert_eq!(answer["rejected"], serde_json::json!([]), "{answer}");
    });
    calls.buffer_unordered(WINDOW).collect::<()>().await;
}

/// What a process has used of the processors; Linux only, zero elsewhere.
fn processor_time(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

/// A memory figure of a process in KiB; Linux only, zero elsewhere.
fn resident_kb(pid: Pid, name: &str) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn size(directory: &Path) -> u64 {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}
