//! Calls that end early: cancelled by who made them, or at their deadlines, wherever they are then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rpc::{Client, Context, Error, Fault, ServerBuilder, code};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::calls::{QUEUE, client, server, start};
use crate::redis_server::{Redis, until};

/// How far the handlers of `hang` have come.
#[derive(Default)]
struct Seen {
    started: AtomicU32,
    dropped: AtomicU32,
    told: AtomicU32,
}

/// Counts its end, however it comes.
struct Ends(Arc<Seen>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

/// A server whose method `hang` never ends by itself, and whose method `heed` ends when it is told to.
fn hanging(redis: &Redis, seen: &Arc<Seen>) -> ServerBuilder {
    let (hang, heed) = (Arc::clone(seen), Arc::clone(seen));
    server(redis)
        .method("hang", move || {
            let ends = Ends(Arc::clone(&hang));
            ends.0.started.fetch_add(1, SeqCst);
            async move {
                let _ends = ends;
                std::future::pending::<()>().await
            }
        })
        .method("heed", move |context: Context| {
            let seen = Arc::clone(&heed);
            seen.started.fetch_add(1, SeqCst);
            async move {
                context.cancelled().await;
                seen.told.fetch_add(1, SeqCst);
            }
        })
}

async fn all_slots_are_free(redis: &Redis) {
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_dropped_by_the_server() {
    let (redis, seen) = (Redis::start().await, Arc::new(Seen::default()));
    start(hanging(&redis, &seen)).await;
    let client = client(&redis);
    for method in ["hang", "heed"] {
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.call::<()>(method, ()).await }
        });
        until(async || seen.started.load(SeqCst) == 1).await;
        call.abort();
        until(async || seen.dropped.load(SeqCst) + seen.told.load(SeqCst) == 1).await;
        all_slots_are_free(&redis).await;
        assert_eq!(seen.told.load(SeqCst), u32::from(method == "heed"));
        seen.started.store(0, SeqCst);
        seen.dropped.store(0, SeqCst);
    }
}

