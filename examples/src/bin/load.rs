//! `load`: people who use the service: they register, mistype passwords, look for channels that do not exist, watch,
//! and listen to events. Runs until stopped.

use std::time::Duration;

use clap::Parser;
use futures_util::StreamExt as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// People who use the example service.
#[derive(Parser)]
struct Options {
    /// Where webapi listens
    #[arg(long, default_value = "http://127.0.0.1:7081")]
    webapi: String,
    /// Where websocket listens
    #[arg(long, default_value = "http://127.0.0.1:7082")]
    websocket: String,
    /// How many people
    #[arg(long, default_value_t = 6)]
    people: u32,
    /// How long they think between two actions, on average, in milliseconds
    #[arg(long, default_value_t = 400)]
    think_ms: u64,
}

/// Longer than a slow programme guide takes.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _logs = examples::log("load");
    let options = Options::parse();
    let stop = examples::stop_signal()?;
    let people = TaskTracker::new();
    for number in 0..options.people {
        let person = Person {
            name: format!("user{}", 100 + number),
            webapi: options.webapi.clone(),
            events: options.websocket.replacen("http", "ws", 1),
            think: Duration::from_millis(options.think_ms),
            http: Client::builder().timeout(PATIENCE).build()?,
        };
        let stop = stop.clone();
        people.spawn(async move {
            tokio::select! {
                () = person.live() => {}
                () = stop.cancelled() => {}
            }
        });
    }
    people.close();
    people.wait().await;
    Ok(())
}

struct Person {
    name: String,
    webapi: String,
    events: String,
    think: Duration,
    http: Client,
}

impl Person {
    /// For ever: come in, do things for a while, leave.
    async fn live(&self) {
        self.ask(
            Method::POST,
            "/register",
            None,
            Some(json!({ "name": self.name, "password": "secret of mine" })),
        )
        .await;
        loop {
            self.pause().await;
            let mistyped = fastrand::u32(..5) == 0;
            let password = if mistyped {
                "secret of nine"
            } else {
                "secret of mine"
            };
            let credentials = json!({ "name": self.name, "password": password });
            let Some(session) = self.ask(Method::POST, "/login", None, Some(credentials)).await else {
                continue;
            };
            let Some(token) = session["token"].as_str().map(str::to_owned) else {
                continue;
            };
            let leave = CancellationToken::new();
            tokio::join!(self.listen(&token, leave.clone()), async {
                self.watch(&token).await;
                leave.cancel();
            });
        }
    }

    /// Looks around and watches something, a dozen times.
    async fn watch(&self, token: &str) {
        for _ in 0..12 {
            self.pause().await;
            let path =
                ["/channels", "/channels?category=news", "/channels?category=sport"][fastrand::usize(..3)];
            let Some(channels) = self.ask(Method::GET, path, Some(token), None).await else {
                continue;
            };
            let known = channels.as_array().filter(|known| !known.is_empty());
            let Some(channel) = known.and_then(|known| known[fastrand::usize(..known.len())]["id"].as_str())
            else {
                continue;
            };
            let channel = if fastrand::u32(..25) == 0 {
                "channel-nine"
            } else {
                channel
            };
            self.ask(
                Method::GET,
                &format!("/channels/{channel}/programme"),
                Some(token),
                None,
            )
            .await;
            // One television in five hundred asks for a quality that nobody thought of.
            let quality = if fastrand::u32(..500) == 0 {
                4320
            } else {
                [480, 720, 1080][fastrand::usize(..3)]
            };
            let wish = json!({ "quality": quality });
            self.ask(
                Method::POST,
                &format!("/channels/{channel}/ticket"),
                Some(token),
                Some(wish),
            )
            .await;
        }
    }

    /// Listens to events until `leave`.
    async fn listen(&self, token: &str, leave: CancellationToken) {
        let address = format!("{}/events?token={token}", self.events);
        let connected = timeout(PATIENCE, tokio_tungstenite::connect_async(address)).await;
        let Ok(Ok((mut events, _))) = connected else {
            warn!(user = self.name, "no events: the connection failed");
            leave.cancelled().await;
            return;
        };
        loop {
            tokio::select! {
                event = events.next() => if !matches!(event, Some(Ok(_))) { break },
                () = leave.cancelled() => break,
            }
        }
        // Leaving without a goodbye is what people do.
        let _ = events.close(None).await;
    }

    /// The answer, if it was a good one.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Option<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.webapi));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                warn!(
                    user = self.name,
                    path,
                    error = &error as &dyn std::error::Error,
                    "no answer"
                );
                return None;
            }
        };
        let status = response.status();
        debug!(user = self.name, path, status = status.as_u16(), "answered");
        if status.is_success() {
            response.json().await.ok()
        } else {
            None
        }
    }

    async fn pause(&self) {
        let mean = u64::try_from(self.think.as_millis()).unwrap_or(u64::MAX).max(1);
        sleep(Duration::from_millis(fastrand::u64(mean / 2..=mean + mean / 2))).await;
    }
}
