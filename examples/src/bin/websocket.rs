//! `websocket`: pushes channel events to people who are logged in. Asks `auth` over RPC whose session it is.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use clap::Parser;
use examples::accounts::User;
use examples::catalog;
use examples::gateway::{CallError, logged};
use log_layer::tower::RequestSpans;
use rpc::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

/// The WebSocket service of the example.
#[derive(Parser)]
struct Options {
    /// Address to listen on
    #[arg(long, env = "WEBSOCKET_LISTEN", default_value = "127.0.0.1:7082")]
    listen: SocketAddr,
}

/// Something happens on some channel so often.
const EVENT_EVERY: Duration = Duration::from_millis(700);

#[derive(Clone)]
struct Service {
    auth: Client,
    events: broadcast::Sender<String>,
    stop: CancellationToken,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    token: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _logs = examples::log("websocket");
    let options = Options::parse();
    let stop = examples::stop_signal()?;
    let service = Service {
        auth: examples::client("auth")?,
        events: broadcast::channel(64).0,
        stop: stop.clone(),
    };
    let announcing = tokio::spawn(announce(service.events.clone(), stop.clone()));
    let router = Router::new()
        .route("/events", get(enter))
        .layer(axum::middleware::from_fn(logged))
        .layer(RequestSpans::new())
        .with_state(service);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    examples::gateway::announce(address);
    info!(%address, "open for listeners");
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    announcing.await?;
    Ok(())
}

/// Makes the events: every now and then a programme begins somewhere.
async fn announce(events: broadcast::Sender<String>, stop: CancellationToken) {
    let mut clock = tokio::time::interval(EVENT_EVERY);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = stop.cancelled() => return,
        }
        let channels = catalog::channels(None);
        let channel = &channels[fastrand::usize(..channels.len())];
        let programme = catalog::programme(channel);
        let title = &programme[fastrand::usize(..programme.len())].title;
        let event = json!({ "channel": channel.id, "begins": title });
        let listeners = events.send(event.to_string()).unwrap_or(0);
        debug!(channel = channel.id, listeners, "节目开始: {title}");
    }
}

async fn enter(
    State(service): State<Service>,
    Query(entry): Query<Entry>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, CallError> {
    let user: User = service.auth.call("verify", (entry.token,)).await?;
    let span = info_span!("connection", user_id = user.user_id);
    Ok(upgrade.on_upgrade(move |socket| push(socket, service).instrument(span)))
}

async fn push(mut socket: WebSocket, service: Service) {
    let mut events = service.events.subscribe();
    info!("listener connected");
    let mut sent = 0u64;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    if socket.send(Message::text(event)).await.is_err() {
                        break;
                    }
                    sent += 1;
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => warn!(missed, "listener is too slow"),
                Err(broadcast::error::RecvError::Closed) => break,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(other)) => debug!(bytes = other.into_data().len(), "listener said something"),
            },
            () = service.stop.cancelled() => break,
        }
    }
    info!(sent, "listener gone");
}
