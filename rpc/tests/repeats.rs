//! Idempotent calls: sent again when something was lost, and carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use rpc::{Client, Error, Fault, ServerBuilder};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::calls::{QUEUE, server, start};
use crate::proxy::Proxy;
use crate::redis_server::{PATIENCE, Redis, until};

/// A server whose method `count` waits for a permit and returns how often it was carried out.
fn counter(redis: &Redis, runs: &Arc<AtomicU32>, gate: &Arc<Semaphore>) -> ServerBuilder {
    let (runs, gate) = (Arc::clone(runs), Arc::clone(gate));
    server(redis).method("count", move |_: ()| {
        let (run, gate) = (runs.fetch_add(1, SeqCst) + 1, Arc::clone(&gate));
        async move {
            gate.acquire().await.unwrap().forget();
            Ok::<_, Fault>(run)
        }
    })
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1000))
}

fn request(id: &str, meta: &str) -> String {
    format!(r#"{{"id":"{id}","name":"count","args":[],"kwargs":{{}},"meta":{{{meta}}}}}"#)
}

#[tokio::test]
async fn a_repeat_joins_the_running_call_and_later_has_its_answer() {
    let (redis, runs, gate) = (Redis::start().await, Arc::default(), Arc::new(Semaphore::new(0)));
    let (stop, serving) = start(counter(&redis, &runs, &gate)).await;
    for _ in 0..3 {
        redis.push(QUEUE, request("a", r#""idempotent":true"#)).await;
    }
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 3).await;
    // The only permit there will be.
    gate.add_permits(1);
    for _ in 0..3 {
        assert_eq!(redis.reply(QUEUE, "a").await, json!({"error": 0, "result": 1}));
    }
    redis.push(QUEUE, request("a", r#""idempotent":true"#)).await;
    assert_eq!(redis.reply(QUEUE, "a").await, json!({"error": 0, "result": 1}));
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 4);
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn only_who_asks_for_it_is_answered_from_memory() {
    let (redis, runs) = (Redis::start().await, Arc::default());
    start(counter(&redis, &runs, &open())).await;
    for meta in ["", r#""idempotent":false"#] {
        redis.push(QUEUE, request("a", meta)).await;
        redis.reply(QUEUE, "a").await;
    }
    for _ in 0..2 {
        redis
            .push(QUEUE, request("a", r#""idempotent":true,"notify":true"#))
            .await;
    }
    until(async || runs.load(SeqCst) == 4).await;
    redis.push(QUEUE, request("a", r#""idempotent":true"#)).await;
    assert_eq!(redis.reply(QUEUE, "a").await["result"], 5);
}

#[tokio::test]
async fn a_repeat_of_a_failure_fails_the_same_way() {
    let redis = Redis::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let fail = {
        let runs = Arc::clone(&runs);
        move |_: ()| -> std::future::Ready<Result<(), Fault>> {
            panic!("as the test wants, for the {}th time", runs.fetch_add(1, SeqCst))
        }
    };
    start(server(&redis).method("count", fail)).await;
    for _ in 0..2 {
        redis.push(QUEUE, request("a", r#""idempotent":true"#)).await;
        assert_eq!(redis.reply(QUEUE, "a").await["error"], rpc::code::HANDLER);
    }
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn a_call_that_is_aborted_answers_no_repeat() {
    let (redis, runs, gate) = (Redis::start().await, Arc::default(), Arc::new(Semaphore::new(0)));
    let server = counter(&redis, &runs, &gate).drain_timeout(Duration::from_millis(100));
    let (stop, serving) = start(server).await;
    for _ in 0..3 {
        redis.push(QUEUE, request("a", r#""idempotent":true"#)).await;
    }
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 3).await;
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 3);
    assert_eq!(redis.command::<u64>("EXISTS asyncredisrpc:math:a").await, 0);
    assert_eq!(redis.command::<u64>("LLEN asyncredisrpc:math").await, 3);
}

/// Calls through a way that breaks once, after one good call, when Redis says this.
async fn call_with_loss(breaks_at: &'static [u8], idempotent: bool) -> (Result<u32, Error>, u32) {
    let (redis, runs) = (Redis::start().await, Arc::default());
    start(counter(&redis, &runs, &open())).await;
    let proxy = Proxy::start(&redis, breaks_at).await;
    let client = Client::builder(QUEUE)
        .redis(&proxy.url)
        .timeout(PATIENCE)
        .build()
        .unwrap();
    assert_eq!(client.call::<u32>("count", ()).await.unwrap(), 1);
    proxy.breaks.store(1, SeqCst);
    let call = client.request("count");
    let answer = if idempotent {
        call.idempotent().send().await
    } else {
        call.timeout(Duration::from_secs(1)).send().await
    };
    assert_eq!(proxy.breaks.load(SeqCst), 0, "nothing was lost");
    (answer, runs.load(SeqCst))
}

/// What Redis answers to RPUSH if the queue was empty.
const PUSHED: &[u8] = b":1\r\n";

/// What is in a reply and in nothing else that a client is told.
const REPLY: &[u8] = b"\"error\"";

#[tokio::test]
async fn a_lost_reply_is_asked_for_again() {
    let (answer, runs) = call_with_loss(REPLY, true).await;
    assert_eq!((answer.unwrap(), runs), (2, 2));
}

#[tokio::test]
async fn a_request_of_unknown_fate_is_sent_again() {
    let (answer, runs) = call_with_loss(PUSHED, true).await;
    assert_eq!((answer.unwrap(), runs), (2, 2));
}

#[tokio::test]
async fn nothing_is_sent_twice_unless_allowed() {
    let (answer, runs) = call_with_loss(REPLY, false).await;
    assert!(
        matches!(answer, Err(Error::Timeout { sent: true, .. })),
        "{answer:?}"
    );
    assert_eq!(runs, 2);
    let (answer, _) = call_with_loss(PUSHED, false).await;
    assert!(
        matches!(answer, Err(Error::Transport { maybe_sent: true, .. })),
        "{answer:?}"
    );
}
