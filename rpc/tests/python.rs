//! The real `asyncredisrpc` in a Python process, killed when dropped.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::redis_server::Redis;

pub(crate) struct Python {
    _process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Python {
    /// Runs a script with the Redis port as its argument.
    pub(crate) fn run(redis: &Redis, script: &str) -> Self {
        let mut process = Command::new(interpreter())
            .args(["-c", script, &redis.port().to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _process: process,
            lines,
        }
    }

    /// The next line that the script prints, as JSON.
    pub(crate) async fn line(&mut self) -> serde_json::Value {
        let line = self
            .lines
            .next_line()
            .await
            .unwrap()
            .expect("the script ended early");
        serde_json::from_str(&line).unwrap()
    }
}

fn interpreter() -> PathBuf {
    let path = std::env::var_os("RPC_TEST_PYTHON").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(3).unwrap().join("python/bin/python")
        },
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "there is no Python with asyncredisrpc at {}: `make test` creates it",
        path.display()
    );
    path
}
