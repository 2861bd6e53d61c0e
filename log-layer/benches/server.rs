//! A Redis and a log server that stores nothing, for a layer that wants both alive.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rpc::Server;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::sink::Arrived;

pub struct Redis {
    directory: TempDir,
    process: Child,
}

impl Redis {
    pub fn start() -> Redis {
        let directory = TempDir::new().unwrap();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while !directory.path().join("redis.sock").exists() {
            std::thread::sleep(Duration::from_millis(5)); // polling
        }
        Redis { directory, process }
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.directory.path().join("redis.sock").display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Deserialize)]
struct Append {
    batch: Box<RawValue>,
}

/// Takes every batch. The thread ends with the process.
pub fn serve(url: String, arrived: Arrived) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        let server = Server::builder("logs")
            .redis(&url)
            .method("append", move |append: Append| {
                arrived.add(append.batch.get().len() as u64, 0);
                std::future::ready(Ok::<Value, rpc::Fault>(
                    json!({"stored": 1, "duplicate": false, "rejected": []}),
                ))
            })
            .build()?;
        server.run(CancellationToken::new()).await
    });
    served.expect("the server serves until the process ends");
}
