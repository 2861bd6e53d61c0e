//! What takes programs that are built in another way than these tests, and with them everything that they are made of:
//! where a panic ends the process at once, without unwinding, what was logged before it is stored all the same; and with
//! tracing's `--cfg tracing_unstable` structured values arrive as such.

#![expect(clippy::unwrap_used, reason = "a test, and what helps it, fails by panicking")]

#[path = "delivery/wait.rs"]
mod wait;
#[path = "delivery/redis.rs"]
mod redis;
#[path = "delivery/collector.rs"]
mod collector;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use collector::Collector;
use redis::Place;
use serde_json::json;

/// Builds the program of that name; beside this test's own, in a folder for its profile.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).expect("target/<profile>/deps/<test>");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "last-words",
            "--profile",
            "abort",
            "--target-dir",
        ])
        .arg(target)
        .env("RUSTFLAGS", "--cfg tracing_unstable")
        .status()
        .unwrap();
    assert!(built.success());
    target.join("abort").join(name)
}

/// getsentry/sentry-rust#239; pydantic/logfire-rust#39; fast/fastrace#122; tikv/tikv#8998
#[test]
fn a_panic_that_aborts_the_process_is_stored_with_what_was_logged_before_it() {
    let program = program("last-words");
    for (place, message) in [
        ("main", "in main"),
        ("thread", "in a thread"),
        ("task", "in a task"),
    ] {
        let redis = Place::new().start();
        let collector = Collector::start(&redis.url());
        let output = Command::new(&program)
            .arg(place)
            .env("LOG_LAYER_REDIS_URL", redis.url())
            // Longer than the test: only the panic sends what is not the first record.
            .env("LOG_LAYER_LINGER_MS", "600000")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{place}: {output:?}");
        let records = collector.records();
        let messages: Vec<&str> = records
            .iter()
            .map(|record| record["message"].as_str().unwrap())
            .collect();
        assert_eq!(messages.len(), 101, "{place}");
        assert!(
            messages[..100].iter().all(|message| *message == "before"),
            "{place}"
        );
        assert!(
            messages[100].ends_with(&format!(": {message}")),
            "{place}: {}",
            messages[100]
        );
    }
}

#[test]
fn a_structured_value_arrives_with_its_structure_and_without_its_secrets() {
    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let status = Command::new(program("structured"))
        .env("LOG_LAYER_REDIS_URL", redis.url())
        .status()
        .unwrap();
    assert!(status.success());
    let records = collector.records();
    let user = json!({"name": "ann", "roles": ["Reader", {"Owner": {"since": 7}}], "password": "[redacted]"});
    assert_eq!(records[0]["fields"], json!({"user": user, "channel": 7}));
    assert_eq!(records[0]["spans"][0]["fields"], json!({"of": user}));
}
