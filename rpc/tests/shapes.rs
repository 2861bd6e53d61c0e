//! Handlers of other shapes: many requests at once, layers of others around them; and many calls at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rpc::{Batching, Context, Error, Fault, code};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::timeout::TimeoutLayer;

use crate::calls::{client, server, start};
use crate::redis_server::{Redis, until};

#[tokio::test]
async fn a_batch_method_answers_each_of_many_requests() {
    let redis = Redis::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let append = {
        let (gate, sizes) = (Arc::clone(&gate), Arc::clone(&sizes));
        move |batch: Vec<((u32,), Context)>| {
            let (gate, sizes) = (Arc::clone(&gate), Arc::clone(&sizes));
            async move {
                sizes.lock().unwrap().push(batch.len());
                gate.acquire().await.unwrap().forget();
                batch
                    .iter()
                    .map(|((number,), _)| {
                        if *number == 13 {
                            Err(Fault::app(113, "no"))
                        } else {
                            Ok(number * 2)
                        }
                    })
                    .collect::<Vec<_>>()
            }
        }
    };
    let batching = Batching {
        requests: 8,
        ..Batching::default()
    };
    let (stop, serving) = start(server(&redis).batch_method("append", batching, append)).await;
    let client = client(&redis);
    let calls = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .call_many::<u32>("append", (0..20).map(|number| (number,)))
                .await
        }
    });
    // All are taken, and the first batch is worked on.
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 20).await;
    gate.add_permits(100);
    for (number, answer) in (0..).zip(calls.await.unwrap()) {
        match answer {
            Ok(double) => assert_eq!(double, number * 2),
            Err(Error::Remote(fault)) => assert_eq!((number, fault.code), (13, 113)),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(sizes.lock().unwrap().iter().all(|size| *size <= 8));
    assert!(sizes.lock().unwrap().len() < 20, "there was no batch");
    match client.call::<u32>("append", ("x",)).await {
        Err(Error::Remote(fault)) => assert_eq!(fault.code, code::INVALID_PARAMS),
        other => panic!("{other:?}"),
    }
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 19);
}

#[tokio::test]
async fn a_batch_that_is_not_answered_as_it_should_be_fails_and_the_next_does_not() {
    let redis = Redis::start().await;
    let round = AtomicUsize::new(0);
    let append = move |batch: Vec<((u32,), Context)>| {
        let round = round.fetch_add(1, SeqCst);
        async move {
            match round {
                0 => panic!("as the test wants"),
                1 => Vec::new(),
                _ => batch.into_iter().map(|((number,), _)| number).collect(),
            }
        }
    };
    start(server(&redis).batch_method("append", Batching::default(), append)).await;
    let client = client(&redis);
    for _ in 0..2 {
        match client.call::<u32>("append", (1,)).await {
            Err(Error::Remote(fault)) => assert_eq!(fault.code, code::HANDLER),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.call::<u32>("append", (7,)).await.unwrap(), 7);
}

#[tokio::test]
async fn layers_of_tower_go_around_handlers() {
    let redis = Redis::start().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let count = {
        let seen = Arc::clone(&seen);
        move |request: rpc::Request| {
            seen.fetch_add(request.args().len(), SeqCst);
            request
        }
    };
    let layered = server(&redis)
        .method("hang", |_: ()| std::future::pending::<()>())
        .method("fail", |_: ()| async { Err::<(), _>(Fault::app(100, "no")) })
        .layer(
            ServiceBuilder::new()
                .map_request(count)
                .concurrency_limit(1)
                .layer(TimeoutLayer::new(Duration::from_millis(200)))
                .into_inner(),
        );
    start(layered).await;
    let client = client(&redis);
    assert_eq!(client.call::<i64>("sum", (1, 2)).await.unwrap(), 3);
    assert_eq!(seen.load(SeqCst), "[1,2]".len());
    let fault = async |method: &str| match client.call::<()>(method, ()).await {
        Err(Error::Remote(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault("fail").await.code, 100, "a fault keeps its code");
    assert_eq!(fault("hang").await.code, code::HANDLER);
}

#[tokio::test]
async fn many_calls_give_their_results_in_order() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    start(server(&redis)).await;
    let totals = client(&redis)
        .call_many::<i64>("sum", (0..5000).map(|number| (number, 1)))
        .await;
    for (number, total) in (0..).zip(totals) {
        assert_eq!(total.unwrap(), number + 1);
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_and_the_next_does_not() {
    let redis = Redis::start().await;
    let repeat = |length: usize| std::future::ready("x".repeat(length));
    start(server(&redis).method("repeat", repeat).max_reply(1000)).await;
    let client = client(&redis);
    match client.call::<String>("repeat", (999,)).await {
        Err(Error::Remote(fault)) => assert_eq!(
            (fault.code, fault.message.as_str()),
            (code::BAD_RESULT, "the result has 1001 bytes, more than 1000")
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.call::<String>("repeat", (998,)).await.unwrap().len(), 998);
}

/// What is urgent has a queue of its own, and permits that nothing else can take.
#[tokio::test]
async fn an_urgent_queue_does_not_wait_for_another() {
    let redis = Redis::start().await;
    let bulk = rpc::Server::builder("bulk")
        .redis(redis.url())
        .method("work", std::future::pending::<()>)
        .concurrency(1);
    start(bulk).await;
    start(server(&redis)).await;
    for id in 0..3 {
        let request = format!(r#"{{"id":{id},"name":"work","args":[],"kwargs":{{}}}}"#);
        redis.push("bulk", request).await;
    }
    until(async || redis.command::<u64>("LLEN asyncredisrpc:bulk").await == 2).await;
    assert_eq!(client(&redis).call::<i64>("sum", (1, 2)).await.unwrap(), 3);
}
