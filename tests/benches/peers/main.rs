//! What the log server costs, and what VictoriaLogs costs beside it: records per second, processor time, memory, bytes
//! on disk, and how long the same questions take over HTTP. `make bench-peers`; nothing else should run beside it.
//!
//! | variable | |
//! |---|---|
//! | `VICTORIA_LOGS` | path of its binary; without it only our server is measured |
//! | `BENCH_RECORDS` | how many records at most (1,000,000) |
//! | `BENCH_FILE` | NDJSON with `ts level service host target msg trace_id spans fields`, or a directory of plain log files, or `random` for text without templates; made here if it is not set |
//! | `BENCH_BATCH` | records in a batch (1,000) |
//! | `BENCH_REPEAT` | how often they are sent, each time by other senders and later (1): for more than fit into memory |
//! | `BENCH_DATA` | where both keep their data, which must not be there yet; or, if it is, the data to ask about, and nothing is sent |
//! | `BENCH_ROUNDS` | rounds of each question (9) |

mod measured;
mod ours;
mod questions;
mod records;
mod victoria;

use std::path::PathBuf;

use measured::{Cost, settled, size};
use records::Records;
use tempfile::TempDir;

/// A number that the environment may set.
fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks for a list, and there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let temporary = TempDir::new().unwrap();
    let data = std::env::var_os("BENCH_DATA").map_or(temporary.path().join("data"), PathBuf::from);
    let filled = data.exists();
    std::fs::create_dir_all(&data).unwrap();
    let victoria = std::env::var_os("VICTORIA_LOGS").map(PathBuf::from);
    if victoria.is_none() {
        println!("VICTORIA_LOGS names no binary: only our server is measured");
    }
    if !filled {
        let records = Records::from_environment(number("BENCH_RECORDS", 1_000_000));
        println!("{records}");
        println!("{:14} {}", "", Cost::HEAD);
        ingest(records, &data, victoria.as_deref()).await;
    }
    let ours = ours::Server::start(&data).await;
    let theirs = match &victoria {
        Some(binary) => Some(victoria::Server::start(binary, &data).await),
        None => None,
    };
    settled(ours.pid()).await;
    questions::ask(&ours, theirs.as_ref(), number("BENCH_ROUNDS", 9)).await;
    println!("memory after the questions: ours {}", ours.memory());
    if let Some(theirs) = theirs {
        println!("memory after the questions: VictoriaLogs {}", theirs.memory());
        theirs.stop().await;
    }
    ours.stop().await;
}

/// Fills both, one after the other.
async fn ingest(mut records: Records, data: &std::path::Path, victoria: Option<&std::path::Path>) {
    let (repeat, batch) = (number("BENCH_REPEAT", 1), number("BENCH_BATCH", records::BATCH));
    let server = ours::Server::start(data).await;
    let mut cost = Cost::begin(server.pid());
    for round in 0..repeat {
        let batches = records.batches(round, batch);
        cost.sending();
        server.ingest(batches).await;
        cost.sent();
        records.go_on();
    }
    settled(server.pid()).await;
    let count = records.count * repeat;
    let cost = cost.end(count);
    server.stop().await;
    println!(
        "{:14} {cost} {:>9.1}",
        "ours",
        size(&data.join("ours/logs")) / count as f64
    );
    let Some(binary) = victoria else { return };
    records.go_back(repeat);
    let server = victoria::Server::start(binary, data).await;
    let mut cost = Cost::begin(server.pid());
    for _ in 0..repeat {
        let requests = victoria::requests(&records);
        cost.sending();
        server.ingest(requests).await;
        cost.sent();
        records.go_on();
    }
    settled(server.pid()).await;
    let cost = cost.end(count);
    server.stop().await;
    println!(
        "{:14} {cost} {:>9.1}",
        "VictoriaLogs",
        size(&data.join("victoria")) / count as f64
    );
}
