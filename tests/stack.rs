//! The whole system for one test: a private Redis, a log server process, and ways to ask it.
//!
//! Everything is on ports of its own and in a directory of its own, so all tests run side by side; everything is gone
//! when the [`Stack`] is dropped. Nothing here sleeps to be right: [`until`] waits for a condition, with a deadline,
//! and says what it saw last.

mod processes;
mod redis_server;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use processes::{Process, binary, free_port};
pub use redis_server::RedisServer;

/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis and a log server.
pub struct Stack {
    pub redis: RedisServer,
    pub server: Process,
    /// The page's address.
    pub page: String,
    directory: TempDir,
    listen: u16,
}

impl Stack {
    /// Starts both; the Redis keeps nothing on disk.
    pub async fn start() -> Stack {
        Stack::start_with(RedisServer::start().await).await
    }

    /// Starts the log server on a Redis that is there already.
    pub async fn start_with(redis: RedisServer) -> Stack {
        let directory = TempDir::new().unwrap();
        let listen = free_port();
        let (server, page) = serve(directory.path(), &redis.url(), listen).await;
        Stack {
            redis,
            server,
            page,
            directory,
            listen,
        }
    }

    /// Starts the log server again after it was killed, on the same data and the same port.
    pub async fn restart_server(&mut self) {
        (self.server, self.page) = serve(self.directory.path(), &self.redis.url(), self.listen).await;
    }

    /// The log server's data directory.
    pub fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// An RPC client of the log server's queue.
    pub fn client(&self) -> rpc::Client {
        rpc::Client::builder("logs")
            .redis(self.redis.url())
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    /// The answer to a request of the API; anything but success is a failure of the test.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let (status, body) = self.ask(path, parameters).await;
        assert_eq!(status, 200, "{path} {parameters:?}: {body}");
        body
    }

    /// The status of a request of the API, and the answer if it is JSON.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}{path}", self.page);
        let response = reqwest::Client::new().get(&url).query(parameters).send().await;
        let response = response.unwrap_or_else(|error| panic!("{url}: {error}"));
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    /// How many records match.
    pub async fn count(&self, q: &str) -> u64 {
        self.get("/api/histogram", &[("q", q)]).await["total"]
            .as_u64()
            .unwrap()
    }

    /// Waits until so many records match; more is a failure.
    pub async fn until_count(&self, q: &str, expected: u64) {
        let what = format!("{expected} records that match {q:?}");
        let reached = until(&what, async || {
            let found = self.count(q).await;
            if found >= expected {
                Ok(found)
            } else {
                Err(format!("{found}"))
            }
        });
        assert_eq!(reached.await, expected, "records that match {q:?}");
    }

    /// Every record that matches, newest first, over as many pages as it takes.
    pub async fn all(&self, q: &str) -> Vec<Value> {
        let (mut records, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self
                .get(
                    "/api/search",
                    &[("q", q), ("limit", "10000"), ("cursor", &cursor)],
                )
                .await;
            records.extend(page["records"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return records,
            }
        }
    }
}

async fn serve(directory: &Path, redis: &str, port: u16) -> (Process, String) {
    let data = directory.join("data");
    let listen = format!("127.0.0.1:{port}");
    let mut server = Process::start(
        "log-server",
        &[
            "--data",
            data.to_str().unwrap(),
            "--redis",
            redis,
            "--listen",
            &listen,
            // The webhooks of tests are where the tests are.
            "--webhook-allow",
            "127.0.0.1",
        ],
        &[],
    );
    let page = server.told("  page      ").await;
    until("a server that is ready", async || {
        let response = reqwest::get(format!("{page}/readyz"))
            .await
            .map_err(|error| error.to_string())?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(response.text().await.unwrap_or_default())
        }
    })
    .await;
    (server, page)
}

/// Waits until `condition` holds and returns what it gave. After [`PATIENCE`] the test fails with what was seen last.
#[track_caller]
pub fn until<T>(what: &str, condition: impl AsyncFnMut() -> Result<T, String>) -> impl Future<Output = T> {
    let location = std::panic::Location::caller();
    async move {
        let mut condition = condition;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match condition().await {
                Ok(value) => return value,
                Err(seen) => assert!(
                    Instant::now() < deadline,
                    "{location}: waited for {what}; last seen: {seen}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // polling, with a deadline
        }
    }
}
