//! Nothing that anybody sends stops the next good batch.

use e2e::{Stack, until};
use redis::AsyncCommands as _;
use serde_json::{Value, json};

const QUEUE: &str = "asyncredisrpc:logs";
const DEAD: &str = "{asyncredisrpc:logs}:dead";

/// Sends one good batch and finds it.
async fn check_alive(stack: &Stack, word: &str) {
    let batch = json!({"source": {"service": "good"}, "records": [{"message": word}]});
    let answer: Value = stack.client().call("append", (batch,)).await.unwrap();
    assert_eq!(answer["stored"], 1);
    assert_eq!(stack.count(&format!("service:good {word}")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_record_is_named_and_its_neighbours_are_stored() {
    let stack = Stack::start().await;
    let records = json!([{"message": "before"}, 42, {"callsite": 9}, {"message": "after"}]);
    let answer: Value = stack
        .client()
        .call(
            "append",
            (json!({"source": {"service": "mixed"}, "records": records}),),
        )
        .await
        .unwrap();
    assert_eq!(
        (&answer["stored"], answer["rejected"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    assert_eq!(answer["rejected"][0]["index"], 1);
    assert!(
        answer["rejected"][1]["why"]
            .as_str()
            .unwrap()
            .contains("call-site 9"),
        "{answer}"
    );
    assert_eq!(stack.count("service:mixed").await, 2);
    check_alive(&stack, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_kept_as_a_dead_letter() {
    let stack = Stack::start().await;
    let mut redis = stack.redis.connection().await;
    for junk in [
        "",
        "not json",
        "{",
        "null",
        "[]",
        r#"{"name":"append","args":[],"kwargs":{}}"#,
        r#"{"id":"a:b","name":"append","args":[],"kwargs":{}}"#,
    ] {
        let _: i64 = redis.rpush(QUEUE, junk).await.unwrap();
    }
    let _: i64 = redis.rpush(QUEUE, &b"\xff\xfe"[..]).await.unwrap();
    let dead = until("eight dead letters", async || {
        let dead: Vec<String> = redis.clone().lrange(DEAD, 0, -1).await.unwrap();
        if dead.len() == 8 {
            Ok(dead)
        } else {
            Err(format!("{dead:?}"))
        }
    });
    for letter in dead.await {
        let letter: Value = serde_json::from_str(&letter).unwrap();
        assert!(
            letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
            "{letter}"
        );
    }
    check_alive(&stack, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_answered_in_pythons_way() {
    let stack = Stack::start().await;
    for method in ["forget", "__proto__", "on_server_start"] {
        let error = stack.client().call::<Value>(method, ()).await.unwrap_err();
        assert!(
            matches!(&error, rpc::Error::UnknownMethod { method: named } if named == method),
            "{error}"
        );
    }
    check_alive(&stack, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_five_megabytes_is_stored_cut_and_says_so() {
    let stack = Stack::start().await;
    let record = json!({"message": "x".repeat(5 * 1024 * 1024), "level": "warn"});
    let answer: Value = stack
        .client()
        .call(
            "append",
            (json!({"source": {"service": "huge"}, "records": [record, {"message": "small"}]}),),
        )
        .await
        .unwrap();
    assert_eq!(answer["stored"], 2);
    let found = stack.all("service:huge flags:truncated").await;
    assert_eq!(found.len(), 1);
    assert!(found[0]["message"].as_str().unwrap().len() <= 256 * 1024);
    check_alive(&stack, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_used_is_refused_with_the_reason() {
    let stack = Stack::start().await;
    let many: Vec<Value> = vec![json!({}); 5_001];
    for (batch, expected) in [
        (json!({"records": []}), "source"),
        (
            json!({"source": {"service": ""}, "records": []}),
            "must name the service",
        ),
        (
            json!({"v": 2, "source": {"service": "s"}, "records": []}),
            "reads version 1",
        ),
        (
            json!({"source": {"service": "s"}, "records": many}),
            "limit is 5000",
        ),
        (json!("text"), "could not be read"),
    ] {
        let error = stack
            .client()
            .call::<Value>("append", (batch,))
            .await
            .unwrap_err();
        let rpc::Error::Remote(fault) = error else {
            panic!("{error}")
        };
        assert_eq!(fault.code, rpc::code::INVALID_PARAMS);
        assert!(fault.message.contains(expected), "{}", fault.message);
    }
    check_alive(&stack, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_stored_and_found_as_it_is() {
    let stack = Stack::start().await;
    let texts = [
        "<script>alert(1)</script>",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "line one\r\nfake line two\u{2028}three",
        "\u{202e}reversed\u{2066}",
        "nul \u{0} inside",
        "'; DROP TABLE batches;--",
        "=cmd|'/c calc'!A1",
    ];
    let records: Vec<Value> = texts
        .iter()
        .map(|text| json!({"message": text, "fields": {*text: text}}))
        .collect();
    let answer: Value = stack
        .client()
        .call(
            "append",
            (json!({"source": {"service": texts[0]}, "records": records}),),
        )
        .await
        .unwrap();
    assert_eq!(answer["stored"], texts.len());
    let mut found: Vec<String> = stack
        .all("")
        .await
        .iter()
        .map(|record| record["message"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut expected = texts.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
}
