//! Encrypted ways in: who is trusted, and what is shown.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::addresses::{client_at, fails, server_at, works};
use crate::calls::start;
use crate::redis_server::{PATIENCE, Redis};

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
