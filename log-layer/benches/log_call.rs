//! What one log call costs the program: the same event, five fields inside two spans, through several layers.
//! `cargo bench -p layer-benches --bench log_call`; nothing else should run beside it. Each thread logs `BENCH_SPACED`
//! events one millisecond apart (3,000), `BENCH_BURSTS` a hundred at a time with a pause behind them (20,000), and
//! `BENCH_FLOOD` without a pause (100,000), where most are refused; 0 leaves that out. `BENCH_SUBJECTS` names subjects,
//! with `;` between them.
//!
//! Every case is a process of its own, because a subscriber is installed once for all threads. Times are those of the
//! single call by the processor's clock, less what reading that clock costs.

mod allocations;
mod measure;
mod mode;
mod server;
mod sink;
mod subject;
mod times;

use std::process::Command;

use measure::{Case, Row};
use mode::Mode;
use subject::Subject;

const THREADS: [usize; 3] = [1, 4, 16];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` asks for a list, and there is none.
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--case") {
        let case = Case::parse(&arguments[at + 1..]).expect("a case");
        println!("{}", measure::run(&case));
        return;
    }
    let wanted = std::env::var("BENCH_SUBJECTS").unwrap_or_default();
    let subjects: Vec<_> = Subject::ALL
        .into_iter()
        .filter(|subject| wanted.is_empty() || wanted.split(';').any(|name| name == subject.name()))
        .collect();
    for mode in Mode::ALL.into_iter().filter(|mode| mode.is_wanted()) {
        for threads in THREADS {
            table(&subjects, mode, threads);
        }
    }
}

/// Runs one case for each subject, and prints them side by side.
fn table(subjects: &[Subject], mode: Mode, threads: usize) {
    println!("\n## {mode}, {threads} threads\n");
    println!(
        "| through | p50 ns | p99 ns | p99.9 ns | interrupted per ms | × ours | allocations | bytes allocated | bytes shipped | kept |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let rows: Vec<(Subject, Row)> = subjects
        .iter()
        .map(|&subject| {
            (
                subject,
                child(&Case {
                    subject,
                    mode,
                    threads,
                }),
            )
        })
        .collect();
    let ours = rows.iter().find(|(subject, _)| *subject == Subject::Ours);
    let ours = ours.map_or(f64::NAN, |(_, row)| row.p50);
    for (subject, row) in rows {
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} % |",
            subject.name(),
            row.p50,
            row.p99,
            row.p999,
            row.interruptions,
            row.p50 / ours,
            row.allocations,
            row.allocated_bytes,
            row.shipped_bytes,
            row.kept * 100.0,
        );
    }
}

fn child(case: &Case) -> Row {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--case")
        .args(case.arguments())
        // The comparison is of layers, not of what somebody has set.
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{case:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}
