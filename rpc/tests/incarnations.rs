//! Servers that only seemed dead, and servers that did not even seem so.

use std::time::Duration;

use rpc::{Fault, Server};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::redis_server::{Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "work";
const WORKERS: &str = "{asyncredisrpc:work}:workers";

fn request(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"work","args":[],"kwargs":{{}}}}"#)
}

/// Longer than a heartbeat lasts, than Redis must be up before anybody is missed, and than any time-out.
const BLOCKED: Duration = Duration::from_secs(60);
const PAUSED: Duration = Duration::from_secs(40);

/// Case 14 of the list of failures that the wire was designed against, both at the same time, for they take their time.
#[tokio::test]
async fn who_is_blocked_keeps_its_requests_and_who_is_paused_keeps_its_answers_to_itself() {
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
    tokio::join!(all_threads_are_blocked(), the_process_is_paused());
}

async fn all_threads_are_blocked() {
    let redis = Redis::start().await;
    let block = || async {
        std::thread::sleep(BLOCKED); // slow: that is what is blocked
        "blocked"
    };
    let server = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", block)
        .build()
        .unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let threads = 2;
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap();
        // Not on this thread, which would be one more.
        let serving = runtime.spawn(server.run(stopped));
        runtime.block_on(serving).unwrap().unwrap()
    });
    for id in 0..threads {
        redis.push(QUEUE, request(id as u32)).await;
    }
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == threads).await;
    let other = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", || async { "other" });
    let serving = tokio::spawn(other.build().unwrap().run(stop.clone()));
    tokio::time::sleep(BLOCKED).await; // slow: nothing shall happen meanwhile
    for id in 0..threads {
        let reply = redis.reply(QUEUE, &id.to_string()).await;
        assert_eq!(reply, json!({"error": 0, "result": "blocked"}));
    }
    stop.cancel();
    let done = tokio::task::spawn_blocking(|| blocked.join().unwrap())
        .await
        .unwrap();
    let others = serving.await.unwrap().unwrap();
    assert_eq!(
        (done.handled, others.handled, others.requeued),
        (threads as u64, 0, 0)
    );
}

async fn the_process_is_paused() {
    let redis = Redis::start().await;
    let test =
        "incarnations::who_is_blocked_keeps_its_requests_and_who_is_paused_keeps_its_answers_to_itself";
    let victim = Victim::start(test, &redis.url());
    redis.push(QUEUE, request(1)).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    victim.signal("-STOP");
    let mut overheard = redis.overhear().await;
    let before: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    let stop = CancellationToken::new();
    let other = Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", || async { "other" });
    let serving = tokio::spawn(other.build().unwrap().run(stop.clone()));
    tokio::time::sleep(PAUSED).await; // slow: the pause itself
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
    let after: Vec<String> = redis.command(&format!("HKEYS {WORKERS}")).await;
    assert!(
        after.iter().any(|worker| !before.contains(worker)),
        "{before:?} {after:?}"
    );
    let said = overheard.so_far(&redis).await;
    let times = |words: &str| said.iter().filter(|line| line.contains(words)).count();
    assert_eq!(times(r#""RPUSH" "asyncredisrpc:work:1""#), 1, "{said:#?}");
    let slot = format!(r#""DEL" "{{asyncredisrpc:work}}:w:{}:"#, before[0]);
    assert_eq!(times(&slot), 0, "{said:#?}");
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
