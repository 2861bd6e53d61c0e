//! A private Redis: a child process with its files in the data directory, restarted when it dies, adopted when an
//! earlier server left it running.
//!
//! It listens on loopback only. It has a process group of its own, so that Ctrl-C reaches this server alone, which
//! drains the queue before it stops the child.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::{BrokerError, Ping, ping};

/// Loading a large queue from disk takes a moment.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Redis writes its file out when told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How often the child is looked after.
const WATCH: Duration = Duration::from_millis(500);
/// How often a condition is asked for while starting and stopping.
const POLL: Duration = Duration::from_millis(10);

pub(super) struct Child {
    directory: PathBuf,
    port: u16,
    pid: Pid,
    /// `None` when it was adopted: then it is not our child, and only its pid is known.
    process: Option<tokio::process::Child>,
}

impl Child {
    /// The one that an earlier server left running, if it still answers.
    pub(super) async fn adopt(data: &Path) -> Option<Child> {
        let directory = data.join("redis");
        let number = |file: &str| {
            fs::read_to_string(directory.join(file))
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        };
        let (pid, port) = (
            Pid::from_raw(number("redis.pid")?)?,
            u16::try_from(number("port")?).ok()?,
        );
        let child = Child {
            directory: directory.clone(),
            port,
            pid,
            process: None,
        };
        if test_kill_process(pid).is_err() || !child.is_ours().await {
            return None;
        }
        tracing::info!(port, "adopted the private Redis that an earlier run left behind");
        Some(child)
    }

    /// Whether what answers on the port works in our directory.
    async fn is_ours(&self) -> bool {
        let asked = tokio::time::timeout(super::PATIENCE, async {
            let client = redis::Client::open(self.url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("CONFIG")
                .arg("GET")
                .arg("dir")
                .query_async::<Vec<String>>(&mut connection)
                .await
        });
        let Ok(Ok(answer)) = asked.await else { return false };
        let same = |dir: &String| fs::canonicalize(dir).ok() == fs::canonicalize(&self.directory).ok();
        answer.get(1).is_some_and(same)
    }

    /// Starts a new one and waits until it answers.
    /// Without an earlier run's port it prefers `port`.
    pub(super) async fn start(data: &Path, port: u16) -> Result<Child, BrokerError> {
        let directory = data.join("redis");
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory);
        made.map_err(|error| BrokerError::Child(format!("{}: {error}", directory.display())))?;
        let failed = |error: std::io::Error| BrokerError::Child(error.to_string());
        // Services have been told the port of an earlier run.
        let earlier = fs::read_to_string(directory.join("port"))
            .ok()
            .and_then(|port| port.parse().ok());
        let port = free_port(earlier.unwrap_or(port)).map_err(failed)?;
        let mut child = Child {
            directory,
            port,
            pid: Pid::INIT,
            process: None,
        };
        if let Err(error) = child.spawn().await {
            // Somebody may have taken the port in between; any other is as good, unless that was not the reason.
            tracing::debug!(%error, port = child.port, "trying another port");
            child.port = free_port(0).map_err(failed)?;
            child.spawn().await?;
        }
        Ok(child)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn spawn(&mut self) -> Result<(), BrokerError> {
        let failed = |error: &dyn std::fmt::Display| BrokerError::Child(error.to_string());
        let binary = ["redis-server", "valkey-server"]
            .iter()
            .find_map(|name| which::which(name).ok());
        let binary = binary.ok_or(BrokerError::None)?;
        // Kept beside the data: a later server must find the child on the same port.
        fs::write(self.directory.join("port"), self.port.to_string()).map_err(|error| failed(&error))?;
        let log = self.directory.join("redis.log");
        let port = self.port.to_string();
        let options = [
            ("--bind", "127.0.0.1"),
            ("--port", &port),
            ("--daemonize", "no"),
            ("--pidfile", "redis.pid"),
            ("--logfile", "redis.log"),
            ("--appendonly", "yes"),
            ("--appendfsync", "everysec"),
            ("--save", ""),
            // A full queue must refuse, not forget: senders keep what is refused.
            ("--maxmemory", "512mb"),
            ("--maxmemory-policy", "noeviction"),
        ];
        let mut command = Command::new(binary);
        command.current_dir(&self.directory).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, value) in options {
            command.arg(name).arg(value);
        }
        let mut process = command.spawn().map_err(|error| failed(&error))?;
        let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        self.pid = pid.ok_or_else(|| failed(&"it ended at once"))?;
        let deadline = Instant::now() + START_LIMIT;
        while !matches!(ping(&self.url()).await, Ping::Answers) {
            if let Some(status) = process.try_wait().map_err(|error| failed(&error))? {
                return Err(failed(&format!("it ended with {status}; see {}", log.display())));
            }
            if Instant::now() > deadline {
                return Err(failed(&format!(
                    "no answer within {START_LIMIT:?}; see {}",
                    log.display()
                )));
            }
            sleep(POLL).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Starts it again whenever it has died. Never returns.
    pub(super) async fn supervise(&mut self) {
        loop {
            sleep(WATCH).await;
            let alive = match &mut self.process {
                Some(process) => matches!(process.try_wait(), Ok(None)),
                None => test_kill_process(self.pid).is_ok(),
            };
            if alive {
                continue;
            }
            tracing::warn!("the private Redis has died; starting it again");
            if let Err(error) = self.spawn().await {
                tracing::error!(%error, "the private Redis cannot be started; trying again");
            }
        }
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(mut self) {
        if let Err(error) = kill_process(self.pid, Signal::TERM) {
            tracing::warn!(%error, "the private Redis was gone already");
            return;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            let gone = match &mut self.process {
                Some(process) => !matches!(process.try_wait(), Ok(None)),
                None => test_kill_process(self.pid).is_err(),
            };
            if gone {
                return;
            }
            if Instant::now() > deadline {
                tracing::warn!("the private Redis did not stop within {STOP_LIMIT:?} and is left running");
                return;
            }
            sleep(POLL).await;
        }
    }
}

/// The wanted port if nobody has it, else any.
fn free_port(wanted: u16) -> std::io::Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}
