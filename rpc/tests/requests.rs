//! Texts in the queue that no client of ours wrote. Each must leave the server able to answer the next call.

use rpc::{Fault, Server};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::redis_server::{Redis, until};

const QUEUE: &str = "log";
const DEAD: &str = "{asyncredisrpc:log}:dead";

async fn start(redis: &Redis) {
    let echo = |value: Value| async move { Ok::<_, Fault>(value) };
    let server = Server::builder(QUEUE)
        .redis(redis.url())
        .max_request(1024 * 1024)
        .method("echo", echo);
    tokio::spawn(server.build().unwrap().run(CancellationToken::new()));
}

fn echo(id: &str, args: &str) -> String {
    format!(r#"{{"id":{id},"name":"echo","args":{args},"kwargs":{{}}}}"#)
}

#[tokio::test]
async fn what_is_no_request_goes_to_the_dead_letters() {
    let redis = Redis::start().await;
    start(&redis).await;
    let mut corpus: Vec<Vec<u8>> = [
        "",
        "not json",
        "{",
        "{} x",
        "\u{feff}{}",
        "null",
        "42",
        "\"x\"",
        "[]",
        "{}",                                                         // B1, B2, B3
        r#"{"name":"echo","args":[],"kwargs":{}}"#,                   // B4
        r#"{"id":"a","id":"b","name":"echo","args":[],"kwargs":{}}"#, // B13
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let huge = format!("{:?}", "x".repeat(1_000_000));
    for id in [
        "null",
        "{}",
        "1.5",
        r#""""#,
        r#""x:y""#,
        r#""a\r\nb""#,
        r#""\u0000""#,
        r#"" ""#,
        r#""*""#,
        r#""é""#,
        &huge,
    ] {
        corpus.push(echo(id, "[1]").into_bytes()); // B4, B7, B8, B9
    }
    corpus.push("[".repeat(100_000).into_bytes()); // B11
    corpus.extend([&b"\xff\xfe"[..], b"\xc0\xaf", b"\xed\xa0\x80"].map(<[u8]>::to_vec)); // B15
    corpus.push(echo("\"big\"", &format!("[{:?}]", "x".repeat(2_000_000))).into_bytes()); // B12
    for text in &corpus {
        redis.push(QUEUE, text.as_slice()).await;
    }
    redis.push(QUEUE, echo("\"last\"", "[1]")).await;
    assert_eq!(redis.reply(QUEUE, "last").await, json!({"error": 0, "result": 1}));
    until(async || redis.command::<usize>(&format!("LLEN {DEAD}")).await == corpus.len()).await;
    for letter in redis.command::<Vec<String>>(&format!("LRANGE {DEAD} 0 -1")).await {
        assert!(letter.len() < 70_000);
        let letter: Value = serde_json::from_str(&letter).unwrap();
        assert!(
            letter["at_ms"].is_i64() && !letter["reason"].as_str().unwrap().is_empty(),
            "{letter}"
        );
    }
}

#[tokio::test]
async fn the_dead_letters_are_bounded() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    start(&redis).await;
    let mut commands = redis::pipe();
    for _ in 0..10_050 {
        commands.rpush("asyncredisrpc:log", "x").ignore();
    }
    commands.rpush("asyncredisrpc:log", echo("1", "[1]")).ignore();
    commands.exec_async(&mut redis.connection().await).await.unwrap();
    redis.reply(QUEUE, "1").await;
    until(async || redis.command::<usize>(&format!("LLEN {DEAD}")).await == 10_000).await;
}

#[tokio::test]
async fn a_malformed_request_with_an_id_is_answered() {
    let redis = Redis::start().await;
    start(&redis).await;
    let cases = [
        (r#"{"id":"1","args":[],"kwargs":{}}"#, 1),                    // B5
        (r#"{"id":"1","name":"__proto__","args":[],"kwargs":{}}"#, 1), // B19
        (r#"{"id":"1","name":"on_server_start","args":[],"kwargs":{}}"#, 1),
        (r#"{"id":"1","name":"../x","args":[],"kwargs":{}}"#, 1),
        (r#"{"id":"1","name":"echo","kwargs":{}}"#, 6), // B6
        (r#"{"id":"1","name":"echo","args":[]}"#, 6),
        (r#"{"id":"1","name":"echo","args":{},"kwargs":{}}"#, 6),
        (r#"{"id":"1","name":"echo","args":[],"kwargs":[]}"#, 6),
        (r#"{"id":"1","name":"echo","args":null,"kwargs":{}}"#, 6),
        (r#"{"id":"1","name":7,"args":[],"kwargs":{}}"#, 6),
        (r#"{"id":"1","name":"echo","args":[],"kwargs":{},"meta":7}"#, 6),
        (
            r#"{"id":"1","name":"echo","args":[],"kwargs":{},"meta":{"deadline":"x"}}"#,
            6,
        ),
        (
            r#"{"id":"1","name":"echo","args":[],"kwargs":{},"meta":{"deadline":1}}"#,
            4,
        ), // B14
        (r#"{"id":"1","name":"echo","args":[1,2],"kwargs":{}}"#, 3),
        (r#"{"id":"1","name":"echo","args":[],"kwargs":{"x":1}}"#, 3),
        (
            r#"{"id":"1","name":"echo","args":[7],"kwargs":{},"meta":{"deadline":9223372036854775807}}"#,
            0,
        ),
        (
            r#"{"id":1,"name":"echo","args":[7],"kwargs":{},"meta":null,"more":1}"#,
            0,
        ),
        (r#"{"id":1,"name":"echo","args":[NaN],"kwargs":{}}"#, 0), // B16
        (r#"{"id":1,"name":"echo","args":["\ud800"],"kwargs":{}}"#, 0), // B17
        (
            r#"{"id":1,"name":"echo","args":[1180591620717411303424],"kwargs":{}}"#,
            0,
        ), // B18
    ];
    for (request, code) in cases {
        redis.push(QUEUE, request).await;
        let reply = redis.reply(QUEUE, "1").await;
        assert_eq!(reply["error"], code, "{request}\n{reply}");
        assert_eq!(reply["result"].is_null(), code == 1, "{request}\n{reply}");
    }
    let deep = echo("1", &format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000))); // B11
    redis.push(QUEUE, deep).await;
    assert_eq!(redis.reply(QUEUE, "1").await["error"], 3);
}

#[tokio::test]
async fn ids_need_not_be_unique() {
    let redis = Redis::start().await;
    for value in 0..3 {
        redis.push(QUEUE, echo("\"same\"", &format!("[{value}]"))).await; // B10
    }
    start(&redis).await;
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(redis.reply(QUEUE, "same").await["result"].as_u64().unwrap());
    }
    results.sort_unstable();
    assert_eq!(results, [0, 1, 2]);
}

#[tokio::test]
async fn many_small_requests_are_all_answered() {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    start(&redis).await;
    let mut commands = redis::pipe();
    for id in 0..10_000 {
        commands
            .rpush("asyncredisrpc:log", echo(&id.to_string(), "[1]"))
            .ignore(); // B20
    }
    commands.exec_async(&mut redis.connection().await).await.unwrap();
    until(async || {
        redis
            .command::<Vec<String>>("KEYS asyncredisrpc:log:*")
            .await
            .len()
            == 10_000
    })
    .await;
    assert_eq!(redis.command::<u64>(&format!("LLEN {DEAD}")).await, 0);
}

#[tokio::test]
async fn a_reply_expires_and_goes_nowhere_else() {
    let redis = Redis::start().await;
    start(&redis).await;
    let request =
        r#"{"id":"1","name":"echo","args":[1],"kwargs":{},"meta":{"reply_to":"asyncredisrpc:other"}}"#;
    redis.push(QUEUE, request).await;
    until(async || redis.command::<u64>("EXISTS asyncredisrpc:log:1").await == 1).await;
    let ttl: i64 = redis.command("PTTL asyncredisrpc:log:1").await;
    assert!((1..=300_000).contains(&ttl), "{ttl}");
    assert_eq!(redis.command::<u64>("EXISTS asyncredisrpc:other").await, 0);
}

#[tokio::test]
async fn a_reply_key_of_another_type_does_not_stop_the_server() {
    let redis = Redis::start().await;
    redis.command::<()>("SET asyncredisrpc:log:1 x").await;
    start(&redis).await;
    redis.push(QUEUE, echo("1", "[1]")).await;
    redis.push(QUEUE, echo("2", "[2]")).await;
    assert_eq!(redis.reply(QUEUE, "2").await["result"], 2);
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
}
