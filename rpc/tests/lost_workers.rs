//! Requests whose server, or whose way from Redis to the server, is gone.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rpc::{Client, Fault, Server};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::proxy::Proxy;
use crate::redis_server::{PATIENCE, Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "work";

fn server(url: &str) -> rpc::ServerBuilder {
    Server::builder(QUEUE)
        .redis(url)
        .method("work", |(number,): (u32,)| async move { Ok::<_, Fault>(number) })
}

fn client(redis: &Redis) -> Client {
    Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// Leaves a heartbeat as a server of this machine leaves it whose process is gone; another server of the queue runs.
pub(crate) async fn leave_heartbeat(redis: &Redis, own: &str, worker: &str) {
    let alive: Vec<String> = redis.command(&format!("KEYS {own}:hb:*")).await;
    let heartbeat: String = redis.command(&format!("GET {}", alive[0])).await;
    let mut heartbeat: Value = serde_json::from_str(&heartbeat).unwrap();
    heartbeat["process"]["started"] = json!(0);
    let mut command = redis::cmd("SET");
    command
        .arg(format!("{own}:hb:{worker}"))
        .arg(heartbeat.to_string());
    command
        .query_async::<()>(&mut redis.connection().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_killed_server_s_requests_are_done_by_another() {
    if let Some(url) = Victim::url() {
        let stuck = |_: (u32,)| std::future::pending::<Result<u32, Fault>>();
        let victim = Server::builder(QUEUE)
            .redis(url)
            .method("work", stuck)
            .concurrency(3)
            .build()
            .unwrap();
        panic!(
            "only kill -9 ends this: {:?}",
            victim.run(CancellationToken::new()).await
        );
    }
    let redis = Redis::start().await;
    let test = "lost_workers::a_killed_server_s_requests_are_done_by_another";
    let mut victim = Victim::start(test, &redis.url());
    let client = client(&redis);
    let calls: Vec<_> = (0..5)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<u32>("work", (number,)).await })
        })
        .collect();
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 3).await;
    let died = Instant::now();
    victim.kill();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server(&redis.url()).build().unwrap().run(stop.clone()));
    for (number, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), number);
    }
    // On the same machine there is no need to wait until the heartbeat has expired, nor for a Redis that is so young that
    // its missing would not mean anything.
    assert!(died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());
    // The registration of the dead goes when nothing can come back to its slots.
    until(async || {
        redis
            .command::<Vec<String>>("HKEYS {asyncredisrpc:work}:workers")
            .await
            .len()
            == 1
    })
    .await;
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.handled, report.requeued), (5, 3));
}

#[tokio::test]
async fn slots_without_a_heartbeat_are_emptied_once_redis_is_up_for_a_while() {
    let redis = Redis::start().await;
    let own = "{asyncredisrpc:work}";
    let request = |id| format!(r#"{{"id":{id},"name":"work","args":[{id}],"kwargs":{{}}}}"#);
    for id in 0..300 {
        redis
            .command::<()>(&format!("RPUSH {own}:w:elsewhere-1:{id} {}", request(id)))
            .await;
    }
    redis
        .command::<()>(&format!(
            "HSET {own}:workers elsewhere-1 {{\"slots\":300}} unreadable-1 x"
        ))
        .await;
    // Another worker is alive on a machine about which we know nothing.
    let alive = r#"{"process":{"machine":"m","pid":1,"started":1},"version":"0"}"#;
    redis
        .command::<()>(&format!("SET {own}:hb:alive-1 {alive}"))
        .await;
    redis
        .command::<()>(&format!("HSET {own}:workers alive-1 {{\"slots\":1}}"))
        .await;
    redis
        .command::<()>(&format!("RPUSH {own}:w:alive-1:0 {}", request(1000)))
        .await;

    let (stop, server) = (CancellationToken::new(), server(&redis.url()).build().unwrap());
    let ready = server.ready();
    let serving = tokio::spawn(server.run(stop.clone()));
    assert!(ready.await);
    redis.push(QUEUE, request(2000)).await;
    assert_eq!(redis.reply(QUEUE, "2000").await["result"], 2000);
    // Redis is too young to take the missing heartbeat for a death.
    assert_eq!(
        redis
            .command::<Vec<String>>(&format!("KEYS {own}:w:elsewhere-1:*"))
            .await
            .len(),
        300
    );

    for id in 0..300 {
        assert_eq!(
            redis.reply(QUEUE, &id.to_string()).await,
            json!({"error": 0, "result": id})
        );
    }
    until(async || redis.command::<u64>(&format!("HLEN {own}:workers")).await == 2).await;
    assert_eq!(redis.command::<u64>(&format!("LLEN {own}:w:alive-1:0")).await, 1);
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 300);
}

#[tokio::test]
async fn a_request_taken_by_a_command_whose_answer_is_lost_is_done() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(&redis, b"\"name\"").await;
    let (stop, server) = (CancellationToken::new(), server(&proxy.url).build().unwrap());
    let ready = server.ready();
    let serving = tokio::spawn(server.run(stop.clone()));
    assert!(ready.await);
    let client = client(&redis);
    for round in 0..3 {
        // The take, and after it the command that gives the request back, remain without an answer.
        proxy.breaks.store(2, SeqCst);
        assert_eq!(client.call::<u32>("work", (round,)).await.unwrap(), round);
        assert_eq!(proxy.breaks.load(SeqCst), 0);
    }
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 3);
    // The next server, or the next one's reaper, finds nothing to do.
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *:w:*").await,
        Vec::<String>::new()
    );
}

/// Case 12 of the list of failures that the wire was designed against.
#[tokio::test]
async fn a_server_whose_connections_fell_silent_comes_back_within_a_lease_and_loses_nothing() {
    let redis = Redis::start().await;
    let proxy = Proxy::open(&redis).await;
    let (stop, serving) = start(server(&proxy.url)).await;
    let client = client(&redis);
    assert_eq!(client.call::<u32>("work", (0,)).await.unwrap(), 0);
    proxy.fall_silent();
    let silent = Instant::now();
    // The first of them is taken by a command that still waits in Redis and whose answer goes nowhere.
    let calls = (1..=5).map(|number| client.call::<u32>("work", (number,)));
    for (number, answer) in (1..).zip(join_all(calls).await) {
        assert_eq!(answer.unwrap(), number);
    }
    // Twice as long as a take waits in Redis, and as long as a heartbeat lasts.
    let bound = 2 * Duration::from_secs(2) + Duration::from_secs(20);
    assert!(silent.elapsed() < bound, "{:?}", silent.elapsed());
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *:w:*").await,
        Vec::<String>::new()
    );
}
