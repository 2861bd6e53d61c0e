//! Servers that only seemed dead, and servers that did not even seem so.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rpc::{Fault, Server};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::lost_workers::wait_for_uptime;
use crate::redis_server::{Redis, until};

const QUEUE: &str = "work";
const WORKERS: &str = "{asyncredisrpc:work}:workers";

/// Tells this test's own process that it is to be a server.
const VICTIM: &str = "RPC_TEST_PAUSED_VICTIM";

/// A child that is killed when this is dropped, even if it is paused.
struct Victim(Child);

impl Victim {
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn request(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"work","args":[],"kwargs":{{}}}}"#)
}

#[tokio::test]
async fn a_server_that_was_paused_for_too_long_keeps_its_answers_to_itself_and_goes_on() {
    if let Ok(url) = std::env::var(VICTIM) {
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(3)).await; // ends while the process is paused
            "paused"
        };
        let victim = Server::builder(QUEUE)
            .redis(url)
            .method("work", slow)
            .build()
            .unwrap();
        panic!("{:?}", victim.run(CancellationToken::new()).await);
    }
    let redis = Redis::start().await;
    let test = "incarnations::a_server_that_was_paused_for_too_long_keeps_its_answers_to_itself_and_goes_on";
    let victim = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(VICTIM, redis.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let victim = Victim(victim.unwrap());
    redis.push(QUEUE, request(1)).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    victim.signal("-STOP");
    let before: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    wait_for_uptime(&redis).await;

    let stop = CancellationToken::new();
    let other = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", || async { "other" });
    let serving = tokio::spawn(other.build().unwrap().run(stop.clone()));
    assert_eq!(
        redis.reply(QUEUE, "1").await,
        json!({"error": 0, "result": "other"})
    );
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 1);

    victim.signal("-CONT");
    // It finds out, and serves under a new name; by then its answer to the first request would be there.
    redis.push(QUEUE, request(2)).await;
    assert_eq!(
        redis.reply(QUEUE, "2").await,
        json!({"error": 0, "result": "paused"})
    );
    assert_eq!(redis.command::<u64>("EXISTS asyncredisrpc:work:1").await, 0);
    let after: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    assert!(
        after.iter().any(|worker| !before.contains(worker)),
        "{before:?} {after:?}"
    );
}

#[tokio::test]
async fn a_server_that_was_paused_and_missed_by_nobody_goes_on_where_it_was() {
    let redis = Redis::start().await;
    let slow = || async {
        tokio::time::sleep(Duration::from_secs(3)).await; // long enough for what follows
        1
    };
    let server = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", slow)
        .build()
        .unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    redis.push(QUEUE, request(1)).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    let before: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    // As if it had expired.
    redis
        .command::<u64>(&format!("DEL {{asyncredisrpc:work}}:hb:{}", before[0]))
        .await;
    assert_eq!(redis.reply(QUEUE, "1").await["result"], 1);
    let heartbeat = format!("EXISTS {{asyncredisrpc:work}}:hb:{}", before[0]);
    until(async || redis.command::<u64>(&heartbeat).await == 1).await;
    assert_eq!(
        redis.command::<Vec<String>>(&format!("HKEYS {WORKERS}")).await,
        before
    );
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 1);
}

#[tokio::test]
async fn a_server_whose_threads_are_all_blocked_does_not_look_dead() {
    let redis = Redis::start().await;
    let block = || async {
        std::thread::sleep(Duration::from_secs(25)); // longer than a heartbeat lasts
        1
    };
    let server = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", block)
        .build()
        .unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(server.run(stopped)).unwrap()
    });
    redis.push(QUEUE, request(1)).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    let other = Server::builder(QUEUE)
        .redis(redis.url())
        .method("else", || async { 2 });
    let serving = tokio::spawn(other.build().unwrap().run(stop.clone()));
    assert_eq!(redis.reply(QUEUE, "1").await["result"], 1);
    stop.cancel();
    let done = tokio::task::spawn_blocking(|| blocked.join().unwrap())
        .await
        .unwrap();
    assert_eq!((done.handled, serving.await.unwrap().unwrap().requeued), (1, 0));
}

#[tokio::test]
async fn a_server_without_its_data_is_known_again() {
    let redis = Redis::start().await;
    let server = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", || async { Ok::<_, Fault>(1) });
    let stop = CancellationToken::new();
    let server = server.build().unwrap();
    let ready = server.ready();
    let serving = tokio::spawn(server.run(stop.clone()));
    assert!(ready.await);
    let name = async || redis.command::<Vec<String>>(&format!("HKEYS {WORKERS}")).await;
    let before = name().await;
    redis.command::<()>("FLUSHALL").await;
    // Somebody removed it, so it takes a new name; nothing that is taken from now on can be lost.
    until(async || name().await.len() == 1).await;
    assert_ne!(name().await, before);
    redis.push(QUEUE, request(1)).await;
    assert_eq!(redis.reply(QUEUE, "1").await["result"], 1);
    stop.cancel();
    serving.await.unwrap().unwrap();
}
