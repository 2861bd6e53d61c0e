//! A private Redis per test, killed when dropped. It keeps its port and its data over a restart.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// Long enough for a loaded machine; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Redis {
    process: Option<Child>,
    port: u16,
    data: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let mut redis = Self::prepare(arguments);
        redis.up().await;
        redis
    }

    /// A Redis that does not run yet.
    pub(crate) fn prepare(arguments: &[&str]) -> Self {
        let port = free_port();
        let arguments = arguments.iter().map(|argument| argument.to_string()).collect();
        Self {
            process: None,
            port,
            data: TempDir::new().unwrap(),
            arguments,
        }
    }

    pub(crate) async fn up(&mut self) {
        let process = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "yes",
            ])
            .args([
                "--appendfsync",
                "always",
                "--dir",
                self.data.path().to_str().unwrap(),
            ])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is on the PATH");
        self.process = Some(process);
        let port = self.port;
        until(async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        self.connection_to(self.url()).await.unwrap()
    }

    /// None while it does not let anybody in.
    pub(crate) async fn connection_as(&self, password: &str) -> Option<MultiplexedConnection> {
        let url = format!("redis://:{password}@127.0.0.1:{}", self.port);
        self.connection_to(url).await.ok()
    }

    async fn connection_to(&self, url: String) -> redis::RedisResult<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(url).unwrap();
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Runs one command, written as in `redis-cli`, without quoting.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>())
            .query_async(&mut self.connection().await)
            .await
            .unwrap()
    }

    /// Listens to what it is told from now on.
    pub(crate) async fn overhear(&self) -> Overheard {
        let client = redis::Client::open(self.url()).unwrap();
        Overheard(client.get_async_monitor().await.unwrap())
    }

    /// Appends a text to the list of requests of `queue`.
    pub(crate) async fn push(&self, queue: &str, request: impl redis::ToRedisArgs) {
        let mut cmd = redis::cmd("RPUSH");
        cmd.arg(format!("asyncredisrpc:{queue}")).arg(request);
        cmd.query_async::<()>(&mut self.connection().await).await.unwrap();
    }

    /// Waits for the reply to request `id` and parses it.
    pub(crate) async fn reply(&self, queue: &str, id: &str) -> serde_json::Value {
        let mut cmd = redis::cmd("BLPOP");
        cmd.arg(format!("asyncredisrpc:{queue}:{id}"))
            .arg(PATIENCE.as_secs() / 2);
        let reply: Option<(String, String)> = cmd.query_async(&mut self.connection().await).await.unwrap();
        let (_, reply) = reply.unwrap_or_else(|| panic!("no reply to {id}"));
        serde_json::from_str(&reply).unwrap()
    }
}

/// Everything that Redis is told from some moment on.
pub(crate) struct Overheard(redis::aio::Monitor);

impl Overheard {
    /// What was said up to now, a line for each command: when, by whom, and its words in quotation marks.
    pub(crate) async fn so_far(&mut self, redis: &Redis) -> Vec<String> {
        let mark = format!("{:016x}", fastrand::u64(..));
        redis.command::<()>(&format!("ECHO {mark}")).await;
        let mut lines = Vec::new();
        let mut said = self.0.on_message::<String>();
        while let Some(line) = said.next().await
            && !line.contains(&mark)
        {
            lines.push(line);
        }
        lines
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens at. It is none of those from which connections are made: one of them would hold it now
/// and then, and who tries to connect to one from which nobody listens may reach himself.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "the condition did not become true");
        tokio::time::sleep(Duration::from_millis(5)).await; // polling
    }
}
