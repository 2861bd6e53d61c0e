//! A Redis of the test's own, on a unix socket in a directory of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::until;

pub(crate) struct Redis {
    directory: Arc<TempDir>,
    pub(crate) process: Child,
}

/// Where a Redis is, was or will be.
#[derive(Clone)]
pub(crate) struct Place(Arc<TempDir>);

impl Place {
    pub(crate) fn new() -> Place {
        Place(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", socket(self.0.path()).display())
    }

    /// Starts a Redis that keeps nothing on disk, and waits until it answers.
    pub(crate) fn start(&self) -> Redis {
        let directory = self.0.clone();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(socket(directory.path()))
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Redis { directory, process };
        until("Redis answers", || {
            redis
                .ask("PING")
                .is_some_and(|answer| answer == "+PONG")
                .then_some(())
        });
        redis
    }
}

impl Redis {
    pub(crate) fn url(&self) -> String {
        Place(self.directory.clone()).url()
    }

    /// One command in the inline form, answered in one line.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut stream = UnixStream::connect(socket(self.directory.path())).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "{command}\r\n").ok()?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).ok()? == 1 && byte[0] != b'\r' {
            answer.push(byte[0]);
        }
        String::from_utf8(answer).ok()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Killed, as by a crash; it may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(directory: &Path) -> std::path::PathBuf {
    directory.join("redis.sock")
}
