//! A queue that is too long, and a Redis without memory.

use std::time::Duration;

use futures_util::future::join_all;
use rpc::{Client, Error};

use crate::calls::{QUEUE, server, start};
use crate::redis_server::{PATIENCE, Redis, until};

fn client(redis: &Redis) -> Client {
    let client = Client::builder(QUEUE).redis(redis.url()).timeout(PATIENCE);
    client.max_queue_len(100).build().unwrap()
}

async fn calls_of(redis: &Redis, command: &str) -> u64 {
    let stats: String = redis.command("INFO commandstats").await;
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

/// Case 24 of the list of failures that the wire was designed against.
#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_refused_and_not_carried_out() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let client = client(&redis);
    let calls = {
        let client = client.clone();
        tokio::spawn(async move { join_all((0..100).map(|i| client.call::<i64>("sum", (i, 1)))).await })
    };
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 100).await;
    let before = calls_of(&redis, "eval").await;
    for _ in 0..20 {
        match client.call::<i64>("sum", (1, 1)).await {
            Err(Error::Overloaded {
                queue_len: Some(101),
                limit: Some(100),
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(redis.command::<u64>("LLEN asyncredisrpc:math").await, 100);
    // Most of them did not even ask, and those that did asked once and left nothing that had to be taken back.
    let asked = calls_of(&redis, "eval").await - before;
    assert!((1..20).contains(&asked), "{asked}");
    assert_eq!(calls_of(&redis, "lrem").await, 0);
    start(server(&redis)).await;
    for (i, total) in (0..).zip(calls.await.unwrap()) {
        assert_eq!(total.unwrap(), i + 1);
    }
    // It is noticed that the queue is short again.
    until(async || client.call::<i64>("sum", (1, 1)).await.is_ok()).await;
}

#[tokio::test]
async fn without_scripts_what_does_not_fit_is_taken_back() {
    let redis = Redis::start().await;
    redis
        .command::<()>("ACL SETUSER weak on >pw ~* &* +@all -@scripting")
        .await;
    let weak = Client::builder(QUEUE)
        .redis(format!("redis://weak:pw@127.0.0.1:{}", redis.port()))
        .max_queue_len(1)
        .build()
        .unwrap();
    let first = tokio::spawn({
        let weak = weak.clone();
        async move { weak.call::<i64>("sum", (1, 2)).await }
    });
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 1).await;
    match weak.call::<i64>("sum", (1, 1)).await {
        Err(Error::Overloaded {
            queue_len: Some(2),
            limit: Some(1),
        }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(calls_of(&redis, "lrem").await, 1);
    assert_eq!(redis.command::<u64>("LLEN asyncredisrpc:math").await, 1);
    start(server(&redis)).await;
    assert_eq!(first.await.unwrap().unwrap(), 3);
}

#[tokio::test]
async fn a_redis_without_memory_is_an_overload() {
    let redis = Redis::start_with(&["--maxmemory", "4mb"]).await;
    let client = client(&redis);
    let big = "x".repeat(1 << 20);
    let full = async || {
        let call = client
            .request("sum")
            .params((big.as_str(),))
            .timeout(Duration::from_millis(100));
        matches!(
            call.send::<()>().await,
            Err(Error::Overloaded { queue_len: None, .. })
        )
    };
    until(async || full().await).await;
    redis.command::<()>("DEL asyncredisrpc:math").await;
    start(server(&redis)).await;
    assert_eq!(client.call::<i64>("sum", (1, 2)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_call_costs_five_commands_one_by_one_and_fewer_under_load() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    start(server(&redis)).await;
    let client = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap();
    client.call::<i64>("sum", (1, 1)).await.unwrap();
    let total = async || {
        let mut total = 0;
        for command in [
            "rpush", "blmove", "lmove", "del", "pexpire", "blpop", "lpop", "publish", "lrem",
        ] {
            total += calls_of(&redis, command).await;
        }
        total
    };
    let before = total().await;
    for _ in 0..500 {
        client.call::<i64>("sum", (1, 1)).await.unwrap();
    }
    let one_by_one = total().await - before;
    client.call_many::<i64>("sum", (0..5000).map(|i| (i, 1))).await;
    let together = total().await - before - one_by_one;
    // What Redis is asked while nothing arrives for a moment comes on top.
    assert!(one_by_one <= 5 * 500 + 200, "{one_by_one} commands for 500 calls");
    assert!(together <= 4 * 5000, "{together} commands for 5000 calls");
}
