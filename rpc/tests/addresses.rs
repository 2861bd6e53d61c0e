//! The ways in: users with few rights, a socket, a database; and what is never said of them.

use std::time::Duration;

use rpc::{Address, Client, Error, Server};
use tempfile::TempDir;

use crate::calls::{QUEUE, start, sum};
use crate::proxy::Proxy;
use crate::redis_server::{PATIENCE, Redis, until};

pub(crate) fn server_at(url: &str) -> rpc::ServerBuilder {
    Server::builder(QUEUE).redis(url).method("sum", sum)
}

pub(crate) fn client_at(url: &str, timeout: Duration) -> Client {
    Client::builder(QUEUE)
        .redis(url)
        .timeout(timeout)
        .build()
        .unwrap()
}

/// Serves and calls at this address.
pub(crate) async fn works(url: &str) {
    let started = tokio::time::timeout(PATIENCE, start(server_at(url))).await;
    let (stop, serving) = started.expect("the server does not come in");
    let client = client_at(url, PATIENCE);
    assert_eq!(client.call::<i64>("sum", (14, 3)).await.unwrap(), 17);
    client.notify("sum", (1, 1)).await.unwrap();
    assert_eq!(client.queue_state().await.unwrap().servers, 1);
    until(async || client.queue_state().await.unwrap().len == 0).await;
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 2);
}

/// A call at this address fails before anything is sent; returns the reason.
pub(crate) async fn fails(url: &str) -> String {
    // A busy machine may need longer to find out.
    for seconds in [2, 10, 60] {
        let client = client_at(url, Duration::from_secs(seconds));
        match client.call::<i64>("sum", (14, 3)).await {
            Err(Error::Transport {
                source,
                maybe_sent: false,
            }) => return source.to_string(),
            Err(Error::Timeout { sent: false, .. }) => {}
            other => panic!("{url}: {other:?}"),
        }
    }
    panic!("{url}: nobody knows why it fails");
}

#[tokio::test]
async fn a_user_needs_only_the_documented_rights() {
    let guide = include_str!("../docs/running.md");
    let rights = guide
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER rpc "))
        .unwrap();
    let rights = rights.replace("PASSWORD", "p@ss/#?");
    let arguments: Vec<&str> = ["--user", "rpc"].into_iter().chain(rights.split(' ')).collect();
    let redis = Redis::start_with(&arguments).await;
    works(&format!("redis://rpc:p%40ss%2F%23%3F@127.0.0.1:{}", redis.port())).await;
    let log: Vec<redis::Value> = redis.command("ACL LOG").await;
    assert!(log.is_empty(), "{log:?}");
}

#[tokio::test]
async fn a_server_that_may_not_end_its_own_wait_stops_all_the_same() {
    let redis = Redis::start().await;
    redis
        .command::<()>("ACL SETUSER weak on >pw ~* &* +@all -client")
        .await;
    works(&format!("redis://weak:pw@127.0.0.1:{}", redis.port())).await;
}

#[tokio::test]
async fn a_wrong_password_ends_a_server_and_is_nowhere_said() {
    let redis = Redis::start_with(&["--requirepass", "right"]).await;
    let url = format!("redis://:wrong-secret@127.0.0.1:{}", redis.port());
    let address: Address = url.parse().unwrap();
    let server = server_at(&url);
    let client = client_at(&url, Duration::from_secs(1));
    let call = client.request("sum");
    let mut said = format!("{address} {address:?} {server:?} {client:?} {call:?}");
    let error = server.build().unwrap().run(Default::default()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    said += &format!("{error} {error:?} {}", fails(&url).await);
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_socket_works() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("redis.sock");
    let _redis = Redis::start_with(&["--unixsocket", path.to_str().unwrap(), "--requirepass", "pw"]).await;
    works(&format!("unix://{}?password=pw&db=2", path.display())).await;
}

#[tokio::test]
async fn a_database_is_apart_from_the_others() {
    let redis = Redis::start().await;
    let third = format!("{}/3", redis.url());
    works(&third).await;
    let _serving = start(server_at(&redis.url())).await;
    let apart = client_at(&third, PATIENCE);
    apart.notify("sum", (14, 3)).await.unwrap();
    assert_eq!(
        client_at(&redis.url(), PATIENCE)
            .call::<i64>("sum", (14, 3))
            .await
            .unwrap(),
        17
    );
    let state = apart.queue_state().await.unwrap();
    assert_eq!((state.len, state.servers), (1, 0));
}

#[tokio::test]
async fn a_connection_that_breaks_silently_is_noticed() {
    let redis = Redis::start().await;
    let _serving = start(server_at(&redis.url())).await;
    let way = Proxy::open(&redis).await;
    let client = client_at(&way.url, PATIENCE);
    assert_eq!(client.call::<i64>("sum", (1, 1)).await.unwrap(), 2);
    // What is open stays open and goes nowhere, as when a firewall forgets it.
    way.fall_silent();
    let again = client.request("sum").params((14, 3)).idempotent();
    assert_eq!(again.send::<i64>().await.unwrap(), 17);
}
