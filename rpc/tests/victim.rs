//! A server in a process of its own, which can be paused and killed. The process is this very test binary, told by its
//! environment to be the server.

use std::env::{current_exe, var};
use std::process::{Child, Command, Stdio};

/// Where the victim is to serve.
const URL: &str = "RPC_TEST_VICTIM";

/// Where it is to leave its traces.
const TRACES: &str = "RPC_TEST_VICTIM_TRACES";

/// Killed when dropped, even if it is paused.
pub(crate) struct Victim(Child);

impl Victim {
    /// Where this process is to serve, if it is the victim of the test that runs.
    pub(crate) fn url() -> Option<String> {
        var(URL).ok()
    }

    /// The same, and where it is to leave its traces.
    pub(crate) fn url_and_traces() -> Option<(String, String)> {
        Some((var(URL).ok()?, var(TRACES).ok()?))
    }

    /// Runs this test in another process, as the victim.
    pub(crate) fn start(test: &str, url: &str) -> Self {
        Self::with_traces(test, url, url)
    }

    pub(crate) fn with_traces(test: &str, url: &str, traces: &str) -> Self {
        let process = Command::new(current_exe().unwrap())
            .args([test, "--exact"])
            .env(URL, url)
            .env(TRACES, traces)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(process.unwrap())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// As `kill -9` does. Its parent, this process, hears of it before this returns.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}
