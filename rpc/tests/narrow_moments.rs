//! What breaks just between two commands: cases 10 and 11 of the list of failures that the wire was designed against.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rpc::{Client, Server};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::proxy::Proxy;
use crate::redis_server::{PATIENCE, Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "work";

/// A server whose handlers count in Redis how often they ran.
fn counting(url: &str, count_at: String) -> rpc::ServerBuilder {
    Server::builder(QUEUE)
        .redis(url)
        .method("work", move |(number,): (u32,)| {
            let count_at = count_at.clone();
            async move {
                let client = redis::Client::open(count_at).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                redis::cmd("INCR")
                    .arg("runs")
                    .query_async::<()>(&mut connection)
                    .await
                    .unwrap();
                number
            }
        })
}

/// Case 10: killed between the reply and the acknowledgement.
#[tokio::test]
async fn a_request_that_was_answered_and_not_acknowledged_runs_twice_and_is_answered_once() {
    if let Some((url, count_at)) = Victim::url_and_traces() {
        let victim = counting(&url, count_at).build().unwrap();
        panic!("{:?}", victim.run(CancellationToken::new()).await);
    }
    let redis = Redis::start().await;
    let proxy = Proxy::holding(&redis, "DEL").await;
    let test =
        "narrow_moments::a_request_that_was_answered_and_not_acknowledged_runs_twice_and_is_answered_once";
    let mut victim = Victim::with_traces(test, &proxy.url, &redis.url());
    let client = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap();
    assert_eq!(client.call::<u32>("work", (7,)).await.unwrap(), 7);
    until(async || proxy.held.load(SeqCst)).await;
    victim.kill();
    assert_eq!(redis.command::<Vec<String>>("KEYS *:w:*").await.len(), 1);
    assert_eq!(redis.command::<u64>("GET runs").await, 1);

    let (stop, serving) = start(counting(&redis.url(), redis.url())).await;
    until(async || redis.command::<u64>("GET runs").await == 2).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
    // The second reply is for no call any more, and the next call has its own.
    assert_eq!(client.call::<u32>("work", (8,)).await.unwrap(), 8);
    until(async || redis.command::<Vec<String>>("KEYS *:inbox:*").await.is_empty()).await;
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.handled, report.requeued), (2, 1));
}

/// How often each number was worked on.
type Runs = Arc<Mutex<BTreeMap<u32, u32>>>;

fn server(url: &str, runs: &Runs) -> rpc::ServerBuilder {
    let runs = Arc::clone(runs);
    Server::builder(QUEUE)
        .redis(url)
        .method("work", move |(number,): (u32,)| {
            *runs.lock().unwrap().entry(number).or_default() += 1;
            async move { number }
        })
}

fn request(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"work","args":[{id}],"kwargs":{{}}}}"#)
}

/// Case 11, first half: the connection is cut when Redis has carried out the take and nobody was told.
#[tokio::test]
async fn a_request_whose_take_was_not_told_of_is_soon_taken_again() {
    let (redis, runs) = (Redis::start().await, Runs::default());
    let proxy = Proxy::start(&redis, b"\"name\"").await;
    let (stop, serving) = start(server(&proxy.url, &runs)).await;
    proxy.breaks.store(1, SeqCst);
    let pushed = Instant::now();
    redis.push(QUEUE, request(1)).await;
    assert_eq!(redis.reply(QUEUE, "1").await, json!({"error": 0, "result": 1}));
    assert_eq!(proxy.breaks.load(SeqCst), 0);
    // A wait in Redis is two seconds; the rest is for a machine that has other things to do.
    assert!(
        pushed.elapsed() < Duration::from_secs(10),
        "{:?}",
        pushed.elapsed()
    );
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 1);
    assert_eq!(*runs.lock().unwrap(), BTreeMap::from([(1, 1)]));
}

/// Case 11, second half: the take of a lost connection still waits in Redis, before that of the new one.
#[tokio::test]
async fn what_the_ghost_of_a_connection_takes_is_carried_out_once() {
    let (redis, runs) = (Redis::start().await, Runs::default());
    let proxy = Proxy::open(&redis).await;
    let (stop, serving) = start(server(&proxy.url, &runs)).await;
    let blocked = async || {
        let clients: String = redis.command("CLIENT LIST").await;
        clients
            .lines()
            .filter(|client| client.contains(" flags=b ") && client.contains(" cmd=blmove"))
            .count()
    };
    let rounds = 4;
    for round in 0..rounds {
        until(async || blocked().await == 1).await;
        proxy.leave_ghosts();
        // If this takes so long that the ghost's wait ends, the round shows nothing, and another one will.
        until(async || blocked().await != 1).await;
        let pair = [2 * round, 2 * round + 1];
        for id in pair {
            redis.push(QUEUE, request(id)).await;
        }
        for id in pair {
            assert_eq!(
                redis.reply(QUEUE, &id.to_string()).await,
                json!({"error": 0, "result": id})
            );
        }
    }
    stop.cancel();
    let requeued = serving.await.unwrap().unwrap().requeued;
    assert!(requeued > 0, "no ghost has taken anything");
    assert_eq!(*runs.lock().unwrap(), (0..2 * rounds).map(|id| (id, 1)).collect());
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *:w:*").await,
        Vec::<String>::new()
    );
}
