//! What else can be asked: fields, values, a record's surroundings, a trace, and everything as a file.

use e2e::{Process, Stack};
use serde_json::{Value, json};

const START: i64 = 1_790_000_000_000_000_000;

/// Sends records of one run of a service; each is `(second, message, fields, trace)`.
async fn send(stack: &Stack, service: &str, boot: &str, records: &[(i64, &str, Value, &str)]) {
    let records: Vec<Value> = records
        .iter()
        .map(|(second, message, fields, trace)| {
            let ts = START + second * 1_000_000_000;
            json!({"ts": ts, "level": "info", "message": message, "fields": fields, "trace_id": trace})
        })
        .collect();
    let batch = json!({"source": {"service": service, "boot": boot}, "no": 1, "records": records});
    let answer: Value = stack.client().call("append", (batch,)).await.unwrap();
    assert_eq!(answer["rejected"], json!([]));
}

async fn stack() -> Stack {
    let stack = Stack::start().await;
    let records = |trace| {
        [
            (1, "one", json!({"user_id": 7, "level": "gold"}), trace),
            // Equal times: only the order of arrival tells them apart.
            (2, "two", json!({"user_id": 7, "tags": ["a", "b"]}), trace),
            (2, "three", json!({"user_id": 8}), "other"),
            (2, "four", json!({"user_id": "7"}), "other"),
            (3, "=five, \"5\"", json!({}), trace),
        ]
    };
    send(&stack, "iptv", "boot-a", &records("t1")).await;
    send(
        &stack,
        "auth",
        "boot-b",
        &[(2, "in between", json!({"user_id": 7}), "t1")],
    )
    .await;
    send(&stack, "iptv", "boot-c", &[(0, "another run", json!({}), "t2")]).await;
    stack
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["message"].as_str().unwrap())
        .collect()
}

