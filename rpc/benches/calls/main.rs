//! Calls per second, how long one takes and what it costs: ours, Python's `asyncredisrpc`, and the bare limit, which is
//! the same lists moved by the same Redis library with no call around them. All in one run, in turns; medians.
//! `cargo bench -p rpc --profile dist`; nothing else should run beside it.
//!
//! `BENCH_CALLS` says how many calls a measurement has (20,000), `BENCH_ROUNDS` how many measurements there are (5),
//! `BENCH_ONLY`, if given, what the names of the measured begin with, `rpc` say, and `BENCH_IN_FLIGHT` how many calls of
//! `rpc` and of Python are under way, instead of one after the other number of them.
//! Python is left out, and said to be, where `target/python` is missing: `make test` creates it.

#![expect(clippy::unwrap_used, reason = "a benchmark ends when something is wrong")]
#![expect(clippy::print_stdout, reason = "that is what a benchmark is for")]

mod allocations;
mod bare;
mod ours;
mod process;
mod python;
mod redis_server;
mod sample;

use std::process::Command;

use bare::Taking;
use redis_server::Redis;
use sample::{Row, Sample};

/// How many calls are under way at once.
const IN_FLIGHT: [usize; 3] = [1, 50, 1000];

/// As many elements as the bare limit moves at once.
const PIPELINED: [usize; 2] = [50, 500];

// One thread a process: client, server and Redis then share two cores as Python's do.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        // `cargo test --benches` asks for a list, and there is none.
        Some("--list") => return,
        Some("--serve") => return ours::serve(&arguments[2]).await,
        Some("--echo") => return bare::echo(&arguments[2], &arguments[3], &arguments[4]).await,
        _ => {}
    }
    let (calls, rounds) = (number("BENCH_CALLS", 20_000), number("BENCH_ROUNDS", 5));
    println!("{calls} calls a measurement, a fifth of that one after the other; {rounds} rounds, medians\n");
    let redis = Redis::start().await;
    let ours = ours::Pair::start(&redis).await;
    let python = python::Pair::start(&redis).await;
    if python.is_none() {
        println!("there is no target/python, so there is nothing to compare with\n");
    }
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let wanted = |name: &str| name.starts_with(&only);
    let mut rows: Vec<Row> = Vec::new();
    let one = [number("BENCH_IN_FLIGHT", 0)];
    let in_flights = if one == [0] { &IN_FLIGHT[..] } else { &one };
    for _ in 0..rounds {
        for &in_flight in in_flights {
            let calls = if in_flight == 1 { calls / 5 } else { calls };
            if wanted("rpc") {
                let sample = ours.measure(&redis, in_flight, calls).await;
                add(&mut rows, "rpc", in_flight, sample);
            }
            if let Some(python) = python.as_ref().filter(|_| wanted("asyncredisrpc")) {
                let sample = python.measure(&redis, in_flight, calls).await;
                add(&mut rows, "asyncredisrpc", in_flight, sample);
            }
        }
        for (taking, one_by_one, pipelined) in [
            (Taking::Popped, "bare, one by one", "bare, pipelined"),
            (Taking::Moved, "safe, one by one", "safe, pipelined"),
        ] {
            if wanted(one_by_one) {
                let sample = bare::measure(&redis, taking, 1, calls / 5).await;
                add(&mut rows, one_by_one, 1, sample);
                for at_once in PIPELINED {
                    let sample = bare::measure(&redis, taking, at_once, calls).await;
                    add(&mut rows, pipelined, at_once, sample);
                }
            }
        }
    }
    sample::print(&rows);
    ratios(&rows);
    println!(
        "\nallocations per call, client and server together: {:.1}",
        ours::allocations(&redis, calls).await
    );
    if wanted("redis-benchmark") {
        redis_benchmark(&redis, calls);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

fn add(rows: &mut Vec<Row>, name: &'static str, in_flight: usize, sample: Sample) {
    match rows
        .iter_mut()
        .find(|row| row.name == name && row.in_flight == in_flight)
    {
        Some(row) => row.samples.push(sample),
        None => rows.push(Row {
            name,
            in_flight,
            samples: vec![sample],
        }),
    }
}

/// The goals: how near the limit, how far from Python.
fn ratios(rows: &[Row]) {
    let find = |name: &str, in_flight| {
        rows.iter()
            .find(|row| row.name == name && row.in_flight == in_flight)
    };
    println!();
    for (name, what) in [("bare", "popped"), ("safe", "moved")] {
        if let (Some(ours), Some(bare)) = (find("rpc", 1), find(&format!("{name}, one by one"), 1)) {
            println!(
                "one call takes {:.2} times as long as the bare ping-pong, {what} (median)",
                ours.p50() / bare.p50()
            );
        }
        if let (Some(ours), Some(bare)) = (find("rpc", 50), find(&format!("{name}, pipelined"), 50)) {
            println!(
                "50 in flight reach {:.2} of the bare pipelined echo, {what}",
                ours.rate() / bare.rate()
            );
        }
    }
    for in_flight in IN_FLIGHT {
        if let (Some(ours), Some(python)) = (find("rpc", in_flight), find("asyncredisrpc", in_flight)) {
            println!(
                "{in_flight} in flight: {:.1} times the calls of asyncredisrpc",
                ours.rate() / python.rate()
            );
        }
    }
}

/// What Redis itself says that it can do, if its benchmark is here.
fn redis_benchmark(redis: &Redis, commands: usize) {
    for clients in ["1", "50"] {
        let (port, commands) = (redis.port.to_string(), commands.to_string());
        let arguments = [
            "-p",
            &port,
            "-c",
            clients,
            "-n",
            &commands,
            "-t",
            "rpush,lpop",
            "-q",
        ];
        let Ok(output) = Command::new("redis-benchmark").args(arguments).output() else {
            println!("redis-benchmark is not here");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
        for line in text.lines().filter(|line| line.contains("per second")) {
            println!("redis-benchmark, {clients} clients: {line}");
        }
    }
}
