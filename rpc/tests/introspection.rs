//! What a server tells about itself, and when a request was sent.

use std::sync::Arc;
use std::time::Duration;

use rpc::{Context, Error, Fault, Params, RawParams, Server, State};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::calls::{QUEUE, client, server, start};
use crate::redis_server::{Redis, until};

#[tokio::test]
async fn a_server_tells_its_name_and_its_methods() {
    let redis = Redis::start().await;
    let raw = |_: RawParams| async { 1 };
    start(
        server(&redis)
            .method("raw", raw)
            .method("pair", |_: (u8, u8)| async { 1 })
            .concurrency(7),
    )
    .await;
    let client = client(&redis);
    let ping: Value = client.call("$rpc.ping", ()).await.unwrap();
    let info: Value = client.call("$rpc.info", ()).await.unwrap();
    assert_eq!(ping["server"], info["server"]);
    assert_eq!(ping["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&info["queue"], &info["concurrency"]),
        (&json!("math"), &json!(7))
    );
    assert_eq!(
        info["methods"],
        json!([
            {"name": "pair", "signature": "pair(_1, _2, /)", "parameters": null},
            {"name": "raw", "signature": "raw(*args, **kwargs)", "parameters": null},
            {"name": "sum", "signature": "sum(x, y)", "parameters": ["x", "y"]},
        ])
    );
    assert!(matches!(
        client.call::<()>("$rpc.nothing", ()).await,
        Err(Error::UnknownMethod { .. })
    ));
}

#[tokio::test]
async fn a_server_tells_what_it_did_and_how_long_it_took() {
    let redis = Redis::start().await;
    let client = client(&redis);
    let slow = |_: ()| async {
        tokio::time::sleep(Duration::from_millis(30)).await; // slow: the time that is measured
        Err::<(), _>(Fault::handler("no"))
    };
    let early = tokio::spawn({
        let client = client.clone();
        async move { client.call::<()>("slow", ()).await }
    });
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await; // slow: the time that is measured
    start(server(&redis).method("slow", slow)).await;
    assert!(early.await.unwrap().is_err());
    assert!(client.call::<()>("none", ()).await.is_err());
    assert_eq!(client.call::<i64>("sum", (1, 2)).await.unwrap(), 3);
    redis.push(QUEUE, "no request").await;
    let mut stats: Value = Value::Null;
    while stats["dead_lettered"] != 1 {
        stats = client.call("$rpc.stats", ()).await.unwrap();
    }
    assert_eq!(
        [&stats["served"], &stats["failed"], &stats["refused"]],
        [&json!(1), &json!(1), &json!(1)]
    );
    assert!(stats["in_flight"].as_u64().unwrap() >= 1);
    let slow = &stats["methods"]["slow"];
    assert_eq!([&slow["calls"], &slow["failed"]], [&json!(1), &json!(1)]);
    assert!(slow["queued"]["p50_ms"].as_f64().unwrap() >= 40.0, "{slow}");
    assert!(slow["running"]["p50_ms"].as_f64().unwrap() >= 29.0, "{slow}");
    assert_eq!(stats["methods"]["sum"]["running"]["count"], 1);
}

/// Slots that takes had reserved, of which there are more while a handler runs, were counted as requests.
#[tokio::test]
async fn only_requests_that_a_server_has_count_as_in_flight() {
    let redis = Redis::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let pass = Arc::clone(&gate);
    let wait = move |_: ()| {
        let gate = Arc::clone(&pass);
        async move { gate.acquire().await.is_ok() }
    };
    start(server(&redis).method("wait", wait)).await;
    let client = client(&redis);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call::<bool>("wait", ()).await }
    });
    let in_flight = async |expected: u64| {
        let stats: Value = client.call("$rpc.stats", ()).await.unwrap();
        stats["in_flight"] == expected
    };
    // The question is one itself.
    until(async || in_flight(2).await).await;
    gate.add_permits(1);
    assert!(waiting.await.unwrap().unwrap());
    until(async || in_flight(1).await).await;
}

#[tokio::test]
async fn a_handler_is_told_how_long_its_request_was_queued() {
    let redis = Redis::start().await;
    let queued = |context: Context| async move { context.queued.map(|queued| queued.as_secs()) };
    start(server(&redis).method("queued", queued)).await;
    assert_eq!(
        client(&redis).call::<Option<u64>>("queued", ()).await.unwrap(),
        Some(0)
    );
    redis
        .push(QUEUE, r#"{"id":"1","name":"queued","args":[],"kwargs":{}}"#)
        .await;
    assert_eq!(redis.reply(QUEUE, "1").await["result"], Value::Null);
}

#[tokio::test]
async fn a_handler_has_what_it_asks_for_in_any_order() {
    #[derive(Clone)]
    struct Factor(i64);
    async fn scale(
        context: Context,
        Params((number,)): Params<(i64,)>,
        State(Factor(factor)): State<Factor>,
    ) -> String {
        format!("{}: {}", context.method, number * factor)
    }
    async fn factor(State(Factor(factor)): State<Factor>) -> Result<i64, Fault> {
        Ok(factor)
    }
    let redis = Redis::start().await;
    let methods = || server(&redis).method("scale", scale).method("factor", factor);
    assert!(matches!(methods().build(), Err(Error::Config(text)) if text.contains("Factor")));
    start(methods().state(Factor(1)).state(Factor(3))).await;
    let client = client(&redis);
    assert_eq!(client.call::<String>("scale", (14,)).await.unwrap(), "scale: 42");
    assert_eq!(client.call::<i64>("factor", ()).await.unwrap(), 3);
    match client.call::<i64>("factor", (1,)).await {
        Err(Error::Remote(fault)) => {
            assert_eq!(
                fault.message,
                "factor() takes 0 positional arguments but 1 was given"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handler_may_fail_with_an_error_of_its_own() {
    struct Missing(u32);
    impl From<Missing> for Fault {
        fn from(Missing(number): Missing) -> Self {
            Self::app(404, format!("there is no {number}"))
        }
    }
    let redis = Redis::start().await;
    start(server(&redis).method("find", |(number,): (u32,)| async move {
        Err::<(), _>(Missing(number))
    }))
    .await;
    match client(&redis).call::<()>("find", (7,)).await {
        Err(Error::Remote(fault)) => assert_eq!((fault.code, fault.message.as_str()), (404, "there is no 7")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_run_is_never_ready() {
    let server = Server::builder(QUEUE).build().unwrap();
    let (ready, stop) = (server.ready(), CancellationToken::new());
    drop((server, stop));
    assert!(!ready.await);
}
