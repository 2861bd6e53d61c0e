//! The verbs that print, with a running server and without.

use e2e::{Process, Stack};
use serde_json::{Value, json};

async fn stack() -> Stack {
    let stack = Stack::start().await;
    let records = json!([
        {"ts": "2026-11-01T08:00:00Z", "level": "info", "message": "first", "fields": {"user_id": 7, "path": "/a b"}},
        {"ts": "2026-11-01T08:00:01Z", "level": "error", "message": "second \u{1b}[2J\u{202e}", "spans": [{"name": "request"}]},
        {"ts": "2026-11-01T08:00:02Z", "level": "warn", "message": "third"},
    ]);
    let batch = json!({"source": {"service": "shop"}, "records": records});
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_printed_oldest_first_and_nothing_of_them_reaches_the_terminal_raw() {
    let mut stack = stack().await;
    let data = stack.data();
    let data = data.to_str().unwrap();
    let expected = "2026-11-01T08:00:00.000000000Z INFO  shop: first user_id=7 path=\"/a b\"\n\
                    2026-11-01T08:00:01.000000000Z ERROR shop: second \\u{1b}[2J\\u{202e} [request]\n\
                    2026-11-01T08:00:02.000000000Z WARN  shop: third\n";
    let (running, _) = Process::output("log-server", &["query", "--data", data]).await;
    assert_eq!(running, expected);
    assert!(stack.server.stop().await.success());
    let (stopped, _) = Process::output("log-server", &["query", "--data", data]).await;
    assert_eq!(stopped, expected);

    let (one, note) = Process::output(
        "log-server",
        &["query", "service:shop", "-n", "1", "--data", data],
    )
    .await;
    assert!(one.ends_with("third\n") && one.lines().count() == 1, "{one}");
    assert!(note.contains("older"), "{note}");
    let (errors, _) = Process::output(
        "log-server",
        &[
            "query",
            "level:error",
            "--from",
            "2026-11-01T00:00:00Z",
            "--data",
            data,
        ],
    )
    .await;
    assert_eq!(errors.lines().count(), 1);
    let (_, note) = Process::output("log-server", &["query", "(broken", "--data", data]).await;
    assert!(note.contains("searched as text"), "{note}");
    let (none, note) = Process::output("log-server", &["query", "| cuont by path", "--data", data]).await;
    assert_eq!(none, "");
    assert!(
        note.contains("nothing matches") && note.contains("cuont"),
        "{note}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_everything_for_programs() {
    let stack = stack().await;
    let data = stack.data();
    let data = data.to_str().unwrap();
    let (text, _) = Process::output("log-server", &["export", "--data", data]).await;
    let messages: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone())
        .collect();
    assert_eq!(messages, ["third", "second \u{1b}[2J\u{202e}", "first"]);
    let (table, _) = Process::output(
        "log-server",
        &["export", "level:warn", "--format", "csv", "--data", data],
    )
    .await;
    assert!(table.lines().nth(1).unwrap().contains(",warn,shop,"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said() {
    let (code, said) = Process::run("log-server", &["query", "--data", "/no/such/directory"], &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("/no/such/directory"), "{said}");
    let stack = stack().await;
    let data = stack.data();
    let (code, said) = Process::run(
        "log-server",
        &["query", "--from", "yesterday", "--data", data.to_str().unwrap()],
        &[],
    )
    .await;
    assert_eq!(code, Some(1));
    assert!(said.contains("from: expected a time"), "{said}");
}
