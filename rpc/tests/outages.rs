//! Redis away for longer than a heartbeat lasts: case 21 of the list of failures that the wire was designed against.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::Server;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::calls::start;
use crate::redis_server::{Redis, until};

const QUEUE: &str = "work";

/// Longer than a heartbeat lasts, so that nobody has one when Redis comes back.
const OUTAGE: Duration = Duration::from_secs(30);

/// A reaper looks within this time after it has given the others time to show themselves.
const NEXT_LOOK: Duration = Duration::from_secs(26);

#[tokio::test]
async fn nobody_is_taken_for_dead_because_redis_was_away() {
    let without_data = Redis::start_with(&["--appendonly", "no"]).await;
    // At the same time, for it takes its time. Whoever forgets everything has no slots that could be emptied.
    tokio::join!(outage(Redis::start().await, 2), outage(without_data, 0));
}

/// Redis goes away while two requests are worked on; so many slots are there afterwards.
async fn outage(mut redis: Redis, slots: usize) {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    let server = || {
        let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
        let work = move |(number,): (u32,)| {
            let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
            async move {
                *runs.lock().unwrap().entry(number).or_insert(0) += 1;
                gate.acquire().await.unwrap().forget();
                number
            }
        };
        Server::builder(QUEUE)
            .redis(redis.url())
            .method("work", work)
            .concurrency(1)
    };
    let servers = [start(server()).await, start(server()).await];
    for id in 0..2 {
        let request = format!(r#"{{"id":{id},"name":"work","args":[{id}],"kwargs":{{}}}}"#);
        redis.push(QUEUE, request).await;
    }
    until(async || runs.lock().unwrap().len() == 2).await;
    redis.kill();
    tokio::time::sleep(OUTAGE).await; // slow: the outage itself
    redis.up().await;
    // Nothing shall happen, which takes its time to show.
    tokio::time::sleep(NEXT_LOOK).await; // slow: until everybody has looked for the dead
    assert_eq!(redis.command::<Vec<String>>("KEYS *:w:*").await.len(), slots);
    assert_eq!(redis.command::<u64>("HLEN {asyncredisrpc:work}:workers").await, 2);
    gate.add_permits(2);
    for id in 0..2 {
        assert_eq!(
            redis.reply(QUEUE, &id.to_string()).await,
            json!({"error": 0, "result": id})
        );
    }
    for (stop, serving) in servers {
        stop.cancel();
        let report = serving.await.unwrap().unwrap();
        assert_eq!((report.handled, report.requeued), (1, 0));
    }
    assert_eq!(*runs.lock().unwrap(), BTreeMap::from([(0, 1), (1, 1)]));
}
