//! Many requests in one transaction of a store that knows what it has: case 23 of the list of failures that the wire
//! was designed against.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rpc::{Batching, Client, Context, Error, Fault, Server};
use tokio_util::sync::CancellationToken;

use crate::redis_server::{Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "records";

const REQUESTS: u32 = 5000;
const RECORDS: u32 = 300;
const KILLS: u32 = 3;

/// The transaction: the records of those requests that are not there yet. `ARGV`: a request's number and how many
/// records it has, then those, and so on.
const COMMIT: &str = r"
local at = 1
while at < #ARGV do
  local first, last = at + 2, at + 1 + ARGV[at + 1]
  if redis.call('SADD', 'requests', ARGV[at]) == 1 then
    redis.call('RPUSH', 'records', unpack(ARGV, first, last))
  end
  at = last + 1
  redis.call('INCR', 'handled')
end
return redis.call('INCR', 'commits')";

async fn commit(
    store: redis::aio::MultiplexedConnection,
    batch: Vec<((u32, Vec<u32>), Context)>,
) -> Vec<Result<u32, Fault>> {
    let mut command = redis::cmd("EVAL");
    command.arg(COMMIT).arg(0);
    for ((number, records), _) in &batch {
        command.arg(number).arg(records.len()).arg(records);
    }
    let mut store = store;
    tokio::time::sleep(Duration::from_millis(5)).await; // slow: a disk takes its time
    let committed = command.query_async::<u64>(&mut store).await;
    let answer = |number: u32| match &committed {
        Ok(_) => Ok(number),
        Err(error) => Err(Fault::unavailable(error.to_string())),
    };
    batch.iter().map(|((number, _), _)| answer(*number)).collect()
}

async fn victim_runs(url: String, store: String) -> Result<rpc::Report, Error> {
    let store = redis::Client::open(store).unwrap();
    let store = store.get_multiplexed_async_connection().await.unwrap();
    let append = move |batch: Vec<((u32, Vec<u32>), Context)>| commit(store.clone(), batch);
    let server = Server::builder(QUEUE)
        .redis(url)
        .batch_method("append", Batching::default(), append);
    server.build().unwrap().run(CancellationToken::new()).await
}

fn victim(redis: &Redis, store: &Redis) -> Victim {
    let test = "stores::a_store_has_every_record_once_whatever_is_killed";
    Victim::with_traces(test, &redis.url(), &store.url())
}

#[tokio::test]
async fn a_store_has_every_record_once_whatever_is_killed() {
    if let Some((url, store)) = Victim::url_and_traces() {
        panic!("{:?}", victim_runs(url, store).await);
    }
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let store = Redis::start_with(&["--appendonly", "no"]).await;
    let mut server = victim(&redis, &store);
    let client = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(Duration::from_secs(300))
        .build()
        .unwrap();
    let client = Arc::new(client);
    let calls = tokio::spawn({
        let client = Arc::clone(&client);
        async move {
            let batches = (0..REQUESTS).map(|number| {
                let records: Vec<u32> = (number * RECORDS..(number + 1) * RECORDS).collect();
                (number, records)
            });
            client.call_many::<u32>("append", batches).await
        }
    });
    let stored = async || store.command::<u32>("SCARD requests").await;
    for kill in 1..=KILLS {
        // At any point of a batch. What the last one left is done by then, so that no request is given up.
        let enough = REQUESTS * kill / (KILLS + 1) + fastrand::u32(..200);
        until(async || stored().await > enough).await;
        server.kill();
        server = victim(&redis, &store);
    }
    for (number, answer) in (0..).zip(calls.await.unwrap()) {
        assert_eq!(answer.unwrap(), number);
    }
    server.kill();
    let records: Vec<u32> = store.command("LRANGE records 0 -1").await;
    assert_eq!(records.len(), (REQUESTS * RECORDS) as usize);
    assert_eq!(
        records.into_iter().collect::<HashSet<u32>>().len(),
        (REQUESTS * RECORDS) as usize
    );
    let (commits, handled): (u32, u32) = (
        store.command("GET commits").await,
        store.command("GET handled").await,
    );
    assert!(
        handled >= REQUESTS && commits * 8 < handled,
        "{commits} commits for {handled} requests"
    );
}
