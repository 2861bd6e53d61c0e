//! The binary under test: run to its end, or running until dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_log-server");
/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// What it printed, and what it said beside that; it must succeed.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> (String, String) {
    let (code, out, told) = outcome(arguments);
    assert_eq!(code, 0, "{arguments:?}: {told}");
    (out, told)
}

/// Exit code, output, and what it said beside that.
pub(crate) fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A running program, told to stop when dropped, and killed if it does not.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Program {
        let mut command = Command::new(BINARY);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        // It ends with the program's output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Program { child, lines }
    }

    /// What follows `label` on the line that begins with it.
    #[track_caller]
    pub(crate) fn told(&mut self, label: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("it never told {label:?}"));
            if let Some(value) = line.strip_prefix(label) {
                return value.to_owned();
            }
        }
    }

    /// The first line printed while `again` is done again and again.
    #[track_caller]
    pub(crate) fn line_while(&mut self, mut again: impl FnMut()) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            again();
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(500)) {
                return line;
            }
        }
        panic!("nothing was printed within {PATIENCE:?}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20)); // polling, with a deadline
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer to a request, head and all.
pub(crate) fn get(page: &str, path: &str, token: Option<&str>) -> String {
    let address = page.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}
