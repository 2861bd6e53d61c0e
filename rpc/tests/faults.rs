//! Redis goes away, connections break, servers stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rpc::{Client, Error, Fault, Server, ServerBuilder};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::redis_server::{PATIENCE, Redis, until};

const QUEUE: &str = "work";

/// How often each number was worked on.
type Runs = Arc<Mutex<BTreeMap<u32, u32>>>;

/// A server whose handlers wait for a permit each.
fn worker(redis: &Redis, runs: &Runs, gate: &Arc<Semaphore>) -> ServerBuilder {
    let (runs, gate) = (Arc::clone(runs), Arc::clone(gate));
    Server::builder(QUEUE)
        .redis(redis.url())
        .method("work", move |(number,): (u32,)| {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            async move {
                gate.acquire().await.unwrap().forget();
                *runs.lock().unwrap().entry(number).or_default() += 1;
                Ok::<_, Fault>(number)
            }
        })
}

fn run(server: ServerBuilder, stop: &CancellationToken) -> JoinHandle<Result<rpc::Report, Error>> {
    tokio::spawn(server.build().unwrap().run(stop.clone()))
}

fn client(redis: &Redis) -> Client {
    Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(100_000))
}

async fn queue_len(redis: &Redis) -> u64 {
    redis.command("LLEN asyncredisrpc:work").await
}

#[tokio::test]
async fn clients_and_servers_wait_for_a_redis_that_comes_later() {
    let mut redis = Redis::prepare(&[]);
    let stop = CancellationToken::new();
    let serving = run(worker(&redis, &Runs::default(), &open()), &stop);
    let client = client(&redis);
    let too_early = client
        .request("work")
        .params((1,))
        .timeout(Duration::from_millis(200))
        .send::<u32>()
        .await;
    assert!(
        matches!(
            too_early,
            Err(Error::Transport {
                maybe_sent: false,
                ..
            })
        ),
        "{too_early:?}"
    );
    let call = tokio::spawn(async move {
        client
            .request("work")
            .params((2,))
            .no_deadline()
            .send::<u32>()
            .await
    });
    redis.up().await;
    assert_eq!(call.await.unwrap().unwrap(), 2);
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 1);
}

#[tokio::test]
async fn a_server_stops_while_redis_is_away() {
    let redis = Redis::prepare(&[]);
    let stop = CancellationToken::new();
    let serving = run(worker(&redis, &Runs::default(), &open()), &stop);
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap(), rpc::Report::default());
}

#[tokio::test]
async fn calls_go_on_after_redis_restarts() {
    calls_go_on_after_restarts(Redis::start_with(&["--appendfsync", "everysec"]).await).await;
}

#[tokio::test]
async fn calls_go_on_after_redis_restarts_without_its_data() {
    calls_go_on_after_restarts(Redis::start_with(&["--appendonly", "no"]).await).await;
}

