//! Searches that are kept, and alerts: who is told what, and what is refused.

use std::sync::{Arc, Mutex};

use e2e::{Stack, until};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Sends JSON to the API; the status and the answer.
async fn send(stack: &Stack, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = Client::new()
        .request(method, format!("{}{path}", stack.page))
        .json(body);
    let response = request.send().await.unwrap();
    (
        response.status().as_u16(),
        response.json().await.unwrap_or(Value::Null),
    )
}

async fn log(stack: &Stack, records: Value) {
    let batch = json!({ "source": { "service": "shop" }, "records": records });
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
}

/// A webhook that remembers what it was told, and answers with one status.
struct Webhook {
    address: String,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    async fn start(status: u16) -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = Vec::new();
                let body = loop {
                    let text = String::from_utf8_lossy(&request);
                    if let Some((_, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break body;
                    }
                    if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break Value::Null;
                    }
                };
                kept.lock().unwrap().push(body);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Webhook { address, told }
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }
}

fn alert(name: &str, q: &str, webhook: &str, cooldown_s: u64) -> Value {
    json!({ "name": name, "q": q, "from": "-1h", "alert": {
        "threshold": 0, "above": true, "window_s": 60, "webhook": webhook, "cooldown_s": cooldown_s, "enabled": true } })
}

