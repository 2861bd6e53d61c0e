//! Calls of this crate: a client in this process, a server in another.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rpc::{Client, Fault, Server};
use tokio_util::sync::CancellationToken;

use crate::allocations;
use crate::process::Process;
use crate::redis_server::Redis;
use crate::sample::{Sample, cpu, cpu_since};

pub(crate) struct Pair {
    client: Client,
    server: Process,
}

fn server(url: &str, queue: &str) -> Server {
    let sum = |(x, y): (i64, i64)| async move { Ok::<_, Fault>(x + y) };
    Server::builder(queue)
        .redis(url)
        .method("sum", sum)
        .build()
        .unwrap()
}

/// What the other process does, until it is killed.
pub(crate) async fn serve(url: &str) {
    server(url, "ours").run(CancellationToken::new()).await.unwrap();
}

impl Pair {
    pub(crate) async fn start(redis: &Redis) -> Self {
        let server = Process::start(&["--serve", &redis.url()]);
        let client = Client::builder("ours").redis(redis.url()).build().unwrap();
        assert_eq!(client.call::<i64>("sum", (1, 1)).await.unwrap(), 2);
        Self { client, server }
    }

    pub(crate) async fn measure(&self, redis: &Redis, in_flight: usize, calls: usize) -> Sample {
        let pids = [std::process::id(), self.server.id(), redis.pid()];
        let (before, commands) = (pids.map(cpu), redis.commands().await);
        let start = Instant::now();
        let mut latencies = call(&self.client, in_flight, calls).await;
        let wall = start.elapsed();
        latencies.sort_unstable();
        Sample {
            calls,
            wall,
            latencies,
            commands: redis.commands().await - commands,
            cpu: cpu_since(pids, before),
        }
    }
}

async fn call(client: &Client, in_flight: usize, calls: usize) -> Vec<Duration> {
    let one = |number: usize| async move {
        let start = Instant::now();
        let number = i64::try_from(number).unwrap();
        assert_eq!(client.call::<i64>("sum", (number, 1)).await.unwrap(), number + 1);
        start.elapsed()
    };
    futures_util::stream::iter(0..calls)
        .map(one)
        .buffer_unordered(in_flight)
        .collect()
        .await
}

/// How often client and server allocate for one call, with 50 in flight.
pub(crate) async fn allocations(redis: &Redis, calls: usize) -> f64 {
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server(&redis.url(), "here").run(stop.clone()));
    let client = Client::builder("here").redis(redis.url()).build().unwrap();
    call(&client, 50, calls).await;
    let before = allocations::so_far();
    call(&client, 50, calls).await;
    let count = allocations::so_far() - before;
    stop.cancel();
    serving.await.unwrap().unwrap();
    count as f64 / calls as f64
}
