//! The ways in: TLS, users with few rights, a socket, a database; and what is never said of them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rpc::{Address, Client, Error, Server};
use tempfile::TempDir;

use crate::calls::{QUEUE, start, sum};
use crate::redis_server::{PATIENCE, Redis, until};

fn server_at(url: &str) -> rpc::ServerBuilder {
    Server::builder(QUEUE).redis(url).method("sum", sum)
}

fn client_at(url: &str, timeout: Duration) -> Client {
    Client::builder(QUEUE)
        .redis(url)
        .timeout(timeout)
        .build()
        .unwrap()
}

/// Serves and calls at this address.
async fn works(url: &str) {
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
async fn fails(url: &str) -> String {
    let client = client_at(url, Duration::from_secs(2));
    match client.call::<i64>("sum", (14, 3)).await {
        Err(Error::Transport {
            source,
            maybe_sent: false,
        }) => source.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes `ca.pem`, and for each name `NAME.pem` and `NAME-key.pem`, signed by it.
fn certificates(folder: &Path, names: &[&str]) {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "the authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), ca.self_signed(&key).unwrap().pem()).unwrap();
    let ca = Issuer::new(ca, key);
    for name in names {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &ca).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
}

async fn tls_redis(files: &Path, port: u16, clients: &str) -> Redis {
    let (port, file) = (port.to_string(), |name: &str| {
        files.join(name).to_str().unwrap().to_owned()
    });
    Redis::start_with(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        clients,
        "--tls-cert-file",
        &file("redis.pem"),
        "--tls-key-file",
        &file("redis-key.pem"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
    ])
    .await
}

#[tokio::test]
async fn tls_trusts_whom_it_is_told_to_trust() {
    let (files, port) = (TempDir::new().unwrap(), free_port());
    certificates(files.path(), &["redis"]);
    let _redis = tls_redis(files.path(), port, "no").await;
    let url = format!("rediss://127.0.0.1:{port}");
    works(&format!("{url}?cacert={}/ca.pem", files.path().display())).await;
    works(&format!("{url}?insecure=true")).await;
    let why = fails(&url).await;
    assert!(why.contains("certificate"), "{why}");
    let other = TempDir::new().unwrap();
    certificates(other.path(), &[]);
    let why = fails(&format!("{url}?cacert={}/ca.pem", other.path().display())).await;
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn tls_shows_a_certificate_and_reads_it_again_when_it_was_renewed() {
    let (files, port) = (TempDir::new().unwrap(), free_port());
    certificates(files.path(), &["redis", "own"]);
    let _redis = tls_redis(files.path(), port, "yes").await;
    let folder = files.path().display();
    let trusting = format!("rediss://127.0.0.1:{port}?cacert={folder}/ca.pem");
    let own = format!("{trusting}&cert={folder}/own.pem&key={folder}/own-key.pem");
    works(&own).await;
    fails(&trusting).await;

    // Somebody else's certificate, until the right one is put in its place.
    let other = TempDir::new().unwrap();
    certificates(other.path(), &["own"]);
    let renewed = other.path().display();
    let stale = format!("{trusting}&cert={renewed}/own.pem&key={renewed}/own-key.pem");
    fails(&stale).await;
    let client = client_at(&stale, PATIENCE);
    for name in ["own.pem", "own-key.pem"] {
        fs::copy(files.path().join(name), other.path().join(name)).unwrap();
    }
    let _serving = start(server_at(&own)).await;
    assert_eq!(client.call::<i64>("sum", (14, 3)).await.unwrap(), 17);
}

#[tokio::test]
async fn a_user_needs_only_the_documented_rights() {
    let guide = include_str!("../GUIDE.md");
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
    let apart = client_at(&third, Duration::from_millis(500))
        .call::<i64>("sum", (14, 3))
        .await;
    assert!(
        matches!(
            apart,
            Err(Error::Timeout {
                sent: true,
                queue_len: Some(1),
                ..
            })
        ),
        "{apart:?}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_silently_is_noticed() {
    let redis = Redis::start().await;
    let _serving = start(server_at(&redis.url())).await;
    let mut way = crate::tunnel::Tunnel::open(redis.port()).await;
    let client = client_at(&way.url, PATIENCE);
    assert_eq!(client.call::<i64>("sum", (1, 1)).await.unwrap(), 2);
    // What is open stays open and goes nowhere, as when a firewall forgets it.
    way.silence();
    let again = client.request("sum").params((14, 3)).idempotent();
    assert_eq!(again.send::<i64>().await.unwrap(), 17);
}
