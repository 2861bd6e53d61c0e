//! The command `rpc`, as it is typed.

use std::process::{Output, Stdio};
use std::time::Duration;

use rpc::{Fault, Server};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::calls::{QUEUE, server, start};
use crate::python::{Library, Python};
use crate::redis_server::{PATIENCE, Redis, until};

fn command(redis: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpc"));
    command.args(words).env("RPC_REDIS_URL", redis).kill_on_drop(true);
    command
}

async fn output(redis: &Redis, words: &[&str]) -> Output {
    command(&redis.url(), words).output().await.unwrap()
}

/// What it prints when all is well.
async fn printed(redis: &Redis, words: &[&str]) -> String {
    let output = output(redis, words).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON that it prints, line by line.
async fn json_lines(redis: &Redis, words: &[&str]) -> Vec<Value> {
    let text = printed(redis, &[words, &["--json"]].concat()).await;
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The exit code and what it says when something is wrong.
async fn failed(redis: &Redis, words: &[&str]) -> (i32, String) {
    let output = output(redis, words).await;
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn a_method_is_called_with_what_was_typed() {
    let redis = Redis::start().await;
    let echo = |value: Value| async move { Ok::<_, Fault>(value) };
    let fail = |_: ()| async { Err::<(), _>(Fault::app(123, "no\u{1b}[2J")) };
    start(server(&redis).method("echo", echo).method("fail", fail)).await;
    assert_eq!(printed(&redis, &["call", QUEUE, "sum", "14", "-3"]).await, "11\n");
    assert_eq!(
        printed(&redis, &["call", QUEUE, "sum", "x=14", "y=3", "--timeout", "20s"]).await,
        "17\n"
    );
    assert_eq!(
        printed(&redis, &["call", QUEUE, "echo", "登录 \u{202e}"]).await,
        "\"登录 \\u202e\"\n"
    );
    assert_eq!(
        printed(
            &redis,
            &["call", QUEUE, "echo", r#"{"a": [18446744073709551615, {}]}"#]
        )
        .await,
        "{\n  \"a\": [\n    18446744073709551615,\n    {}\n  ]\n}\n"
    );
    assert_eq!(
        printed(&redis, &["call", QUEUE, "sum", "1", "2", "--notify"]).await,
        ""
    );
    assert_eq!(
        json_lines(&redis, &["call", QUEUE, "sum", "1", "2", "--idempotent"]).await,
        [json!({"error": 0, "result": 3})]
    );
    let (code, said) = failed(&redis, &["call", QUEUE, "fail"]).await;
    assert_eq!((code, said.as_str()), (1, "rpc: no\\u{1b}[2J (code 123)\n"));
    let failed_json = output(&redis, &["call", QUEUE, "fail", "--json"]).await.stdout;
    let failed_json: Value = serde_json::from_slice(&failed_json).unwrap();
    assert_eq!(
        (&failed_json["error"], &failed_json["result"]["message"]),
        (&json!(123), &json!("no\u{1b}[2J"))
    );
    let (code, said) = failed(&redis, &["call", QUEUE, "none"]).await;
    assert_eq!(
        (code, said.as_str()),
        (1, "rpc: no server method is called \"none\"\n")
    );
}

#[tokio::test]
async fn the_exit_code_tells_what_was_wrong() {
    let redis = Redis::start().await;
    let (code, said) = failed(&redis, &["call", QUEUE, "sum", "1", "2", "--timeout", "300ms"]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("no reply within 300ms"), "{said}");
    assert_eq!(failed(&redis, &["call", QUEUE, "sum", "x=1", "x=2"]).await.0, 2);
    assert_eq!(failed(&redis, &["call", QUEUE]).await.0, 2);
    assert_eq!(failed(&redis, &["call", QUEUE, "sum", "[1,"]).await.0, 2);
    assert_eq!(failed(&redis, &["queue", "a{"]).await.0, 2);
    assert_eq!(
        failed(&redis, &["queue", QUEUE, "--redis", "redis://:secret@h/x"])
            .await
            .0,
        2
    );
    assert_eq!(failed(&redis, &["dead", "show", QUEUE, "0123abcd"]).await.0, 1);
    assert_eq!(failed(&redis, &["dead", "drop", QUEUE, ""]).await.0, 2);

    let locked = Redis::start_with(&["--requirepass", "right"]).await;
    let url = format!("redis://:secret@127.0.0.1:{}", locked.port());
    let refused = command(&url, &["call", QUEUE, "sum"]).output().await.unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(
        said.contains("Password authentication failed") && !said.contains("secret"),
        "{said}"
    );
    let url = format!("redis://127.0.0.1:{}", locked.port());
    let refused = command(&url, &["queue", QUEUE]).output().await.unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("Redis is sought at {url}")) && said.contains("it wants a password"),
        "{said}"
    );

    let help = printed(&redis, &["--help"]).await;
    for word in ["rpc call math sum 14 3", "Exit codes", "RPC_REDIS_URL"] {
        assert!(help.contains(word), "{help}");
    }
}

#[tokio::test]
async fn servers_tell_of_themselves() {
    let redis = Redis::start().await;
    let (_one, _two) = (start(server(&redis)).await, start(server(&redis)).await);
    let ping = json_lines(&redis, &["ping", QUEUE]).await;
    assert!(
        ping[0]["server"].is_string() && ping[0]["ms"].as_f64().unwrap() > 0.0,
        "{ping:?}"
    );
    assert!(
        printed(&redis, &["ping", QUEUE, "-c", "2"])
            .await
            .contains("median")
    );
    assert_eq!(
        json_lines(&redis, &["methods", QUEUE]).await,
        [json!({"name": "sum", "signature": "sum(x, y)", "parameters": ["x", "y"], "servers": 2})]
    );
    assert_eq!(
        printed(&redis, &["methods", QUEUE]).await,
        "METHOD     SERVERS\nsum(x, y)  2\n"
    );
    printed(&redis, &["call", QUEUE, "sum", "1", "2"]).await;
    let stats = json_lines(&redis, &["stats", QUEUE]).await;
    let calls = stats
        .iter()
        .map(|server| server["methods"]["sum"]["calls"].as_u64().unwrap());
    assert_eq!((stats.len(), calls.sum::<u64>()), (2, 1));
    let stats = printed(&redis, &["stats", QUEUE]).await;
    assert!(stats.contains("SERVED") && stats.contains("QUEUED ms"), "{stats}");
}

#[tokio::test]
async fn a_python_server_is_pinged_and_called_and_lists_no_methods() {
    let redis = Redis::start().await;
    let script = "
import sys
from asyncredisrpc.server import AsyncServer
server = AsyncServer('math', '127.0.0.1', int(sys.argv[1]))
@server.task
async def sum(x, y=0):
    return x + y
@server.on_server_start
async def started():
    print('true', flush=True)
server.run()
";
    let mut python = Python::run(Library::Redis7, &redis, script);
    python.line().await;
    assert_eq!(
        printed(&redis, &["call", "math", "sum", "14", "y=3"]).await,
        "17\n"
    );
    assert!(
        printed(&redis, &["ping", "math"])
            .await
            .starts_with("a server of another kind: ")
    );
    let (code, said) = failed(&redis, &["methods", "math"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("tell nothing of themselves"), "{said}");
}

#[tokio::test]
async fn a_queue_is_shown_with_what_waits_and_what_is_taken() {
    let redis = Redis::start().await;
    let stuck = |_: ()| std::future::pending::<Result<(), Fault>>();
    let (_stop, _serving) = start(
        Server::builder(QUEUE)
            .redis(redis.url())
            .method("stuck", stuck)
            .concurrency(1),
    )
    .await;
    for _ in 0..3 {
        printed(&redis, &["call", QUEUE, "stuck", "--notify"]).await;
    }
    redis
        .command::<()>("HSET {asyncredisrpc:math}:workers gone-1 {\"slots\":3}")
        .await;
    until(async || json_lines(&redis, &["queue", QUEUE]).await[0]["taken"] == 1).await;
    let queue = &json_lines(&redis, &["queue", QUEUE]).await[0];
    assert_eq!(
        [&queue["waiting"], &queue["taken"], &queue["alive"]],
        [&json!(2), &json!(1), &json!(1)]
    );
    assert!(queue["oldest_ms"].is_u64(), "{queue}");
    let shown = printed(&redis, &["queue", QUEUE]).await;
    for words in [
        "waiting       2, the first for ",
        "servers       1 alive, 1 dead",
        "SERVER",
        "gone-1",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[tokio::test]
async fn dead_letters_are_listed_shown_retried_and_dropped() {
    let redis = Redis::start().await;
    let request = r#"{"id":"a","name":"sum","args":[1,2],"kwargs":{},"meta":{"deadline":1,"reply_to":"x"}}"#;
    for payload in [request, "no \u{1b}request", "neither"] {
        let letter = json!({"reason": "because\u{202e}", "at_ms": 1_790_000_000_000_u64, "payload": payload});
        let mut push = redis::cmd("RPUSH");
        push.arg("{asyncredisrpc:math}:dead").arg(letter.to_string());
        push.query_async::<()>(&mut redis.connection().await)
            .await
            .unwrap();
    }
    let listed = json_lines(&redis, &["dead", "list", QUEUE]).await;
    let ids: Vec<_> = listed
        .iter()
        .map(|letter| letter["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        (ids.len(), &listed[0]["method"], &listed[1]["method"]),
        (3, &json!("sum"), &Value::Null)
    );
    let table = printed(&redis, &["dead", "list", QUEUE]).await;
    assert!(
        table.contains("2026-09-21T14:13:20Z  sum") && table.contains("because\\u{202e}"),
        "{table}"
    );
    let one = printed(&redis, &["dead", "list", QUEUE, "-n", "1"]).await;
    assert!(one.contains(ids[2]) && !one.contains(ids[1]), "{one}");
    let shown = printed(&redis, &["dead", "show", QUEUE, &ids[1][..8]]).await;
    assert!(shown.ends_with("no \\u{1b}request\n"), "{shown}");

    let retried = output(&redis, &["dead", "retry", QUEUE, "--all"]).await;
    let said = String::from_utf8(retried.stderr).unwrap();
    assert!(
        said.contains("is no request; it stays") && said.ends_with("1 in the queue again\n"),
        "{said}"
    );
    let (stop, serving) = start(server(&redis)).await;
    until(async || redis.command::<u64>("LLEN asyncredisrpc:math").await == 0).await;
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.handled, report.failed), (1, 0));

    printed(&redis, &["dead", "drop", QUEUE, ids[1]]).await;
    assert_eq!(failed(&redis, &["dead", "drop", QUEUE, ids[1]]).await.0, 1);
    printed(&redis, &["dead", "drop", QUEUE, "--all"]).await;
    assert_eq!(redis.command::<Vec<String>>("KEYS *").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_others_left_behind_is_swept_and_nothing_else() {
    let redis = Redis::start().await;
    let own = "{asyncredisrpc:math}";
    let request = r#"{"id":1,"name":"sum","args":[],"kwargs":{}}"#;
    for (key, element) in [
        ("asyncredisrpc:math:a-1", r#"{"error":0,"result":[NaN]}"#),
        ("asyncredisrpc:math:a-2", r#"{"error":0,"result":1}"#),
        ("asyncredisrpc:math:more", request),
        ("asyncredisrpc:mat", request),
        (&format!("{own}:w:gone-1:7"), request),
    ] {
        redis.command::<()>(&format!("RPUSH {key} {element}")).await;
    }
    redis.command::<()>("EXPIRE asyncredisrpc:math:a-2 100").await;
    redis
        .command::<()>(&format!("HSET {own}:workers gone-1 {{\"slots\":8}}"))
        .await;
    let untouched = json!({"dry": false, "replies": 0, "requests": 0, "servers": 0});
    assert_eq!(
        json_lines(&redis, &["gc", QUEUE]).await,
        [untouched],
        "a young Redis may have lost heartbeats"
    );
    until(async || {
        let info: String = redis.command("INFO server").await;
        let up = info
            .lines()
            .find_map(|line| line.strip_prefix("uptime_in_seconds:"))
            .unwrap();
        up.parse::<u64>().unwrap() > 20
    })
    .await;
    let found = |dry| json!({"dry": dry, "replies": 1, "requests": 1, "servers": 1});
    assert_eq!(
        json_lines(&redis, &["gc", QUEUE, "--idle", "0s", "--dry-run"]).await,
        [found(true)]
    );
    assert_eq!(
        json_lines(&redis, &["gc", QUEUE, "--idle", "0s"]).await,
        [found(false)]
    );
    let mut left: Vec<String> = redis.command("KEYS *").await;
    left.retain(|key| key != "{asyncredisrpc:math}:lost:gone-1");
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "asyncredisrpc:mat",
            "asyncredisrpc:math",
            "asyncredisrpc:math:a-2",
            "asyncredisrpc:math:more"
        ]
    );
    assert!(
        printed(&redis, &["gc", QUEUE])
            .await
            .starts_with("0 replies that nobody fetched removed\n")
    );
}

#[tokio::test]
async fn ctrl_c_ends_a_call_and_what_carries_it_out() {
    let redis = Redis::start().await;
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    let ended = std::sync::Mutex::new(Some(ended));
    let stuck = move |_: ()| {
        // Dropped with the handler.
        let ended = ended.lock().unwrap().take();
        async move {
            std::future::pending::<()>().await;
            drop(ended);
        }
    };
    start(server(&redis).method("stuck", stuck)).await;
    let mut waiting = command(&redis.url(), &["call", QUEUE, "stuck"]);
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(async || json_lines(&redis, &["queue", QUEUE]).await[0]["taken"] == 1).await;
    let pid = waiting.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let output = tokio::time::timeout(PATIENCE, waiting.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b""[..], &b"rpc: interrupted\n"[..])
    );
    let dropped = tokio::time::timeout(PATIENCE / 4, has_ended)
        .await
        .expect("the handler goes on");
    assert!(dropped.is_err());
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let redis = Redis::start().await;
    start(server(&redis)).await;
    let mut ping = command(&redis.url(), &["ping", QUEUE, "-c", "3"]);
    let mut ping = ping
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(ping.stdout.take());
    let output = tokio::time::timeout(Duration::from_secs(30), ping.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}
