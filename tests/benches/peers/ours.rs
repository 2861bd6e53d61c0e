//! The log server behind a Redis with an append-only file, as in production.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use e2e::{Process, free_port, until};
use futures_util::StreamExt as _;
use rpc::{Client, RawArgs};
use rustix::process::Pid;
use serde_json::{Value, json};

use crate::measured::memory;

/// As many batches unacknowledged as two layers allow themselves.
const WINDOW: usize = 8;

pub struct Server {
    redis: Child,
    url: String,
    process: Process,
    page: String,
    http: reqwest::Client,
}

impl Server {
    /// On what is in `data/ours`, if there is something.
    pub async fn start(data: &Path) -> Server {
        let (directory, port) = (data.join("ours"), free_port().to_string());
        let queue = data.join("redis");
        std::fs::create_dir_all(&queue).unwrap();
        let options = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--dir",
        ];
        let redis = Command::new("redis-server")
            .args(options)
            .arg(&queue)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("redis://127.0.0.1:{port}");
        let directory = directory.to_str().expect("its path is text");
        let arguments = ["--data", directory, "--redis", &url, "--listen", "127.0.0.1:0"];
        let began = Instant::now();
        let mut process = Process::start("log-server", &arguments, &[]);
        let page = process.told("  page      ").await;
        until("a server that is ready", async || {
            let ready = reqwest::get(format!("{page}/readyz")).await;
            match ready.and_then(reqwest::Response::error_for_status) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        println!("ours is ready after {:.0?}", began.elapsed());
        Server {
            redis,
            url,
            process,
            page,
            http: reqwest::Client::new(),
        }
    }

    /// Sends everything through Redis and waits for every acknowledgement: what is acknowledged is on disk and found.
    /// Returns how long that took.
    pub async fn ingest(&self, batches: Vec<String>) {
        let client = Client::builder("logs").redis(&self.url).build().unwrap();
        let calls = futures_util::stream::iter(batches).map(|batch| {
            let client = client.clone();
            let call = async move {
                let args = format!("[{batch}]");
                let params = RawArgs {
                    args,
                    kwargs: "{}".into(),
                };
                let answer: Value = client
                    .request("append")
                    .params(params)
                    .no_deadline()
                    .send()
                    .await
                    .expect("it is stored");
                assert_eq!(answer["rejected"], json!([]), "{answer}");
            };
            async { tokio::spawn(call).await.unwrap() }
        });
        calls.buffer_unordered(WINDOW).collect::<()>().await;
    }

    /// The answer to a request, as text.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let request = self.http.get(format!("{}{path}", self.page)).query(parameters);
        request
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    pub fn memory(&self) -> String {
        memory(self.pid())
    }

    pub async fn stop(mut self) {
        assert!(self.process.stop().await.success());
        self.redis.kill().unwrap();
        self.redis.wait().unwrap();
    }
}
