//! The pictures of the README, taken of the demo: `make screenshots` writes them to `web/screenshots`.

#[expect(dead_code, reason = "tests of the page need more of it")]
#[path = "../browser.rs"]
mod browser;
mod palette;

use std::path::Path;

use browser::Browser;
use e2e::{Process, RedisServer, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// As wide as the page needs for what stands on top to stand in one line.
const WIDTH: u32 = 1_200;
/// A README with larger ones loads slowly.
const LARGEST: usize = 100_000;
/// Records after which the demo has shown all it does: logins, slow guides, a panic.
const ENOUGH: u64 = 6_000;

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks for a list, and there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let data = TempDir::new().unwrap();
    let redis = RedisServer::start().await;
    let data_folder = data.path().to_str().unwrap();
    let arguments = [
        "--data",
        data_folder,
        "--redis",
        &redis.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let mut demo = Process::start("demo", &arguments, &[("RUST_LOG", "off")]);
    let page = demo.told("Open ").await;
    for (q, least) in [("", ENOUGH), ("level:error panicked", 2)] {
        while ask(&page, "/api/histogram", q).await["total"].as_u64() < Some(least) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await; // polling: the demo takes its time
        }
    }
    let slow = ask(&page, "/api/search", "service:iptv \"was slow\" spans:epg").await["records"][0].clone();
    let trace = slow["trace_id"].as_str().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let browser = Browser::open(&page, WIDTH).await;
    browser
        .devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }))
        .await;
    for theme in ["light", "dark"] {
        browser
            .run(&format!("localStorage.setItem('log-page.theme', '{theme}')"))
            .await;
        for (name, height, view, there) in &views(trace) {
            let size = json!({ "width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": false });
            browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
            browser.driver.goto(format!("{page}/{view}")).await.unwrap();
            let ready = "return document.getElementById('progress').hidden && document.querySelector('#list .row, #trace .row, #issues li') !== null";
            browser.until_it_is(ready, json!(true)).await;
            if *name == "record" {
                browser
                    .run("document.querySelectorAll('#list .row')[1].click()")
                    .await;
            }
            browser
                .until_it_is(
                    &format!("return document.querySelector('{there}') !== null"),
                    json!(true),
                )
                .await;
            let bytes = palette::reduced(&browser.driver.screenshot_as_png().await.unwrap());
            assert!(bytes.len() < LARGEST, "{name}-{theme}: {} bytes", bytes.len());
            println!("{name}-{theme}.png: {} bytes", bytes.len());
            std::fs::write(folder.join(format!("{name}-{theme}.png")), bytes).unwrap();
        }
    }
    browser.close().await;
    demo.stop().await;
}

/// Name, height, address, and what has to be there. No higher than they say something.
fn views(trace: &str) -> [(&'static str, u32, String, &'static str); 4] {
    let list = "?q=service%3A(webapi+OR+iptv)&from=-15m".to_owned();
    let record = "?q=%22was+slow%22&from=-15m".to_owned();
    [
        ("list", 640, list, "#list .row"),
        ("record", 640, record, "#list .record"),
        ("trace", 300, format!("?view=trace&trace={trace}"), "#trace .span"),
        (
            "issues",
            340,
            "?view=issues&from=-15m".to_owned(),
            "#issues .issue-list li",
        ),
    ]
}

async fn ask(page: &str, path: &str, q: &str) -> Value {
    until(path, async || {
        let asked = reqwest::Client::new()
            .get(format!("{page}{path}"))
            .query(&[("q", q)])
            .send();
        let answer = asked.await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    })
    .await
}
