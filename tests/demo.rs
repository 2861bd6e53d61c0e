//! `make demo`: the system of the mission, followed through by one trace, and gone at Ctrl-C.

use std::collections::BTreeSet;

use e2e::{Process, RedisServer, until};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::browser::Browser;

async fn search(page: &str, q: &str) -> Vec<Value> {
    let url = format!("{page}/api/search");
    let answer = reqwest::Client::new()
        .get(url)
        .query(&[("q", q), ("limit", "1000")])
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["records"].as_array().unwrap().clone()
}

/// The processes that `parent` has started, and theirs.
fn children(parent: Pid) -> Vec<Pid> {
    let output = std::process::Command::new("ps")
        .args(["-A", "-o", "pid=,ppid="])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs: Vec<(i32, i32)> = text
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
            numbers.next().zip(numbers.next())
        })
        .collect();
    let mut found = vec![parent.as_raw_nonzero().get()];
    let mut index = 0;
    while index < found.len() {
        let of = found[index];
        found.extend(
            pairs
                .iter()
                .filter(|(_, parent)| *parent == of)
                .map(|(pid, _)| *pid),
        );
        index += 1;
    }
    found[1..].iter().filter_map(|pid| Pid::from_raw(*pid)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_comes_up_can_be_searched_and_leaves_nothing_behind() {
    let data = TempDir::new().unwrap();
    let redis = RedisServer::start().await;
    let arguments = [
        "--data",
        data.path().to_str().unwrap(),
        "--redis",
        &redis.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let mut demo = Process::start("demo", &arguments, &[]);
    let page = demo.told("Open ").await;

    until("records of all services", async || {
        let mut missing = Vec::new();
        for service in ["auth", "iptv", "webapi", "websocket"] {
            if search(&page, &format!("service:{service}")).await.is_empty() {
                missing.push(service);
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("nothing from {missing:?}"))
        }
    })
    .await;

    let browser = Browser::open(&format!("{page}/?q=service:iptv"), 1_440).await;
    until("rows of iptv on the page", async || {
        match browser.messages().await.len() {
            0 => Err(browser.text().await),
            _ => Ok(()),
        }
    })
    .await;
    browser.close().await;

    // A ticket: webapi asks auth who it is, then iptv for the ticket. One trace goes through all three.
    let services = until("a trace through webapi, auth and iptv", async || {
        let opened = search(&page, "service:iptv \"channel opened\"").await;
        let trace = opened
            .first()
            .and_then(|record| record["trace_id"].as_str())
            .ok_or("no ticket yet")?
            .to_owned();
        let services: BTreeSet<String> = search(&page, &format!("trace:{trace}"))
            .await
            .iter()
            .map(|record| record["service"].as_str().unwrap().to_owned())
            .collect();
        if services.len() >= 3 {
            Ok(services)
        } else {
            Err(format!("{services:?}"))
        }
    });
    let services = services.await;
    assert!(
        ["webapi", "auth", "iptv"]
            .iter()
            .all(|service| services.contains(*service)),
        "{services:?}"
    );

    let started = children(demo.pid());
    assert!(
        started.len() >= 6,
        "a server, four services and the load: {started:?}"
    );
    demo.signal(Signal::INT);
    assert!(demo.ended().await.success());
    let left: Vec<_> = started
        .into_iter()
        .filter(|pid| test_kill_process(*pid).is_ok())
        .collect();
    assert!(left.is_empty(), "still running: {left:?}");
}
