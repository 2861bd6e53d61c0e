//! Calls of the Python package: a client and a server, a process each.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::redis_server::Redis;
use crate::sample::{Sample, cpu, cpu_since};

const SERVER: &str = r"
import sys
from asyncredisrpc.server import AsyncServer
server = AsyncServer('python', '127.0.0.1', int(sys.argv[1]))

@server.task
async def sum(x, y):
    return x + y

@server.on_server_start
async def started():
    print('true', flush=True)

server.run()
";

/// Says when it is ready, then waits for a line and calls.
const CLIENT: &str = r"
import asyncio, json, resource, sys, time
from asyncredisrpc.client import AsyncClient
port, in_flight, calls = map(int, sys.argv[1:])
# It takes a connection for each call in flight.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

async def main():
    client = AsyncClient('python', '127.0.0.1', port)
    await client.connect()
    latencies, numbers = [], iter(range(calls))
    async def work():
        for number in numbers:
            start = time.perf_counter()
            assert await client.call('sum', number, 1) == (0, number + 1)
            latencies.append(time.perf_counter() - start)
    print('true', flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    print(json.dumps({'wall': time.perf_counter() - start, 'latencies': sorted(latencies)}), flush=True)
    sys.stdin.readline()

asyncio.run(main())
";

pub(crate) struct Pair {
    interpreter: PathBuf,
    server: Process,
}

struct Process {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Process {
    fn start(interpreter: &PathBuf, script: &str, arguments: &[usize]) -> Self {
        let mut child = Command::new(interpreter)
            .args(["-c", script])
            .args(arguments.iter().map(usize::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> Value {
        let line = self
            .lines
            .next_line()
            .await
            .unwrap()
            .expect("the script ended early");
        serde_json::from_str(&line).unwrap()
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }
}

impl Pair {
    /// Nothing if there is no Python with the package.
    pub(crate) async fn start(redis: &Redis) -> Option<Self> {
        let bench = std::env::current_exe().unwrap();
        let interpreter = bench.ancestors().nth(3).unwrap().join("python/bin/python");
        if !interpreter.exists() {
            return None;
        }
        let mut server = Process::start(&interpreter, SERVER, &[redis.port.into()]);
        server.line().await;
        Some(Self { interpreter, server })
    }

    pub(crate) async fn measure(&self, redis: &Redis, in_flight: usize, calls: usize) -> Sample {
        let mut client = Process::start(&self.interpreter, CLIENT, &[redis.port.into(), in_flight, calls]);
        client.line().await;
        let pids = [client.pid(), self.server.pid(), redis.pid()];
        let (before, commands) = (pids.map(cpu), redis.commands().await);
        let mut go = client.child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut go, b"\n").await.unwrap();
        let told = client.line().await;
        let seconds = |value: &Value| Duration::from_secs_f64(value.as_f64().unwrap());
        Sample {
            calls,
            wall: seconds(&told["wall"]),
            latencies: told["latencies"]
                .as_array()
                .unwrap()
                .iter()
                .map(seconds)
                .collect(),
            commands: redis.commands().await - commands,
            cpu: cpu_since(pids, before),
        }
    }
}
