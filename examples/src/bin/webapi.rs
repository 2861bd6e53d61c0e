//! `webapi`: the HTTP gateway. Asks `auth` who it is and `iptv` for what they want, each over RPC.

use std::net::SocketAddr;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use examples::accounts::User;
use examples::gateway::{CallError, bearer, logged};
use log_layer::tower::RequestSpans;
use rpc::{Client, Kw};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::info;

/// The HTTP gateway of the example.
#[derive(Parser)]
struct Options {
    /// Address to listen on
    #[arg(long, env = "WEBAPI_LISTEN", default_value = "127.0.0.1:7081")]
    listen: SocketAddr,
}

#[derive(Clone)]
struct Services {
    auth: Client,
    iptv: Client,
}

#[derive(Serialize, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[derive(Serialize, Deserialize)]
struct Listing {
    category: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Wish {
    #[serde(default = "usual_quality")]
    quality: u32,
}

fn usual_quality() -> u32 {
    1080
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _logs = examples::log("webapi");
    let options = Options::parse();
    let stop = examples::stop_signal()?;
    let services = Services {
        auth: examples::client("auth")?,
        iptv: examples::client("iptv")?,
    };
    let router = Router::new()
        .route("/register", post(register))
        .route("/login", post(login))
        .route("/channels", get(channels))
        .route("/channels/{id}/programme", get(programme))
        .route("/channels/{id}/ticket", post(ticket))
        .layer(axum::middleware::from_fn(logged))
        .layer(RequestSpans::new())
        .with_state(services);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    examples::gateway::announce(address);
    info!(%address, "gateway open");
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    Ok(())
}

async fn register(
    State(to): State<Services>,
    Json(who): Json<Credentials>,
) -> Result<Json<Value>, CallError> {
    Ok(Json(to.auth.call("register", Kw(&who)).await?))
}

async fn login(State(to): State<Services>, Json(who): Json<Credentials>) -> Result<Json<Value>, CallError> {
    Ok(Json(to.auth.call("login", Kw(&who)).await?))
}

async fn channels(
    State(to): State<Services>,
    Query(listing): Query<Listing>,
) -> Result<Json<Value>, CallError> {
    Ok(Json(to.iptv.call("channels", Kw(&listing)).await?))
}

async fn programme(State(to): State<Services>, Path(id): Path<String>) -> Result<Json<Value>, CallError> {
    Ok(Json(to.iptv.call("programme", (id,)).await?))
}

async fn ticket(
    State(to): State<Services>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(wish): Json<Wish>,
) -> Result<Json<Value>, CallError> {
    let token = bearer(&headers).unwrap_or_default();
    let user: User = to.auth.call("verify", (token,)).await?;
    let order = json!({ "channel": id, "user_id": user.user_id, "quality": wish.quality });
    Ok(Json(to.iptv.call("ticket", Kw(&order)).await?))
}
