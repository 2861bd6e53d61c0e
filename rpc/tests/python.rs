//! The real `asyncredisrpc` in a Python process, killed when dropped.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::redis_server::Redis;

/// The Redis library that `asyncredisrpc` runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Redis7,
    /// Gives up whatever takes five seconds, so an idle server ends, and has a hundred connections at most, one for
    /// each call; unless the address says otherwise.
    Redis8,
    /// The same, when the address says nothing.
    Redis8AsItIs,
}

impl Library {
    pub(crate) const ALL: [Self; 2] = [Self::Redis7, Self::Redis8];

    /// What a script is to give as the port: it becomes part of a URL.
    fn port(self, redis: &Redis) -> String {
        match self {
            Self::Redis7 | Self::Redis8AsItIs => redis.port().to_string(),
            Self::Redis8 => format!("{}/0?socket_timeout=86400&max_connections=1000", redis.port()),
        }
    }

    /// Where it is found, or is told to be.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Redis7 => ("python", "RPC_TEST_PYTHON"),
            Self::Redis8 | Self::Redis8AsItIs => ("python8", "RPC_TEST_PYTHON8"),
        }
    }
}

pub(crate) struct Python {
    process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Python {
    /// Runs a script with what it is to give as the Redis port as its argument.
    pub(crate) fn run(library: Library, redis: &Redis, script: &str) -> Self {
        let mut process = Command::new(interpreter(library))
            .args(["-c", script, &library.port(redis)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&mut self) {
        self.process.wait().await.unwrap();
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

fn interpreter(library: Library) -> PathBuf {
    let (folder, variable) = library.place();
    let path = std::env::var_os(variable).map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(3).unwrap().join(folder).join("bin/python")
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
