//! Servers that only seemed dead, and servers that did not even seem so.

use std::time::Duration;

use rpc::{Fault, Server};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::lost_workers::wait_for_uptime;
use crate::redis_server::{Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "work";
const WORKERS: &str = "{asyncredisrpc:work}:workers";

fn request(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"work","args":[],"kwargs":{{}}}}"#)
}

#[tokio::test]
async fn a_server_that_was_paused_for_too_long_keeps_its_answers_to_itself_and_goes_on() {
    if let Some(url) = Victim::url() {
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(3)).await; // slow: ends while the process is paused
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
    let victim = Victim::start(test, &redis.url());
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
        tokio::time::sleep(Duration::from_secs(3)).await; // slow: long enough for what follows
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
        std::thread::sleep(Duration::from_secs(25)); // slow: longer than a heartbeat lasts
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

/// Case 13 of the list of failures that the wire was designed against: nothing that is configured, nor the process,
/// tells two servers apart.
#[tokio::test]
async fn two_servers_of_one_name_are_two_and_one_inherits_from_the_other() {
    let redis = Redis::start().await;
    let stuck = || std::future::pending::<u32>();
    let first = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", stuck)
        .concurrency(1);
    let (_, dies) = start(first).await;
    redis.push(QUEUE, request(1)).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    let second = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", || async { "second" });
    let (stop, serving) = start(second).await;
    let workers: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    let [one, other] = &workers[..] else {
        panic!("{workers:?}")
    };
    let process = |worker: &str| worker.rsplit_once('-').unwrap().0.to_owned();
    assert_eq!(process(one), process(other));
    // All that is left of it is what it wrote to Redis; its process lives, so only its heartbeat tells.
    dies.abort();
    until(async || redis.command::<u64>("EXISTS asyncredisrpc:work:1").await == 1).await;
    assert_eq!(
        redis.reply(QUEUE, "1").await,
        json!({"error": 0, "result": "second"})
    );
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 1);
}
