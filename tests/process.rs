//! The server as a process: its private Redis, its signals, its complaints.

use std::path::Path;

use e2e::{Process, Stack, free_port, until};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn append(redis: &str, message: &str) {
    let client = rpc::Client::builder("logs")
        .redis(redis)
        .timeout(e2e::PATIENCE)
        .build()
        .unwrap();
    let batch = json!({"source": {"service": "s"}, "records": [{"message": message}]});
    let answer: Value = client.call("append", (batch,)).await.unwrap();
    assert_eq!(answer["stored"], 1);
}

/// A server with a Redis of its own.
async fn with_private_redis(data: &Path) -> (Process, String, String) {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut server = Process::start(
        "log-server",
        &[
            "--data",
            data.to_str().unwrap(),
            "--redis",
            "private",
            "--listen",
            &listen,
        ],
        &[],
    );
    let page = server.told("  page      ").await;
    let redis = server.told("  services  LOG_LAYER_REDIS_URL=").await;
    (server, page, redis)
}

fn private_redis(data: &Path) -> Pid {
    let pid = std::fs::read_to_string(data.join("redis/redis.pid")).expect("it is private");
    Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
}

async fn until_gone(pid: Pid) {
    until("a process that is gone", async || {
        if test_kill_process(pid).is_err() {
            Ok(())
        } else {
            Err(format!("{pid:?} runs"))
        }
    })
    .await;
}

