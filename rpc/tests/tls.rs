//! Encrypted ways in: who is trusted, and what is shown.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::addresses::{client_at, fails, server_at, works};
use crate::calls::start;
use crate::redis_server::{PATIENCE, Redis, free_port, until};
use crate::sentinels::Sentinel;

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

/// What Redis and its Sentinels are told, as name and value.
fn settings(files: &Path, port: u16, clients: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str| files.join(name).to_str().unwrap().to_owned();
    vec![
        ("tls-port", port.to_string()),
        ("tls-auth-clients", clients.to_owned()),
        ("tls-cert-file", file("redis.pem")),
        ("tls-key-file", file("redis-key.pem")),
        ("tls-ca-cert-file", file("ca.pem")),
    ]
}

async fn tls_redis(files: &Path, port: u16, clients: &str, more: &[&str]) -> Redis {
    let settings = settings(files, port, clients);
    let arguments: Vec<String> = settings
        .into_iter()
        .flat_map(|(name, value)| [format!("--{name}"), value])
        .collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    Redis::start_with(&arguments).await
}

#[tokio::test]
async fn tls_trusts_whom_it_is_told_to_trust() {
    let (files, port) = (TempDir::new().unwrap(), free_port());
    certificates(files.path(), &["redis"]);
    let _redis = tls_redis(files.path(), port, "no", &[]).await;
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
    let _redis = tls_redis(files.path(), port, "yes", &[]).await;
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
async fn sentinels_and_the_master_they_name_can_speak_tls() {
    let (files, port) = (TempDir::new().unwrap(), free_port());
    certificates(files.path(), &["redis"]);
    let _redis = tls_redis(files.path(), port, "no", &[]).await;
    let sentinel = Sentinel::start(|own| {
        let settings = settings(files.path(), own, "no");
        let lines = settings.iter().map(|(name, value)| format!("{name} {value}\n"));
        format!(
            "port 0\ntls-replication yes\n{}sentinel monitor main 127.0.0.1 {port} 1\n",
            lines.collect::<String>()
        )
    });
    let url = format!("rediss+sentinel://127.0.0.1:{}/main", sentinel.port);
    works(&format!("{url}?cacert={}/ca.pem", files.path().display())).await;
    let why = fails(&url).await;
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test]
async fn the_nodes_of_a_cluster_can_speak_tls() {
    let files = TempDir::new().unwrap();
    certificates(files.path(), &["redis"]);
    let (mut nodes, mut ports) = (Vec::new(), Vec::new());
    for slots in ["0 8191", "8192 16383"] {
        let (port, bus) = (free_port(), free_port().to_string());
        let cluster = [
            "--cluster-enabled",
            "yes",
            "--tls-cluster",
            "yes",
            "--cluster-port",
            &bus,
        ];
        let node = tls_redis(files.path(), port, "no", &cluster).await;
        node.command::<()>(&format!("CLUSTER ADDSLOTSRANGE {slots}"))
            .await;
        if let Some(first) = nodes.first() {
            Redis::command::<()>(first, &format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await;
        }
        nodes.push(node);
        ports.push(port);
    }
    until(async || {
        let mut known = true;
        for node in &nodes {
            let info: String = node.command("CLUSTER INFO").await;
            known &= info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2\r");
        }
        known
    })
    .await;
    // One of the two is not the queue's.
    for port in ports {
        works(&format!(
            "rediss+cluster://127.0.0.1:{port}?cacert={}/ca.pem",
            files.path().display()
        ))
        .await;
    }
}