async fn calls_go_on_after_restarts(mut redis: Redis) {
    let (runs, stop) = (Runs::default(), CancellationToken::new());
    let serving = run(worker(&redis, &runs, &open()), &stop);
    let client = client(&redis);
    let calls = {
        let client = client.clone();
        tokio::spawn(async move {
            let mut lost = 0;
            for number in 0..2000 {
                match client
                    .request("work")
                    .params((number,))
                    .timeout(Duration::from_secs(5))
                    .send::<u32>()
                    .await
                {
                    Ok(answer) => assert_eq!(answer, number),
                    Err(Error::Transport { .. } | Error::Timeout { .. }) => lost += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            lost
        })
    };
    for enough in [200, 400] {
        until(async || runs.lock().unwrap().len() > enough).await;
        redis.kill();
        redis.up().await;
    }
    // At most the call in flight is lost at each restart; every other one was answered.
    let lost = calls.await.unwrap();
    assert!(lost <= 2, "{lost}");
    until(async || queue_len(&redis).await == 0).await;
    assert_eq!(client.call::<u32>("work", (5000,)).await.unwrap(), 5000);
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(runs.lock().unwrap().len() >= 2001 - lost);
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *:w:*").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_reply_is_handed_in_after_redis_comes_back() {
    let mut redis = Redis::start().await;
    let (gate, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
    let serving = run(worker(&redis, &Runs::default(), &gate), &stop);
    let client = client(&redis);
    let call = tokio::spawn(async move {
        client
            .request("work")
            .params((1,))
            .no_deadline()
            .send::<u32>()
            .await
    });
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    redis.kill();
    gate.add_permits(1);
    redis.up().await;
    assert_eq!(call.await.unwrap().unwrap(), 1);
    stop.cancel();
    serving.await.unwrap().unwrap();
    // The registration stays as long as a ghost of the lost connection could take a request.
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *").await,
        ["{asyncredisrpc:work}:workers"]
    );
}

#[tokio::test]
async fn a_stop_loses_nothing() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let (runs, client) = (Runs::default(), client(&redis));
    let calls =
        tokio::spawn(async move { join_all((0..3000).map(|i| client.call::<u32>("work", (i,)))).await });
    let mut handled = 0;
    for enough in [1, 1000, 2000, 3000] {
        let stop = CancellationToken::new();
        let serving = run(worker(&redis, &runs, &open()), &stop);
        until(async || runs.lock().unwrap().len() >= enough).await;
        stop.cancel();
        handled += serving.await.unwrap().unwrap().handled;
        assert_eq!(
            redis.command::<Vec<String>>("KEYS {*}:[wh]*").await,
            Vec::<String>::new()
        );
    }
    for (i, answer) in (0..).zip(calls.await.unwrap()) {
        assert_eq!(answer.unwrap(), i);
    }
    assert_eq!(handled, 3000);
    assert!(runs.lock().unwrap().values().all(|runs| *runs == 1));
}

#[tokio::test]
async fn a_stop_is_quick_and_takes_nothing_more() {
    let redis = Redis::start().await;
    let (gate, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
    let server = worker(&redis, &Runs::default(), &gate)
        .concurrency(2)
        .build()
        .unwrap();
    let serving = tokio::spawn(server.run(stop.clone()));
    let client = client(&redis);
    let calls = {
        let client = client.clone();
        tokio::spawn(async move { join_all((0..3).map(|i| client.call::<u32>("work", (i,)))).await })
    };
    until(async || queue_len(&redis).await == 1).await;
    stop.cancel();
    gate.add_permits(2);
    let report = tokio::time::timeout(Duration::from_secs(10), serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((report.handled, queue_len(&redis).await), (2, 1));

    let stop = CancellationToken::new();
    let serving = run(worker(&redis, &Runs::default(), &open()), &stop);
    assert!(calls.await.unwrap().iter().all(Result::is_ok));
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 1);
}

#[tokio::test]
async fn what_does_not_finish_in_time_goes_back_to_the_head() {
    let redis = Redis::start().await;
    let stop = CancellationToken::new();
    let server = worker(&redis, &Runs::default(), &Arc::new(Semaphore::new(0)));
    let serving = run(
        server.concurrency(1).drain_timeout(Duration::from_millis(100)),
        &stop,
    );
    let request = |id| format!(r#"{{"id":{id},"name":"work","args":[{id}],"kwargs":{{}}}}"#);
    redis.push(QUEUE, request(1)).await;
    redis.push(QUEUE, request(2)).await;
    until(async || queue_len(&redis).await == 1).await;
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().requeued, 1);
    let queue: Vec<String> = redis.command("LRANGE asyncredisrpc:work 0 -1").await;
    assert_eq!(queue, [request(1), request(2)]);
    assert_eq!(
        redis.command::<Vec<String>>("KEYS {*").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_printed() {
    let redis = Redis::start_with(&["--requirepass", "right"]).await;
    let url = format!("redis://:wr0ng@127.0.0.1:{}", redis.port());
    let server = Server::builder(QUEUE).redis(&url).build().unwrap();
    let client = Client::builder(QUEUE)
        .redis(&url)
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let printed = format!("{server:?} {client:?}");
    let failed = server.run(CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(
            failed,
            Error::Transport {
                maybe_sent: false,
                ..
            }
        ),
        "{failed:?}"
    );
    let refused = client.call::<()>("work", (1,)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Transport {
                maybe_sent: false,
                ..
            }
        ),
        "{refused:?}"
    );
    for text in [
        printed,
        format!("{failed:?} {failed}"),
        format!("{refused:?} {refused}"),
    ] {
        assert!(!text.contains("wr0ng"), "{text}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_reported() {
    let redis = Redis::start().await;
    redis
        .command::<()>("ACL SETUSER weak on >pw ~* +@all -blmove")
        .await;
    let url = format!("redis://weak:pw@127.0.0.1:{}", redis.port());
    let failed = Server::builder(QUEUE)
        .redis(url)
        .build()
        .unwrap()
        .run(CancellationToken::new())
        .await;
    let Err(Error::Transport {
        source,
        maybe_sent: false,
    }) = failed
    else {
        panic!("{failed:?}")
    };
    assert!(source.to_string().contains("blmove"), "{source}");
}
