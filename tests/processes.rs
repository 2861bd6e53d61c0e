//! Processes of this workspace, started for one test and gone with it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::PATIENCE;

/// A running program. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program of this workspace.
    pub fn start(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary(name));
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied());
        Process::spawn(name, command)
    }

    fn spawn(name: &str, mut command: Command) -> Process {
        command.kill_on_drop(true).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Process {
            name: name.to_owned(),
            stdout,
            child,
        }
    }

    /// Runs a program to its end; returns its exit code and what it said on stderr.
    pub async fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = Command::new(binary(name));
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        let output = timeout(PATIENCE, command.output())
            .await
            .expect("it ends")
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Runs a program to its end, which must be a good one; returns what it said on stdout and stderr.
    pub async fn output(name: &str, arguments: &[&str]) -> (String, String) {
        let mut command = Command::new(binary(name));
        command.args(arguments).kill_on_drop(true).stdin(Stdio::null());
        let output = timeout(PATIENCE, command.output())
            .await
            .expect("it ends")
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{name} {arguments:?}: {stderr}");
        (stdout, stderr)
    }

    /// What it says on stdout after `prefix` on a line of its own.
    pub async fn told(&mut self, prefix: &str) -> String {
        let told = timeout(PATIENCE, async {
            while let Some(line) = self.stdout.next_line().await.unwrap() {
                if let Some(rest) = line.strip_prefix(prefix) {
                    return Some(rest.to_owned());
                }
            }
            None
        });
        let told = told
            .await
            .map_err(|_| format!("{} never said {prefix:?}", self.name))
            .unwrap();
        match told {
            Some(told) => told,
            None => panic!(
                "{} ended without saying {prefix:?}; its complaint is on stderr",
                self.name
            ),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it is running").cast_signed()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| format!("{} does not end", self.name))
            .unwrap()
            .unwrap()
    }

    /// kill -9.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// SIGTERM, then its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }
}

/// The path of a program of this workspace, built beside the tests.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("tests are built in <target>/<profile>/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build --workspace --bins`",
        path.display()
    );
    path
}

/// A port that nobody has now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