async fn found(page: &str, q: &str) -> u64 {
    let answer: Value = reqwest::get(format!("{page}/api/histogram?q={q}"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_redis_is_started_watched_adopted_and_stopped_with_the_server() {
    let data = TempDir::new().unwrap();
    let (mut server, _, redis) = with_private_redis(data.path()).await;
    append(&redis, "first").await;

    // It dies: it is started again on the same port.
    let first = private_redis(data.path());
    rustix::process::kill_process(first, Signal::KILL).unwrap();
    append(&redis, "second").await;
    let second = private_redis(data.path());
    assert_ne!(first, second);

    // The server dies: the next one takes it over.
    server.kill().await;
    assert!(test_kill_process(second).is_ok());
    append_later(&redis).await;
    let (mut server, page_again, redis_again) = with_private_redis(data.path()).await;
    assert_eq!((private_redis(data.path()), redis_again), (second, redis.clone()));
    until(
        "what was queued while the server was away",
        async || match found(&page_again, "queued").await {
            1 => Ok(()),
            other => Err(other.to_string()),
        },
    )
    .await;
    assert_eq!(found(&page_again, "").await, 3);

    // The server stops: so does it.
    assert!(server.stop().await.success());
    until_gone(second).await;
}

/// Queues a batch that nobody takes yet.
async fn append_later(redis: &str) {
    let client = rpc::Client::builder("logs").redis(redis).build().unwrap();
    let batch = json!({"source": {"service": "s"}, "records": [{"message": "queued"}]});
    client.notify("append", (batch,)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_only_while_records_can_arrive() {
    let mut stack = Stack::start().await;
    let until_status = async |stack: &Stack, expected: u16| {
        let what = format!("readiness {expected}");
        until(&what, async || match stack.ask("/readyz", &[]).await.0 {
            status if status == expected => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
    };
    until_status(&stack, 200).await;
    stack.redis.kill().await;
    until_status(&stack, 503).await;
    assert_eq!(stack.ask("/livez", &[]).await.0, 200);
    stack.redis.run().await;
    until_status(&stack, 200).await;
}

/// Another log server on the same queue, with data of its own.
async fn second_server(data: &Path, redis: &str) -> (Process, String) {
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--redis",
        redis,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Process::start("log-server", &arguments, &[]);
    let page = server.told("  page      ").await;
    (server, page)
}

async fn until_readiness(page: &str, expected: &str) {
    until(expected, async || {
        let response = reqwest::get(format!("{page}/readyz")).await;
        let text = response.map_err(|error| error.to_string())?.text().await;
        let text = text.map_err(|error| error.to_string())?;
        text.contains(expected).then_some(()).ok_or(text)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_queue_the_second_stands_by_until_the_first_is_gone() {
    let mut stack = Stack::start().await;
    let (redis, data) = (stack.redis.url(), TempDir::new().unwrap());
    let (mut second, page) = second_server(data.path(), &redis).await;
    until_readiness(&page, "stands by").await;
    append(&redis, "first").await;
    assert_eq!((stack.count("first").await, found(&page, "first").await), (1, 0));

    // The first dies: what is sent meanwhile waits, and is stored by the second.
    stack.server.kill().await;
    append(&redis, "second").await;
    assert_eq!(found(&page, "second").await, 1);
    until_readiness(&page, "ok").await;

    // The second stops in order; the first goes on.
    assert!(second.stop().await.success());
    stack.restart_server().await;
    append(&redis, "third").await;
    assert_eq!(stack.count("third").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_signals_end_it_in_order_and_what_was_acknowledged_stays() {
    let mut stack = Stack::start().await;
    for (signal, word) in [(Signal::INT, "interrupted"), (Signal::TERM, "terminated")] {
        append(&stack.redis.url(), word).await;
        stack.server.signal(signal);
        assert!(stack.server.ended().await.success(), "{signal:?}");
        stack.restart_server().await;
        assert_eq!(stack.count(word).await, 1);
    }
    let mut redis = stack.redis.connection().await;
    assert!(stack.server.stop().await.success());
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    assert!(
        left.iter()
            .all(|key| !key.contains(":w:") && !key.contains(":hb:")),
        "{left:?}"
    );
}

#[track_caller]
fn check_refusal(outcome: (Option<i32>, String), code: i32, expected: &str) {
    assert_eq!(outcome.0, Some(code), "{}", outcome.1);
    assert!(
        outcome.1.contains(expected),
        "{expected:?} is not in: {}",
        outcome.1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_at_the_start() {
    let stack = Stack::start().await;
    let (data, redis) = (stack.data(), stack.redis.url());
    let data = data.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        async move {
            Process::run(
                "log-server",
                &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
                &[],
            )
            .await
        }
    };
    let fresh = TempDir::new().unwrap();
    let fresh = fresh.path().to_str().unwrap();
    let taken = stack.page.trim_start_matches("http://").to_owned();
    check_refusal(
        run(&["--data", data, "--redis", &redis, "--listen", "127.0.0.1:0"]).await,
        1,
        "in use by another",
    );
    check_refusal(
        run(&["--data", fresh, "--redis", &redis, "--listen", &taken]).await,
        1,
        "listening on",
    );
    check_refusal(
        run(&["--data", fresh, "--listen", "0.0.0.0:0"]).await,
        78,
        "--insecure-no-auth",
    );
    check_refusal(
        run(&["--data", fresh, "--redis", "http://x", "--listen", "127.0.0.1:0"]).await,
        1,
        "--redis wants redis://",
    );
    check_refusal(
        run(&["--config", "/no/such/file.toml"]).await,
        78,
        "/no/such/file.toml",
    );
    check_refusal(run(&["--listen", "nowhere"]).await, 2, "--listen");
    check_refusal(run(&["--lissten", "127.0.0.1:0"]).await, 2, "--listen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_password_is_never_printed() {
    let data = TempDir::new().unwrap();
    let url = format!("redis://:hunter2@127.0.0.1:{}", free_port());
    let listen = "127.0.0.1:0";
    let mut server = Process::start(
        "log-server",
        &[
            "--data",
            data.path().to_str().unwrap(),
            "--redis",
            &url,
            "--listen",
            listen,
        ],
        &[],
    );
    let told = server.told("  services  LOG_LAYER_REDIS_URL=").await;
    assert!(told.starts_with("redis://***@127.0.0.1:"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt as _;
    let stack = Stack::start().await;
    append(&stack.redis.url(), "secret").await;
    let mut seen = 0;
    for directory in [stack.data(), stack.data().join("logs")] {
        assert_eq!(
            std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            directory.display()
        );
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                assert_eq!(
                    entry.metadata().unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{}",
                    entry.path().display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 2, "the lock and the database at least");
}
