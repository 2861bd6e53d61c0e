//! VictoriaLogs, fed by plain HTTP.

use std::path::Path;
use std::process::Stdio;

use e2e::{free_port, until};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::measured::memory;
use crate::records::Records;

/// Bytes in one request, and requests at a time: more of either did not make it faster.
const REQUEST: usize = 4 << 20;
const AT_ONCE: usize = 2;
const INSERT: &str = "/insert/jsonline?_stream_fields=service,host&_time_field=ts&_msg_field=msg";

pub struct Server {
    process: Child,
    address: String,
    http: reqwest::Client,
}

impl Server {
    /// On what is in `data/victoria`, if there is something.
    pub async fn start(binary: &Path, data: &Path) -> Server {
        let listen = format!("127.0.0.1:{}", free_port());
        let process = Command::new(binary)
            .arg(format!("-storageDataPath={}", data.join("victoria").display()))
            .arg(format!("-httpListenAddr={listen}"))
            .args([
                "-retentionPeriod=100y",
                "-loggerLevel=ERROR",
                "-insert.maxLineSizeBytes=1MB",
            ])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = format!("http://{listen}");
        until("a VictoriaLogs that is ready", async || {
            let healthy = reqwest::get(format!("{address}/health")).await;
            healthy.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Server {
            process,
            address,
            http: reqwest::Client::new(),
        }
    }

    pub async fn ingest(&self, requests: Vec<String>) {
        let sent = futures_util::stream::iter(requests).map(|body| async {
            let request = self.http.post(format!("{}{INSERT}", self.address)).body(body);
            request.send().await.unwrap().error_for_status().unwrap();
        });
        sent.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// The answer to a request, as text.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let request = self.http.get(format!("{}{path}", self.address)).query(parameters);
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
        Pid::from_raw(self.process.id().expect("it is running").cast_signed()).unwrap()
    }

    pub fn memory(&self) -> String {
        memory(self.pid())
    }

    pub async fn stop(mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        assert!(self.process.wait().await.unwrap().success());
    }
}

/// The records as bodies of requests.
pub fn requests(records: &Records) -> Vec<String> {
    let mut requests = Vec::new();
    let mut rest = &records.text[..];
    while !rest.is_empty() {
        let end = rest.as_bytes()[REQUEST.min(rest.len())..]
            .iter()
            .position(|byte| *byte == b'\n');
        let (request, behind) = rest.split_at(end.map_or(rest.len(), |end| REQUEST + end + 1));
        requests.push(request.to_owned());
        rest = behind;
    }
    requests
}
