//! Calls between a client and a server of this crate, while nothing fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rpc::{Args, Client, Context, Error, Fault, Kw, RawArgs, RawParams, Server, ServerBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::redis_server::{PATIENCE, Redis, until};

pub(crate) const QUEUE: &str = "math";

#[derive(Deserialize, Serialize)]
pub(crate) struct Sum {
    x: i64,
    y: i64,
}

pub(crate) async fn sum(terms: Sum) -> Result<i64, Fault> {
    Ok(terms.x + terms.y)
}

pub(crate) fn server(redis: &Redis) -> ServerBuilder {
    Server::builder(QUEUE).redis(redis.url()).method("sum", sum)
}

pub(crate) async fn start(
    server: ServerBuilder,
) -> (
    CancellationToken,
    tokio::task::JoinHandle<Result<rpc::Report, Error>>,
) {
    let stop = CancellationToken::new();
    let server = server.build().unwrap();
    let ready = server.ready();
    let serving = tokio::spawn(server.run(stop.clone()));
    assert!(ready.await);
    (stop, serving)
}

pub(crate) fn client(redis: &Redis) -> Client {
    Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

#[tokio::test]
async fn arguments_arrive_in_every_form() {
    let redis = Redis::start().await;
    start(server(&redis)).await;
    let client = client(&redis);
    assert_eq!(client.call::<i64>("sum", (14, 3)).await.unwrap(), 17);
    assert_eq!(
        client.call::<i64>("sum", Kw(Sum { x: 14, y: 3 })).await.unwrap(),
        17
    );
    assert_eq!(
        client
            .call::<i64>("sum", Args((14,), Kw(json!({"y": 3}))))
            .await
            .unwrap(),
        17
    );
    let ready_made = RawArgs {
        args: "[14]".into(),
        kwargs: r#"{"y": 3}"#.into(),
    };
    assert_eq!(client.call::<i64>("sum", ready_made).await.unwrap(), 17);
    let (code, raw) = client.call_raw("sum", (14, 3)).await.unwrap();
    assert_eq!((code, raw.get()), (0, "17"));
    assert_eq!(
        redis.command::<Vec<String>>("KEYS asyncredisrpc:*").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_handler_can_see_the_text_of_its_arguments() {
    let redis = Redis::start().await;
    let raw = |params: RawParams| async move { Ok::<_, Fault>([params.args, params.kwargs]) };
    start(server(&redis).method("raw", raw)).await;
    let seen: Value = client(&redis)
        .call("raw", Args((1, "é"), Kw(json!({"y": 3}))))
        .await
        .unwrap();
    assert_eq!(seen, json!([r#"[1,"é"]"#, r#"{"y":3}"#]));
}

#[tokio::test]
async fn a_handler_is_told_about_its_call() {
    let redis = Redis::start().await;
    let about = |(): (), context: Context| async move {
        let left = context
            .deadline
            .map(|deadline| deadline.duration_since(Instant::now()).as_secs());
        Ok::<_, Fault>((context.method, context.traceparent, left, context.id))
    };
    start(server(&redis).method("about", about)).await;
    let client = client(&redis);
    type About = (String, Option<String>, Option<u64>, String);

    let request = client
        .request("about")
        .timeout(Duration::from_secs(100))
        .traceparent("00-a-b-01");
    let (method, traceparent, left, first): About = request.send().await.unwrap();
    assert_eq!(
        (method.as_str(), traceparent.as_deref()),
        ("about", Some("00-a-b-01"))
    );
    assert!((50..=100).contains(&left.unwrap()), "{left:?}");

    let (_, traceparent, left, second): About = client.request("about").no_deadline().send().await.unwrap();
    assert_eq!((traceparent, left), (None, None));
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_failure_is_told_and_the_next_call_works() {
    let redis = Redis::start().await;
    let fault = || Fault {
        data: Some(serde_json::value::to_raw_value(&[1]).unwrap()),
        ..Fault::overloaded("busy")
    };
    let methods = server(&redis)
        .method("fail", move |_: ()| async move { Err::<(), _>(fault()) })
        .method("panic", |_: ()| async {
            if true {
                panic!("as the test wants")
            } else {
                Ok::<_, Fault>(())
            }
        })
        .method("early", |_: ()| -> std::future::Ready<Result<(), Fault>> {
            panic!("as the test wants")
        })
        .method("map", |_: ()| async {
            Ok::<_, Fault>(std::collections::BTreeMap::from([((1, 2), 3)]))
        });
    let (stop, serving) = start(methods).await;
    let client = client(&redis);
    let failure = async |method: &str| match client.call::<Value>(method, ()).await {
        Err(Error::Remote(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let fault = failure("fail").await;
    assert_eq!(
        (fault.code, fault.message.as_str(), fault.retryable),
        (rpc::code::OVERLOADED, "busy", true)
    );
    assert_eq!(fault.data.unwrap().get(), "[1]");
    assert_eq!(failure("panic").await.code, rpc::code::HANDLER);
    assert_eq!(failure("early").await.code, rpc::code::HANDLER);
    assert_eq!(failure("map").await.code, rpc::code::BAD_RESULT);
    assert_eq!(
        failure("sum").await.message,
        "sum() missing 2 required positional arguments: 'x' and 'y'"
    );
    assert!(matches!(
        client.call::<()>("none", ()).await,
        Err(Error::UnknownMethod { .. })
    ));
    assert!(matches!(
        client.call::<String>("sum", (1, 2)).await,
        Err(Error::Decode { .. })
    ));
    assert!(matches!(
        client.call::<()>("sum", Kw(1)).await,
        Err(Error::Encode(_))
    ));
    let big = "x".repeat(17 << 20);
    assert!(matches!(
        client.call::<()>("sum", (big,)).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(client.call::<i64>("sum", (1, 2)).await.unwrap(), 3);
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.handled, report.failed, report.dead_lettered), (2, 6, 0));
}

/// Case 16 of the list of failures that the wire was designed against.
#[tokio::test]
async fn as_many_handlers_run_as_are_allowed_and_never_more() {
    let redis = Redis::start().await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let (running, most, gate) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&gate));
        move |_: ()| {
            let (running, most, gate) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&gate));
            async move {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                gate.acquire().await.unwrap().forget();
                running.fetch_sub(1, SeqCst);
                Ok::<_, Fault>(())
            }
        }
    };
    start(server(&redis).method("wait", handler).concurrency(8)).await;
    let client = client(&redis);
    let calls = tokio::spawn(async move { join_all((0..80).map(|_| client.call::<()>("wait", ()))).await });
    // Whenever one ends, another takes its place.
    for waiting in (0..=72).rev() {
        until(async || {
            running.load(SeqCst) == 8 && redis.command::<u64>("LLEN asyncredisrpc:math").await == waiting
        })
        .await;
        let taken: Vec<String> = redis.command("KEYS *:w:*").await;
        assert!(taken.len() <= 8, "{taken:?}");
        gate.add_permits(1);
    }
    gate.add_permits(7);
    assert!(calls.await.unwrap().iter().all(Result::is_ok));
    assert_eq!(most.load(SeqCst), 8);
}

/// Case 19.
#[tokio::test]
async fn ten_thousand_calls_take_two_connections() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let client = client(&redis);
    let calls = {
        let client = client.clone();
        tokio::spawn(async move { join_all((0..10_000).map(|i| client.call::<i64>("sum", (i, 1)))).await })
    };
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 10_000).await;
    assert_eq!(client.in_flight(), 10_000);
    // One of them is the one that asks.
    until(async || redis.command::<String>("CLIENT LIST").await.lines().count() == 3).await;
    start(server(&redis)).await;
    for (i, total) in (0..).zip(calls.await.unwrap()) {
        assert_eq!(total.unwrap(), i + 1);
    }
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test]
async fn a_notification_is_carried_out_and_not_answered() {
    let redis = Redis::start().await;
    let seen = Arc::new(AtomicU32::new(0));
    let note = {
        let seen = Arc::clone(&seen);
        move |(number,): (u32,)| {
            seen.fetch_add(number, SeqCst);
            async { Ok::<_, Fault>(()) }
        }
    };
    start(server(&redis).method("note", note)).await;
    let client = client(&redis);
    client.notify("note", (3,)).await.unwrap();
    client.notify("note", (4,)).await.unwrap();
    until(async || seen.load(SeqCst) == 7).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
    assert_eq!(
        redis.command::<Vec<String>>("KEYS asyncredisrpc:*").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_timeout_tells_how_the_queue_stands() {
    let redis = Redis::start().await;
    let client = client(&redis);
    assert_eq!(client.queue_state().await.unwrap().len, 0);
    let timeout = Duration::from_millis(500);
    match client.request("sum").timeout(timeout).send::<()>().await {
        Err(Error::Timeout {
            sent: true,
            queue_len: Some(1),
            servers: Some(0),
            after,
            ..
        }) => assert_eq!(after, timeout),
        other => panic!("{other:?}"),
    }
    // The server knows that the caller is gone.
    let (stop, serving) =
        start(server(&redis).method("wait", |_: ()| std::future::pending::<Result<(), Fault>>())).await;
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 0).await;
    match client.request("wait").timeout(timeout).send::<()>().await {
        Err(Error::Timeout {
            sent: true,
            queue_len: Some(0),
            servers: Some(1),
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
    let state = client.queue_state().await.unwrap();
    assert_eq!((state.len, state.servers, state.redis_run_id.len()), (0, 1, 40));
    stop.cancel();
    // The call of "wait" never ends by itself; this test does not wait for it.
    serving.abort();
}

#[tokio::test]
async fn a_call_whose_caller_has_gone_is_not_started() {
    let redis = Redis::start().await;
    let client = client(&redis);
    // It is connected, so the request does get into the queue.
    client.queue_state().await.unwrap();
    let early = client
        .request("count")
        .timeout(Duration::from_millis(50))
        .send::<()>()
        .await;
    assert!(matches!(early, Err(Error::Timeout { .. })));
    let runs = Arc::new(AtomicU32::new(0));
    let count = {
        let runs = Arc::clone(&runs);
        move |_: ()| {
            runs.fetch_add(1, SeqCst);
            async { Ok::<_, Fault>(()) }
        }
    };
    let (stop, serving) = start(server(&redis).method("count", count)).await;
    client.call::<()>("count", ()).await.unwrap();
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((runs.load(SeqCst), report.handled, report.failed), (1, 1, 1));
}

#[tokio::test]
async fn the_start_hook_comes_before_the_first_request() {
    let redis = Redis::start().await;
    let started = Arc::new(AtomicU32::new(0));
    let client = client(&redis);
    let call = tokio::spawn(async move { client.call::<u32>("started", ()).await });
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 1).await;
    let (hook, handler) = (Arc::clone(&started), Arc::clone(&started));
    let hooked = server(&redis)
        .on_start(async move || {
            tokio::task::yield_now().await;
            hook.store(7, SeqCst);
            Ok::<_, std::io::Error>(())
        })
        .method("started", move |_: ()| {
            std::future::ready(Ok::<_, Fault>(handler.load(SeqCst)))
        });
    start(hooked).await;
    assert_eq!(call.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_failing_start_hook_ends_the_server() {
    let server = Server::builder(QUEUE)
        .on_start(async || Err("no disk"))
        .build()
        .unwrap();
    let ready = server.ready();
    match server.run(CancellationToken::new()).await {
        Err(Error::Start(why)) => assert_eq!(why.to_string(), "no disk"),
        other => panic!("{other:?}"),
    }
    assert!(!ready.await);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let nothing = |_: ()| async { Ok::<_, Fault>(()) };
    for builder in [
        Server::builder(""),
        Server::builder("a").redis("http://:secret@host"),
        Server::builder("a").concurrency(0),
        Server::builder("a").reply_ttl(Duration::ZERO),
        Server::builder("a").method("f", nothing).method("f", nothing),
        Server::builder("a").method("on_server_start", nothing),
        Server::builder("a").method("$rpc.ping", nothing),
    ] {
        match builder.build() {
            Err(Error::Config(text)) => assert!(!text.contains("secret"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Client::builder("a").build(), Err(Error::Config(text)) if text.contains("runtime")));
}
