//! What is logged is found, exactly as logged.

use std::time::Duration;

use e2e::{PATIENCE, Stack, until};
use futures_util::StreamExt as _;
use rpc::Kw;
use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::prelude::*;

/// Logs `work` as `service` and waits until it is acknowledged.
async fn log(stack: &Stack, service: &str, work: impl FnOnce()) {
    let (layer, guard) = log_layer::builder(service)
        .redis(stack.redis.url())
        .level(tracing::Level::TRACE)
        .build();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let report = tokio::task::spawn_blocking(move || guard.shutdown(PATIENCE))
        .await
        .unwrap();
    assert_eq!((report.still_buffered, report.dropped), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_found_with_everything_that_was_logged() {
    let stack = Stack::start().await;
    log(&stack, "iptv", || {
        let request = info_span!("request", path = "/live", user_id = 42);
        request.in_scope(|| {
            warn!(
                latency_ms = 3.5,
                huge = u64::MAX,
                ok = true,
                name = "登录",
                "channel {} opened",
                "cctv1"
            );
        });
    })
    .await;
    let records = stack.all("service:iptv").await;
    let [record] = records.as_slice() else {
        panic!("one record: {records:?}")
    };
    assert_eq!(record["message"], "channel cctv1 opened");
    assert_eq!(
        (&record["level"], &record["service"], &record["target"]),
        (&json!("warn"), &json!("iptv"), &json!("e2e::delivery"))
    );
    assert_eq!(
        record["fields"],
        json!({"latency_ms": 3.5, "huge": u64::MAX, "ok": true, "name": "登录"})
    );
    assert_eq!(
        record["spans"],
        json!([{"name": "request", "fields": {"path": "/live", "user_id": 42}}])
    );
    assert!(record["file"].as_str().unwrap().ends_with("delivery.rs") && record["line"].is_u64());
    assert!(record["trace_id"].as_str().is_some_and(|id| id.len() == 32));
    assert!(record.get("flags").is_none(), "nothing was altered: {record}");
    for q in [
        "登录",
        "CHANNEL",
        "opened cctv1",
        "latency_ms>3",
        "user_id:42",
        "span.path:/live",
        "level>=warn",
        "18446744073709551615",
    ] {
        let q = if q == "user_id:42" { "span.user_id:42" } else { q };
        assert_eq!(stack.count(q).await, 1, "{q}");
    }
    for q in [
        "级别",
        "level:error",
        "latency_ms>4",
        "latency_ms:*x*",
        "service:auth",
    ] {
        assert_eq!(stack.count(q).await, 0, "{q}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_level_and_a_thousand_records_arrive_in_order() {
    let stack = Stack::start().await;
    log(&stack, "loop", || {
        for number in 0..200 {
            trace!(number, "t");
            debug!(number, "d");
            info!(number, "i");
            warn!(number, "w");
            error!(number, "e");
        }
    })
    .await;
    let records = stack.all("service:loop").await;
    let numbers: Vec<u64> = records
        .iter()
        .rev()
        .map(|record| record["fields"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (0..200).flat_map(|number| [number; 5]).collect::<Vec<_>>()
    );
    let histogram = stack
        .get("/api/histogram", &[("q", "service:loop"), ("buckets", "1")])
        .await;
    let counts = histogram["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["counts"]["error"].as_u64().unwrap_or(0));
    assert_eq!(
        (histogram["total"].as_u64(), counts.sum::<u64>()),
        (Some(1_000), 200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_form_works_for_any_redis_client() {
    let stack = Stack::start().await;
    let client = stack.client();
    let records = json!([{"level": "error", "message": "登录失败"}]);
    let answer: Value = client
        .call(
            "append",
            (json!({"source": {"service": "webapi"}, "records": records}),),
        )
        .await
        .unwrap();
    assert_eq!(
        (&answer["stored"], &answer["duplicate"]),
        (&json!(1), &json!(false))
    );
    let answer: Value = client
        .call(
            "append",
            Kw(&json!({"source": {"service": "webapi"}, "records": records})),
        )
        .await
        .unwrap();
    assert_eq!(answer["stored"], 1);
    assert_eq!(stack.count("service:webapi level:error 登录").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_over_rpc_answers_as_over_http() {
    let stack = Stack::start().await;
    log(&stack, "auth", || {
        (0..5).for_each(|number| info!(number, "hello"))
    })
    .await;
    let over_rpc: Value = stack
        .client()
        .call("search", Kw(&json!({"q": "hello", "limit": 3})))
        .await
        .unwrap();
    let over_http = stack.get("/api/search", &[("q", "hello"), ("limit", "3")]).await;
    assert_eq!(over_rpc["records"], over_http["records"]);
    assert_eq!(over_rpc["next"], over_http["next"]);
    assert_eq!(over_rpc["records"].as_array().unwrap().len(), 3);
    let wrong = stack
        .client()
        .call::<Value>("search", Kw(&json!({"q": "(", "as": "query"})))
        .await
        .unwrap_err();
    assert!(matches!(wrong, rpc::Error::Remote(fault) if fault.code == rpc::code::INVALID_PARAMS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_every_record_once_also_over_a_restart_of_the_server() {
    let mut stack = Stack::start().await;
    let (layer, guard) = log_layer::builder("live").redis(stack.redis.url()).build();
    let subscriber = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    let emit = |from: u64| {
        tracing::dispatcher::with_default(&subscriber, || {
            (from..from + 50).for_each(|number| info!(number, "live"))
        })
    };
    let mut seen = Vec::new();
    let mut last = None;
    for round in 0..2 {
        let mut request = reqwest::Client::new().get(format!("{}/api/tail?q=live", stack.page));
        if let Some(id) = &last {
            request = request.header("last-event-id", id);
        }
        let mut stream = request.send().await.unwrap().bytes_stream();
        emit(round * 50);
        let mut text = String::new();
        while seen.len() < 50 * (usize::try_from(round).unwrap() + 1) {
            let chunk = tokio::time::timeout(PATIENCE, stream.next())
                .await
                .expect("events come")
                .unwrap()
                .unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                if let Some(data) = field("data:") {
                    assert_eq!(field("event:").as_deref(), Some("record"), "{event}");
                    let record: Value = serde_json::from_str(&data).unwrap();
                    seen.push(record["fields"]["number"].as_u64().unwrap());
                    last = field("id:");
                }
                text = rest.to_owned();
            }
        }
        if round == 0 {
            drop(stream);
            stack.server.kill().await;
            // What is logged while it is away is waiting when it comes back.
            emit(1_000);
            stack.restart_server().await;
            stack.until_count("live", 100).await;
            seen.clear();
            seen.extend(0..50);
        }
    }
    assert_eq!(seen[..50], (0..50).collect::<Vec<_>>());
    assert_eq!(
        seen[50..100],
        (1_000..1_050).collect::<Vec<_>>(),
        "what came while nobody followed comes first"
    );
    drop(guard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_wrong_is_searched_as_text_and_says_so() {
    let stack = Stack::start().await;
    log(&stack, "s", || info!("an (unclosed bracket")).await;
    let answer = stack.get("/api/search", &[("q", "(unclosed")]).await;
    assert_eq!(
        (
            answer["as_text"].as_bool(),
            answer["records"].as_array().unwrap().len()
        ),
        (Some(true), 1)
    );
    assert!(
        answer["error"]["error"].is_string() && answer["error"]["at"]["start"].is_u64(),
        "{answer}"
    );
    let (status, body) = stack
        .ask("/api/search", &[("q", "(unclosed"), ("as", "query")])
        .await;
    assert_eq!(status, 400);
    assert!(body["error"].is_string() && body["at"]["end"].is_u64(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_make_no_sense_are_named() {
    let stack = Stack::start().await;
    for (path, name, value) in [
        ("/api/search", "limit", "ten"),
        ("/api/search", "limit", "0"),
        ("/api/search", "cursor", "x"),
        ("/api/search", "from", "yesterday"),
        ("/api/search", "as", "sql"),
        ("/api/histogram", "buckets", "-1"),
    ] {
        let (status, body) = stack.ask(path, &[(name, value)]).await;
        assert_eq!(status, 400, "{path} {name}={value}");
        assert!(body["error"].as_str().unwrap().starts_with(name), "{body}");
    }
    assert_eq!(stack.ask("/api/nothing", &[]).await.0, 404);
    let post = reqwest::Client::new()
        .post(format!("{}/api/search", stack.page))
        .send()
        .await
        .unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_own_names_and_own_pages_are_answered() {
    let stack = Stack::start().await;
    let client = reqwest::Client::new();
    let status = async |name: &str, value: &str| {
        client
            .get(format!("{}/api/search", stack.page))
            .header(name, value)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("host", "evil.example").await, 421);
    assert_eq!(status("origin", "http://evil.example").await, 403);
    assert_eq!(status("sec-fetch-site", "cross-site").await, 403);
    assert_eq!(status("sec-fetch-site", "same-origin").await, 200);
    let page = client.get(&stack.page).send().await.unwrap();
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("require-trusted-types-for 'script'"),
        "{policy}"
    );
    let idle = until("an answer", async || {
        let answer = tokio::time::timeout(
            Duration::from_secs(5),
            reqwest::get(format!("{}/livez", stack.page)),
        )
        .await;
        answer
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    });
    assert!(idle.await.status().is_success());
}