#[tokio::test]
async fn a_request_that_is_cancelled_in_the_queue_is_not_started() {
    let (redis, runs) = (Redis::start().await, Arc::new(AtomicU32::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (count, wait) = (Arc::clone(&runs), Arc::clone(&gate));
    let counting = server(&redis)
        .method("count", move |_: ()| {
            count.fetch_add(1, SeqCst);
            async {}
        })
        .method("wait", move |_: ()| {
            let gate = Arc::clone(&wait);
            async move { gate.acquire().await.unwrap().forget() }
        });
    start(counting.concurrency(1)).await;
    let client = client(&redis);
    let call = |method: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.call::<()>(method, ()).await })
    };
    let first = call("wait");
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.len() == 1).await;
    let (unwanted, wanted) = (call("count"), call("count"));
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 2).await;
    unwanted.abort();
    // The server has been told when it has been told of a later one, too.
    until(async || {
        let told = redis.command::<String>("INFO commandstats").await;
        told.lines()
            .any(|line| line.starts_with("cmdstat_publish:calls=1,"))
    })
    .await;
    redis
        .command::<u64>("PUBLISH {asyncredisrpc:math}:ctl nonsense")
        .await;
    gate.add_permits(1);
    assert!(first.await.unwrap().is_ok() && wanted.await.unwrap().is_ok());
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test]
async fn a_handler_is_dropped_at_its_deadline() {
    let (redis, seen) = (Redis::start().await, Arc::new(Seen::default()));
    start(hanging(&redis, &seen)).await;
    let now: Vec<i64> = redis.command("TIME").await;
    let deadline = now[0] * 1000 + now[1] / 1000 + 2000;
    let request =
        format!(r#"{{"id":"1","name":"hang","args":[],"kwargs":{{}},"meta":{{"deadline":{deadline}}}}}"#);
    redis.push(QUEUE, request).await;
    let reply = redis.reply(QUEUE, "1").await;
    assert_eq!(reply["error"], code::DEADLINE_EXCEEDED);
    assert!(reply["result"]["data"]["server"].is_string(), "{reply}");
    assert_eq!((seen.started.load(SeqCst), seen.dropped.load(SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_timeout_says_who_had_the_request() {
    let (redis, seen) = (Redis::start().await, Arc::new(Seen::default()));
    start(hanging(&redis, &seen)).await;
    let client = client(&redis);
    let ping: Value = client.call("$rpc.ping", ()).await.unwrap();
    let call = client.request("hang").timeout(Duration::from_secs(2));
    match call.send::<()>().await {
        Err(Error::Timeout {
            taken_by: Some(server),
            ..
        }) => assert_eq!(json!(server), ping["server"]),
        other => panic!("{other:?}"),
    }
    all_slots_are_free(&redis).await;
}

#[tokio::test]
async fn a_reply_that_comes_while_the_timeout_is_looked_into_counts() {
    let redis = Redis::start().await;
    let late = |context: Context| async move {
        context.cancelled().await;
        7
    };
    start(server(&redis).method("late", late)).await;
    let call = client(&redis)
        .request("late")
        .timeout(Duration::from_secs(2))
        .send::<u8>()
        .await;
    assert_eq!(call.unwrap(), 7);
}

#[tokio::test]
async fn an_idempotent_call_that_was_cancelled_can_be_made_again() {
    let (redis, seen) = (Redis::start().await, Arc::new(Seen::default()));
    start(hanging(&redis, &seen)).await;
    let request = r#"{"id":"a","name":"hang","args":[],"kwargs":{},"meta":{"idempotent":true}}"#;
    for round in 1..=2 {
        redis.push(QUEUE, request).await;
        until(async || seen.started.load(SeqCst) == round).await;
        redis
            .command::<u64>(r#"PUBLISH {asyncredisrpc:math}:ctl {"cancel":["a"],"more":1}"#)
            .await;
        assert_eq!(redis.reply(QUEUE, "a").await["error"], code::CANCELLED);
    }
}

/// Case 17 of the list of failures that the wire was designed against.
#[tokio::test]
async fn what_comes_too_late_is_not_started_or_not_heard_and_leaves_nothing() {
    let (redis, runs, gate) = (Redis::start().await, Arc::default(), Arc::new(Semaphore::new(0)));
    let slow = {
        let (runs, gate) = (Arc::<AtomicU32>::clone(&runs), Arc::clone(&gate));
        move |context: Context| {
            runs.fetch_add(1, SeqCst);
            // Whoever asks to be told is not dropped, and answers for certain.
            let (_told, gate) = (context.cancelled(), Arc::clone(&gate));
            async move { gate.acquire().await.unwrap().forget() }
        }
    };
    let short_memory = Duration::from_secs(1);
    start(
        server(&redis)
            .method("slow", slow)
            .concurrency(1)
            .reply_ttl(short_memory),
    )
    .await;
    let mut overheard = redis.overhear().await;
    let client = client(&redis);
    client.queue_state().await.unwrap();
    // The handler takes longer than any timeout.
    let timeout = Duration::from_secs(1);
    let call = client.request("slow").timeout(timeout).send::<()>().await;
    assert!(
        matches!(call, Err(Error::Timeout { sent: true, after, .. }) if after == timeout),
        "{call:?}"
    );
    assert_eq!(client.in_flight(), 0);
    until(async || runs.load(SeqCst) == 1).await;
    // Their callers are not there to say that they are gone.
    let now: Vec<i64> = redis.command("TIME").await;
    // Long ago: a server knows the clock of Redis as well as the answer that told it was quick.
    let expired = now[0] * 1000 - 60_000;
    let inbox = "{asyncredisrpc:math}:inbox:gone";
    for (id, meta) in [
        (1, format!(r#"{{"deadline":{expired}}}"#)),
        (2, format!(r#"{{"deadline":{expired},"reply_to":"{inbox}"}}"#)),
    ] {
        let request = format!(r#"{{"id":{id},"name":"slow","args":[],"kwargs":{{}},"meta":{meta}}}"#);
        redis.push(QUEUE, request).await;
    }
    gate.add_permits(1);
    client.call::<i64>("sum", (1, 2)).await.unwrap();
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
    let said = overheard.so_far(&redis).await;
    let told = |words: &str| -> Vec<&String> { said.iter().filter(|line| line.contains(words)).collect() };
    let expired = format!(r#"\"error\":{}"#, code::DEADLINE_EXCEEDED);
    for key in ["asyncredisrpc:math:1", inbox] {
        let replies = told(&format!(r#""RPUSH" "{key}""#));
        assert!(
            matches!(&replies[..], [reply] if reply.contains(&expired)),
            "{said:#?}"
        );
    }
    // The slow call's, which nobody heard, and that of the last call.
    assert_eq!(told(r#"\"error\":0"#).len(), 2, "{said:#?}");
    assert_eq!(runs.load(SeqCst), 1);
    drop(client);
    until(async || {
        redis
            .command::<Vec<String>>("KEYS asyncredisrpc:*")
            .await
            .is_empty()
    })
    .await;
    until(async || redis.command::<Vec<String>>("KEYS *:inbox:*").await.is_empty()).await;
}

#[tokio::test]
async fn a_call_inside_a_handler_ends_before_its_caller_gives_up() {
    let redis = Redis::start().await;
    let inner = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(Duration::from_secs(3600))
        .build()
        .unwrap();
    let told = Arc::new(Notify::new());
    let outer = {
        let told = Arc::clone(&told);
        move |(): ()| {
            let (inner, told) = (inner.clone(), Arc::clone(&told));
            async move {
                let answer = inner.call::<()>("nobody", ()).await;
                told.notify_one();
                answer.map_err(Fault::from)
            }
        }
    };
    // Nobody answers the inner call, because the only slot is taken.
    start(server(&redis).method("outer", outer).concurrency(1)).await;
    let asked = Instant::now();
    let call = client(&redis)
        .request("outer")
        .timeout(Duration::from_secs(5))
        .send::<()>()
        .await;
    assert!(
        matches!(&call, Err(Error::Remote(fault)) if fault.code == code::DEADLINE_EXCEEDED),
        "{call:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(30));
    told.notified().await;
}

#[tokio::test]
async fn a_call_inside_a_handler_continues_the_trace() {
    let redis = Redis::start().await;
    let inner = client(&redis);
    let outer = move |(): ()| {
        let inner = inner.clone();
        async move { inner.call::<Value>("inner", ()).await.map_err(Fault::from) }
    };
    let traces = |context: Context| async move { (context.traceparent, context.tracestate) };
    start(server(&redis).method("outer", outer).method("inner", traces)).await;
    let request = r#"{"id":"1","name":"outer","args":[],"kwargs":{},"meta":{"traceparent":"00-1-2-01","tracestate":"a=b"}}"#;
    redis.push(QUEUE, request).await;
    assert_eq!(
        redis.reply(QUEUE, "1").await["result"],
        json!(["00-1-2-01", "a=b"])
    );
}