/// The entry of that name, when its state satisfies.
async fn until_state(stack: &Stack, name: &str, satisfies: fn(&Value) -> bool) -> Value {
    until(&format!("the state of {name}"), async || {
        let all = stack.get("/api/saved", &[]).await;
        let entry = all["saved"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name);
        match entry {
            Some(entry) if satisfies(&entry["state"]) => Ok(entry.clone()),
            _ => Err(all.to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_search_is_kept_changed_and_forgotten() {
    let mut stack = Stack::start().await;
    let search = json!({ "name": "慢", "q": "latency_ms>950 \"a b\"", "from": "-24h", "alert": null });
    let (status, made) = send(&stack, Method::POST, "/api/saved", &search).await;
    assert_eq!((status, &made["q"]), (200, &search["q"]), "{made}");
    let path = format!("/api/saved/{}", made["id"].as_str().unwrap());
    let renamed = json!({ "name": "slow", "q": "latency_ms>500", "from": "", "alert": null });
    assert_eq!(send(&stack, Method::PUT, &path, &renamed).await.0, 200);

    stack.server.stop().await;
    stack.restart_server().await;
    let kept = stack.get("/api/saved", &[]).await;
    assert_eq!(kept["saved"][0]["name"], "slow", "{kept}");
    assert_eq!(kept["saved"][0]["id"], made["id"], "{kept}");

    assert_eq!(send(&stack, Method::DELETE, &path, &Value::Null).await.0, 200);
    assert_eq!(send(&stack, Method::DELETE, &path, &Value::Null).await.0, 404);
    assert_eq!(send(&stack, Method::PUT, &path, &renamed).await.0, 404);
    assert_eq!(stack.get("/api/saved", &[]).await["saved"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_with_the_reason() {
    let stack = Stack::start().await;
    let mut short = alert("a", "", "http://127.0.0.1:9/", 0);
    short["alert"]["window_s"] = json!(1);
    for (body, why) in [
        (json!({ "name": " ", "q": "x" }), "name"),
        (json!({ "q": "x" }), "name"),
        (alert("a", "", "file:///etc/passwd", 0), "webhook"),
        (short, "looks at"),
        (
            alert("a", "level:error | count by service", "http://127.0.0.1:9/", 0),
            "pipeline",
        ),
        (json!([1]), ""),
        (json!({ "name": "a", "q": "x".repeat(100_000) }), ""),
    ] {
        let (status, answer) = send(&stack, Method::POST, "/api/saved", &body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            status == 400 && error.contains(why),
            "{body:.80}: {status} {answer}"
        );
    }
    let (status, told) = send(
        &stack,
        Method::POST,
        "/api/saved/preview",
        &json!({ "q": "x | count", "threshold": 0, "window_s": 60 }),
    )
    .await;
    assert!(
        status == 400 && told.to_string().contains("pipeline"),
        "{status} {told}"
    );
    // Another site's page cannot make one: its browser says whose it is.
    let foreign = Client::new()
        .post(format!("{}/api/saved", stack.page))
        .header("sec-fetch-site", "cross-site");
    let foreign = foreign
        .json(&json!({ "name": "a", "q": "x" }))
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 403);
    assert_eq!(stack.get("/api/saved", &[]).await["saved"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_tells_the_webhook_once_in_its_cooldown_with_the_lines() {
    let mut stack = Stack::start().await;
    let webhook = Webhook::start(204).await;
    let once = alert("errors", "level:error", &webhook.address, 3_600);
    assert_eq!(send(&stack, Method::POST, "/api/saved", &once).await.0, 200);
    log(
        &stack,
        json!([{ "level": "error", "message": "登录失败 <b>" }, { "level": "info", "message": "fine" }]),
    )
    .await;
    until_state(&stack, "errors", |state| state["last_fired"].is_string()).await;
    let told = until("a notice", async || {
        webhook.told().first().cloned().ok_or_else(|| "none".into())
    })
    .await;
    assert_eq!(
        (&told["alert"], &told["count"]),
        (&json!("errors"), &json!(1)),
        "{told}"
    );
    assert_eq!(told["records"][0]["message"], "登录失败 <b>", "{told}");
    assert_eq!(told["records"].as_array().unwrap().len(), 1, "{told}");
    assert!(told["text"].as_str().unwrap().contains("登录失败"), "{told}");
    let link = told["link"].as_str().unwrap();
    assert!(
        link.starts_with(&stack.page) && link.contains("q=level%3Aerror"),
        "{link}"
    );

    // Another alert without a cooldown shows that time has passed, over a restart too.
    stack.server.kill().await;
    stack.restart_server().await;
    let often = Webhook::start(200).await;
    let (_, made) = send(
        &stack,
        Method::POST,
        "/api/saved",
        &alert("often", "fine", &often.address, 0),
    )
    .await;
    until("two more notices", async || match often.told().len() {
        0 | 1 => Err(made.to_string()),
        _ => Ok(()),
    })
    .await;
    assert_eq!(webhook.told().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_is_told_of_with_the_alert() {
    let stack = Stack::start().await;
    let refusing = Webhook::start(403).await;
    log(&stack, json!([{ "level": "error", "message": "boom" }])).await;
    for (name, webhook) in [
        ("refusing", &*refusing.address),
        ("forbidden", "http://169.254.169.254/latest"),
    ] {
        let made = send(
            &stack,
            Method::POST,
            "/api/saved",
            &alert(name, "boom", webhook, 600),
        )
        .await;
        assert_eq!(made.0, 200, "{}", made.1);
    }
    let state = |entry: &Value| entry["state"]["last_error"].as_str().unwrap().to_owned();
    let refused = until_state(&stack, "refusing", |state| state["last_error"].is_string()).await;
    assert!(state(&refused).contains("403"), "{refused}");
    let forbidden = until_state(&stack, "forbidden", |state| state["last_error"].is_string()).await;
    assert!(state(&forbidden).contains("--webhook-allow"), "{forbidden}");
    // A webhook that says no is not asked again.
    assert_eq!(refusing.told().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_when_an_alert_would_have_fired() {
    let stack = Stack::start().await;
    let at = |time: &str| json!({ "ts": format!("2026-07-28T{time}Z"), "level": "warn", "message": "slow" });
    log(
        &stack,
        json!([
            at("12:00:10"),
            at("12:00:20"),
            at("12:00:30"),
            at("15:00:10"),
            at("15:30:00"),
            at("15:30:20"),
            at("15:30:40")
        ]),
    )
    .await;
    let asked = json!({ "q": "slow", "threshold": 2, "window_s": 60, "from": "2026-07-28T11:00:00Z", "to": "2026-07-28T17:00:00Z" });
    let (status, told) = send(&stack, Method::POST, "/api/saved/preview", &asked).await;
    assert_eq!(status, 200, "{told}");
    let fired = told["fired"].as_array().unwrap();
    let found: Vec<(&str, u64)> = fired
        .iter()
        .map(|each| {
            (
                &each["time"].as_str().unwrap()[..16],
                each["count"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("2026-07-28T12:00", 3), ("2026-07-28T15:30", 3)]);
}