fn counted<'a>(answer: &'a Value, list: &str, name: &str) -> Vec<(&'a str, u64)> {
    let entries = answer[list].as_array().unwrap().iter();
    entries
        .map(|entry| (entry[name].as_str().unwrap(), entry["records"].as_u64().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_their_values_are_counted_among_what_matches() {
    let stack = stack().await;
    let fields = stack.get("/api/fields", &[("q", "service:iptv")]).await;
    assert_eq!(
        counted(&fields, "fields", "name"),
        [("user_id", 4), ("fields.level", 1), ("tags", 1)]
    );
    let values = async |field: &str, q: &str| stack.get("/api/values", &[("field", field), ("q", q)]).await;
    assert_eq!(
        counted(&values("user_id", "").await, "values", "value"),
        [("7", 4), ("8", 1)]
    );
    assert_eq!(
        counted(&values("service", "user_id:7").await, "values", "value"),
        [("iptv", 3), ("auth", 1)]
    );
    assert_eq!(
        counted(&values("level", "").await, "values", "value"),
        [("info", 7)]
    );
    assert_eq!(
        counted(&values("fields.level", "").await, "values", "value"),
        [("gold", 1)]
    );
    assert_eq!(
        counted(&values("tags", "").await, "values", "value"),
        [("a", 1), ("b", 1)]
    );
    let first = stack
        .get("/api/values", &[("field", "message"), ("limit", "1")])
        .await;
    assert_eq!(
        (
            first["values"].as_array().unwrap().len(),
            first["distinct"].as_u64()
        ),
        (1, Some(7))
    );
    let (status, body) = stack.ask("/api/values", &[]).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().starts_with("field"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_shown_among_its_neighbours_also_at_equal_times() {
    let stack = stack().await;
    let id = stack.get("/api/search", &[("q", "three")]).await["records"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let context =
        async |parameters: &[(&str, &str)]| stack.get(&format!("/api/context/{id}"), parameters).await;
    assert_eq!(
        messages(&context(&[]).await),
        ["=five, \"5\"", "four", "three", "two", "one"]
    );
    assert_eq!(
        messages(&context(&[("before", "1"), ("after", "1")]).await),
        ["four", "three", "two"]
    );
    let service = context(&[("scope", "service")]).await;
    assert_eq!(
        messages(&service),
        ["=five, \"5\"", "four", "three", "two", "one", "another run"]
    );
    let all = context(&[("scope", "all"), ("after", "2")]).await;
    assert_eq!(
        messages(&all),
        ["in between", "four", "three", "two", "one", "another run"]
    );
    for (id, parameters, status) in [
        ("1", &[][..], 404),
        ("x", &[], 404),
        (&*id, &[("scope", "world")], 400),
        (&*id, &[("before", "-1")], 400),
    ] {
        let (found, body) = stack.ask(&format!("/api/context/{id}"), parameters).await;
        assert_eq!(found, status, "{id} {parameters:?}: {body}");
        assert!(body["error"].is_string(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_all_its_records_in_the_order_of_time() {
    let stack = stack().await;
    let trace = stack.get("/api/trace/t1", &[]).await;
    assert_eq!(messages(&trace), ["one", "two", "in between", "=five, \"5\""]);
    assert_eq!(
        messages(&stack.get("/api/trace/*", &[]).await),
        [""; 0],
        "a star is a star"
    );
}

async fn exported(stack: &Stack, parameters: &[(&str, &str)]) -> (String, String) {
    let request = reqwest::Client::new()
        .get(format!("{}/api/export", stack.page))
        .query(parameters);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success());
    assert!(
        answer.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (content_type, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_everything_that_matches() {
    let stack = stack().await;
    let many: Vec<_> = (0..4_000)
        .map(|number| (number, "many", json!({"number": number}), "t3"))
        .collect();
    send(&stack, "load", "boot-d", &many).await;
    let (content_type, text) = exported(&stack, &[("q", "service:load")]).await;
    assert_eq!(content_type, "application/x-ndjson");
    let numbers: Vec<i64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["fields"]["number"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(numbers, (0..4_000).rev().collect::<Vec<_>>());

    let (content_type, text) = exported(&stack, &[("q", "five"), ("format", "csv")]).await;
    assert_eq!(content_type, "text/csv; charset=utf-8");
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows.len(), 3, "a head, a row, and the end: {text}");
    assert!(rows[0].starts_with("time,level,service,"));
    assert!(
        rows[1].contains(",\"'=five, \"\"5\"\"\","),
        "no spreadsheet runs it: {}",
        rows[1]
    );
    assert_eq!(stack.ask("/api/export", &[("format", "xls")]).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matches_is_saved_as_a_file_that_the_server_opens_and_any_tool_reads() {
    let stack = stack().await;
    let ask = async |parameters: &[(&str, &str)]| {
        let url = format!("{}/api/export", stack.page);
        let asked = reqwest::Client::new().get(url).query(parameters).send();
        asked.await.unwrap()
    };
    let response = ask(&[("q", "service:iptv trace:t1"), ("format", "sqlite")]).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(header("content-type"), "application/vnd.sqlite3");
    assert_eq!(header("content-disposition"), "attachment; filename=\"logs.db\"");
    let length: usize = header("content-length").parse().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(bytes.len(), length);

    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("incident.db");
    std::fs::write(&path, bytes).unwrap();
    let arguments = ["open", path.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut opened = Process::start("log-server", &arguments, &[]);
    let page = opened.told("  page      ").await;
    let asked = reqwest::get(format!("{page}/api/search?q=user_id:7"))
        .await
        .unwrap();
    let answer: Value = asked.json().await.unwrap();
    assert_eq!(messages(&answer), ["two", "one"]);
    assert_eq!(
        answer["records"][0]["fields"],
        json!({"user_id": 7, "tags": ["a", "b"]})
    );
    let stats: Value = reqwest::get(format!("{page}/api/stats"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(stats["store"]["records"], 3);
    assert!(stats["store"]["bytes"].as_u64().unwrap() > 0);

    // A pipeline makes no records, and nothing stays behind.
    let refused = ask(&[("q", "| count by service"), ("format", "sqlite")]).await;
    assert_eq!(refused.status().as_u16(), 400);
    let left = std::fs::read_dir(stack.data().join("exports")).unwrap();
    assert_eq!(left.count(), 0);
}
