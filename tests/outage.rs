//! Redis away, the server killed: what was acknowledged is found once, and the rest arrives by itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use e2e::{PATIENCE, RedisServer, Stack, until};
use log_layer::Guard;
use tracing::{Dispatch, info};
use tracing_subscriber::prelude::*;

/// More than fits into the default buffer: these tests are about outages, not about the bound.
const BUFFER: usize = 128 * 1024 * 1024;
const RECORDS: u64 = 100_000;

fn logger(redis: &str) -> (Dispatch, Guard) {
    let builder = log_layer::builder("storm")
        .redis(redis)
        .buffer_bytes(BUFFER)
        .ack_timeout(Duration::from_secs(1));
    let (layer, guard) = builder.build();
    (Dispatch::new(tracing_subscriber::registry().with(layer)), guard)
}

/// Logs the numbers of `range` from a thread of its own.
fn emit(to: &Dispatch, range: std::ops::Range<u64>) -> std::thread::JoinHandle<()> {
    let to = to.clone();
    std::thread::spawn(move || {
        tracing::dispatcher::with_default(&to, || {
            range.for_each(|number| info!(number, "order {number} of the storm"))
        });
    })
}

/// Waits until the layer has seen so many of its records acknowledged.
async fn until_stored(guard: &Guard, expected: u64) {
    let what = format!("{expected} acknowledged records");
    let stored = until(&what, async || {
        let stats = guard.stats();
        if stats.stored >= expected {
            Ok(())
        } else {
            Err(format!("{stats:?}"))
        }
    });
    stored.await;
}

/// Every number exactly once.
async fn check_complete(stack: &Stack, expected: u64) {
    stack.until_count("service:storm", expected).await;
    let numbers: Vec<u64> = stack
        .all("service:storm")
        .await
        .iter()
        .map(|record| record["fields"]["number"].as_u64().unwrap())
        .collect();
    let distinct: HashSet<u64> = numbers.iter().copied().collect();
    assert_eq!(
        (numbers.len() as u64, distinct.len() as u64),
        (expected, expected)
    );
    assert!(distinct.into_iter().all(|number| number < expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_loses_nothing_and_doubles_nothing() {
    let mut stack = Stack::start().await;
    let (log, guard) = logger(&stack.redis.url());
    let storm = emit(&log, 0..RECORDS);
    for round in 1..=3 {
        until_stored(&guard, RECORDS / 10 * round).await;
        stack.server.kill().await;
        let acknowledged = guard.stats().stored;
        stack.restart_server().await;
        let found = stack.count("service:storm").await;
        assert!(
            found >= acknowledged,
            "{acknowledged} were acknowledged, {found} are found"
        );
    }
    storm.join().unwrap();
    check_complete(&stack, RECORDS).await;
    let report = tokio::task::spawn_blocking(move || guard.shutdown(PATIENCE))
        .await
        .unwrap();
    assert_eq!((report.still_buffered, report.dropped), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_killed_in_the_middle_loses_nothing_and_doubles_nothing() {
    let mut stack = Stack::start().await;
    let (log, guard) = logger(&stack.redis.url());
    let storm = emit(&log, 0..RECORDS);
    for round in 1..=3 {
        until_stored(&guard, RECORDS / 10 * round).await;
        stack.redis.kill().await;
        stack.redis.run().await;
    }
    storm.join().unwrap();
    check_complete(&stack, RECORDS).await;
    drop(guard);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_killed_at_once_lose_nothing() {
    let mut stack = Stack::start().await;
    let (log, guard) = logger(&stack.redis.url());
    let storm = emit(&log, 0..RECORDS / 5);
    until_stored(&guard, 1_000).await;
    tokio::join!(stack.server.kill(), stack.redis.kill());
    stack.redis.run().await;
    stack.restart_server().await;
    storm.join().unwrap();
    check_complete(&stack, RECORDS / 5).await;
    drop(guard);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_service_starts_at_once_and_its_records_arrive_when_redis_does() {
    let mut redis = RedisServer::absent();
    let started = Instant::now();
    let (log, guard) = logger(&redis.url());
    emit(&log, 0..1_000).join().unwrap();
    // Bounds that only waiting for the network could break.
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(guard.stats().stored, 0);
    redis.run().await;
    let stack = Stack::start_with(redis).await;
    check_complete(&stack, 1_000).await;
    drop(guard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_does_not_fill_redis_with_copies() {
    let mut stack = Stack::start().await;
    stack.server.kill().await;
    let (log, guard) = logger(&stack.redis.url());
    emit(&log, 0..20_000).join().unwrap();
    let mut redis = stack.redis.connection().await;
    let mut length = async || {
        redis::cmd("LLEN")
            .arg("asyncredisrpc:logs")
            .query_async::<u64>(&mut redis)
            .await
            .unwrap()
    };
    let waiting = until("batches that wait", async || match length().await {
        0 => Err("none".to_owned()),
        waiting => Ok(waiting),
    });
    waiting.await;
    // Several times the layer's patience, in which a careless sender would have sent everything again.
    let since = Instant::now();
    until("several acknowledgement timeouts", async || {
        let waiting = length().await;
        assert!(waiting <= 4, "{waiting} requests wait: more than the window");
        if since.elapsed() > Duration::from_secs(4) {
            Ok(())
        } else {
            Err(format!("{:?}", since.elapsed()))
        }
    })
    .await;
    stack.restart_server().await;
    check_complete(&stack, 20_000).await;
    drop(guard);
}
