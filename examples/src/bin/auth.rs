//! `auth`: registers users, opens sessions, and tells whose session it is. An RPC server on queue `auth`.

use std::sync::Arc;
use std::time::Instant;

use examples::accounts::{AccountError, Accounts, Session, User};
use rpc::{Fault, Server};
use serde::Deserialize;
use tracing::{debug, info, warn};

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _logs = examples::log("auth");
    let stop = examples::stop_signal()?;
    let accounts = Arc::new(Accounts::default());
    let (registering, opening, verifying) = (accounts.clone(), accounts.clone(), accounts);
    let server = Server::builder("auth")
        .redis(examples::redis_url())
        .on_start(async || {
            info!("ready to let people in");
            Ok::<_, std::io::Error>(())
        })
        .method("register", move |who: Credentials| {
            register(registering.clone(), who)
        })
        .method("login", move |who: Credentials| login(opening.clone(), who))
        .method("verify", move |token: Token| verify(verifying.clone(), token))
        .build()?;
    let report = server.run(stop).await?;
    info!(handled = report.handled, failed = report.failed, "stopped");
    Ok(())
}

async fn register(accounts: Arc<Accounts>, who: Credentials) -> Result<User, Fault> {
    let name = who.name.clone();
    let registered = tokio::task::spawn_blocking(move || accounts.register(&who.name, &who.password)).await;
    match registered.map_err(|error| Fault::handler(error.to_string()))? {
        Ok(user_id) => {
            info!(user = name, user_id, "user registered");
            Ok(User { user_id })
        }
        Err(error) => Err(refuse(&name, &error)),
    }
}

async fn login(accounts: Arc<Accounts>, who: Credentials) -> Result<Session, Fault> {
    let (name, started) = (who.name.clone(), Instant::now());
    let opened = tokio::task::spawn_blocking(move || accounts.login(&who.name, &who.password)).await;
    match opened.map_err(|error| Fault::handler(error.to_string()))? {
        Ok(session) => {
            let latency_ms = started.elapsed().as_secs_f64() * 1e3;
            info!(user = name, user_id = session.user_id, latency_ms, "用户登录成功");
            Ok(session)
        }
        Err(error) => Err(refuse(&name, &error)),
    }
}

async fn verify(accounts: Arc<Accounts>, token: Token) -> Result<User, Fault> {
    match accounts.verify(&token.token) {
        Ok(user) => {
            debug!(user_id = user.user_id, "session verified");
            Ok(user)
        }
        Err(error) => Err(refuse("?", &error)),
    }
}

/// Application faults of this service: 101 the name is taken, 102 not let in.
fn refuse(name: &str, error: &AccountError) -> Fault {
    let code = match error {
        AccountError::Taken(_) => 101,
        AccountError::Unknown(_) | AccountError::WrongPassword | AccountError::NoSession => 102,
    };
    warn!(user = name, code, reason = %error, "登录失败: not let in");
    Fault::app(code, error.to_string())
}
