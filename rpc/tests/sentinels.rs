//! A Redis whose master is named by Sentinels, and dies.

use std::process::{Child, Command, Stdio};

use rpc::{Client, Fault, Server};
use tempfile::TempDir;

use crate::addresses::fails;
use crate::calls::start;
use crate::redis_server::{PATIENCE, Redis, free_port, until};

const PASSWORD: &str = "of-the-data";
const SENTINEL_PASSWORD: &str = "of-the-sentinels";

/// Killed when dropped.
pub(crate) struct Sentinel {
    process: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Sentinel {
    /// One that watches this master, and needs another one to agree that it is dead.
    fn watching(master: &Redis) -> Self {
        Self::start(|port| {
            format!(
                "port {port}\nrequirepass {SENTINEL_PASSWORD}\nsentinel sentinel-pass {SENTINEL_PASSWORD}\n\
                 sentinel monitor main 127.0.0.1 {} 2\nsentinel auth-pass main {PASSWORD}\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
                master.port()
            )
        })
    }

    /// One with this configuration, which gets a port of its own.
    pub(crate) fn start(config: impl FnOnce(u16) -> String) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let path = folder.path().join("sentinel.conf");
        std::fs::write(&path, format!("bind 127.0.0.1\n{}", config(port))).unwrap();
        let process = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    /// What it answers, if it does.
    async fn ask<T: redis::FromRedisValue>(&self, question: &str) -> Option<T> {
        let url = format!("redis://:{SENTINEL_PASSWORD}@127.0.0.1:{}", self.port);
        let mut connection = redis::Client::open(url)
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .ok()?;
        let mut command = redis::cmd("SENTINEL");
        command.arg(question.split(' ').collect::<Vec<_>>());
        command.query_async(&mut connection).await.ok()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

struct Group {
    redis: [Redis; 2],
    sentinels: Vec<Sentinel>,
}

impl Group {
    /// A master, a replica and three Sentinels that know each other.
    async fn start() -> Self {
        let auth = ["--requirepass", PASSWORD, "--masterauth", PASSWORD];
        let master = Redis::start_with(&auth).await;
        let port = master.port().to_string();
        let replica = Redis::start_with(&[&auth[..], &["--replicaof", "127.0.0.1", &port]].concat()).await;
        let sentinels: Vec<_> = (0..3).map(|_| Sentinel::watching(&master)).collect();
        for sentinel in &sentinels {
            until(async || {
                let others = sentinel.ask::<Vec<redis::Value>>("SENTINELS main").await;
                let replicas = sentinel.ask::<Vec<redis::Value>>("REPLICAS main").await;
                others.is_some_and(|others| others.len() == 2)
                    && replicas.is_some_and(|replicas| replicas.len() == 1)
            })
            .await;
        }
        let group = Self {
            redis: [master, replica],
            sentinels,
        };
        until(async || group.sentinels[0].ask::<String>("CKQUORUM main").await.is_some()).await;
        group
    }

    fn url(&self, master: &str) -> String {
        self.url_naming(&self.sentinels, master)
    }

    fn url_naming(&self, sentinels: &[Sentinel], master: &str) -> String {
        let hosts: Vec<_> = sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!(
            "redis+sentinel://:{PASSWORD}@{}/{master}/2?sentinel_password={SENTINEL_PASSWORD}",
            hosts.join(",")
        )
    }
}

#[tokio::test]
async fn calls_go_on_when_the_master_dies_and_when_it_comes_back_as_a_replica() {
    let mut group = Group::start().await;
    let url = group.url("main");
    let echo = |number: i64| async move { Ok::<_, Fault>(number) };
    let _serving = start(Server::builder("math").redis(&url).method("echo", echo)).await;
    let client = Client::builder("math")
        .redis(&url)
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let call = async |number: i64| {
        let call = client.request("echo").params((number,)).idempotent();
        assert_eq!(call.send::<i64>().await.unwrap(), number);
    };
    call(1).await;
    group.redis[0].kill();
    // Made before anybody has noticed, and after.
    call(2).await;
    group.redis[0].up().await;
    until(async || {
        let Some(mut connection) = group.redis[0].connection_as(PASSWORD).await else {
            return false;
        };
        // The Sentinels make it hang up on everybody when they change its part.
        let asked: redis::RedisResult<String> = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut connection)
            .await;
        asked.is_ok_and(|info| info.contains("role:slave"))
    })
    .await;
    call(3).await;
}

#[tokio::test]
async fn a_master_that_the_sentinels_do_not_know_is_told_from_one_that_is_away() {
    let group = Group::start().await;
    let why = fails(&group.url("other")).await;
    assert!(why.contains("no master of this name"), "{why}");
}

#[tokio::test]
async fn the_sentinels_of_the_url_tell_of_the_others() {
    let mut group = Group::start().await;
    // The address names one, which is gone when it is needed again.
    let url = group.url_naming(&group.sentinels[..1], "main");
    let echo = |number: i64| async move { Ok::<_, Fault>(number) };
    let _serving = start(Server::builder("math").redis(&url).method("echo", echo)).await;
    let client = Client::builder("math")
        .redis(&url)
        .timeout(PATIENCE)
        .build()
        .unwrap();
    assert_eq!(client.call::<i64>("echo", (1,)).await.unwrap(), 1);
    drop(group.sentinels.remove(0));
    group.redis[0].kill();
    let call = client.request("echo").params((2,)).idempotent();
    assert_eq!(call.send::<i64>().await.unwrap(), 2);
}
