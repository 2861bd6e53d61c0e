//! A Redis of one test's own, on a port of its own.

use std::process::Stdio;
use std::time::Instant;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{PATIENCE, free_port};

/// A private Redis that keeps nothing on disk. Killed when dropped.
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub async fn start() -> RedisServer {
        let mut redis = RedisServer::absent();
        redis.run().await;
        redis
    }

    /// A Redis that is not running; its address is known already.
    pub fn absent() -> RedisServer {
        RedisServer {
            port: free_port(),
            directory: TempDir::new().unwrap(),
            child: None,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, empty.
    pub async fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        command
            .arg(self.directory.path())
            .kill_on_drop(true)
            .process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("redis-server is installed by `make test`");
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while self.connect().await.is_err() {
            assert!(
                Instant::now() < deadline,
                "redis-server does not answer on port {port}"
            );
        }
    }

    /// kill -9: everything in it is gone.
    pub async fn kill(&mut self) {
        self.child.take().expect("it is running").kill().await.unwrap();
    }

    /// A connection.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        self.connect().await.unwrap()
    }

    async fn connect(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }
}
