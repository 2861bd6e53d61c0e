//! How fast the page is in a browser, over many records: from Enter to painted rows, scrolling, what a tab that follows
//! live keeps, and what crosses the network. `cargo bench -p e2e --bench page`; nothing else should run beside it.
//!
//! `BENCH_DATA` names a data directory to look at (of the generator's records, if figures are to be compared); else
//! `BENCH_RECORDS` (200,000) are made. `BENCH_PARTS` chooses among `weight search scroll flood live`; `BENCH_LIVE` says
//! how many seconds the tab follows (60).

#[expect(dead_code, reason = "tests of the page need more of it")]
#[path = "../browser.rs"]
mod browser;
#[expect(dead_code, reason = "peers go on and back in them")]
#[path = "peers/records.rs"]
mod records;

use std::time::{Duration, Instant};

use browser::Browser;
use e2e::{Process, RedisServer, until};
use futures_util::StreamExt as _;
use records::{BATCH, Records};
use rpc::{Client, RawArgs};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// The thirteen queries of the comparison with other servers, which look for text in messages. All but four have records as
/// their first page.
const QUERIES: [(&str, &str); 13] = [
    ("newest 100", ""),
    ("rare word", "message:zebrafinch"),
    ("common word", "message:connection"),
    (
        "two words, errors",
        "message:connection message:failed level:error",
    ),
    ("substring", "message:rd_9f3"),
    ("trace id", "trace:TRACE"),
    ("number and service", "latency_ms>950 service:payment"),
    ("chart of all levels", "| timechart 1d count by level"),
    (
        "chart of a word",
        "message:connection | timechart 1d count by level",
    ),
    ("regular expression", "message:/port \\d+77\\b/"),
    ("Chinese word", "message:退款"),
    ("top values", "| top 10 path"),
    ("count of a substring", "message:rd_9f | count"),
];
/// Those of them that can be asked of all texts of a record, as people type them.
const ANYWHERE: [(&str, &str); 8] = [
    ("rare word", "zebrafinch"),
    ("common word", "connection"),
    ("two words, errors", "connection failed level:error"),
    ("substring", "rd_9f3"),
    ("chart of a word", "connection | timechart 1d count by level"),
    ("regular expression", "/port \\d+77\\b/"),
    ("Chinese word", "退款"),
    ("count of a substring", "rd_9f | count"),
];
/// Rounds of each query; the median counts.
const ROUNDS: usize = 5;
/// Rows scrolled over, and frames it takes.
const ROWS: usize = 10_000;
const FRAMES: usize = 600;
/// Records a second while a tab follows.
const RATE: usize = 1_000;
/// Records in each batch of the flood, how often one is sent, and how many: 100,000 records a second for ten seconds.
const FLOOD: (usize, Duration, usize) = (5_000, Duration::from_millis(50), 200);

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks for a list, and there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let wanted = std::env::var("BENCH_PARTS").unwrap_or_else(|_| "weight search scroll flood live".into());
    let parts: Vec<&str> = wanted.split(' ').collect();
    let directory = TempDir::new().unwrap();
    let redis = RedisServer::start().await;
    let given = std::env::var("BENCH_DATA").ok();
    let made = directory.path().join("data").to_str().unwrap().to_owned();
    let data = given.clone().unwrap_or(made);
    let arguments = [
        "--data",
        &data,
        "--redis",
        &redis.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Process::start("log-server", &arguments, &[]);
    let page = server.told("  page      ").await;
    let client = Client::builder("logs").redis(redis.url()).build().unwrap();
    if given.is_none() {
        let count = std::env::var("BENCH_RECORDS").map_or(200_000, |text| text.parse().expect("a number"));
        let batches = futures_util::stream::iter(Records::from_environment(count).batches(0, BATCH));
        batches
            .for_each_concurrent(4, |batch| append(&client, batch))
            .await;
    }
    let browser = Browser::open(&format!("{page}/?view=records&from=all"), 1_440).await;
    until("the first rows", async || match browser.messages().await.len() {
        0 => Err(browser.text().await),
        _ => Ok(()),
    })
    .await;
    println!(
        "{}",
        browser
            .run("return document.getElementById('summary').textContent")
            .await
    );
    for part in parts {
        match part {
            "weight" => weight(&browser).await,
            "search" => {
                search(&browser, "in the message", &QUERIES).await;
                search(&browser, "in any text", &ANYWHERE).await;
            }
            "scroll" => scroll(&browser).await,
            "live" => live(&browser, &page, &client).await,
            "flood" => flood(&browser, &page, &client).await,
            other => panic!("BENCH_PARTS: there is no {other}"),
        }
    }
    browser.driver.quit().await.unwrap();
    server.stop().await;
}

async fn append(client: &Client, batch: String) {
    let params = RawArgs {
        args: format!("[{batch}]"),
        kwargs: "{}".into(),
    };
    let _: Value = client
        .request("append")
        .params(params)
        .no_deadline()
        .send()
        .await
        .expect("it is stored");
}

async fn weight(browser: &Browser) {
    let files = "return performance.getEntries().filter((each) => ['navigation', 'resource'].includes(each.entryType) && !each.name.includes('/api/'))
        .map((each) => [new URL(each.name).pathname.split('/').pop() || '/', each.encodedBodySize])";
    let files: Vec<(String, u64)> = serde_json::from_value(browser.run(files).await).unwrap();
    let all: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "weight: {all} bytes as this browser asks for them, in {} files: {files:?}",
        files.len()
    );
}

/// What waits for a frame after the one in which something new stands in the list or in the table. What stood there is
/// looked at after the form was sent: changing the state may draw the old answer again.
const ENTER: &str = "const [list, result, empty] = ['list', 'result', 'empty'].map((id) => document.getElementById(id));
    const standing = () => [list.firstElementChild, result.firstElementChild, empty.hidden];
    document.getElementById('query').value = QUERY;
    empty.hidden = true;
    const start = performance.now();
    document.getElementById('query-form').requestSubmit();
    const before = standing();
    return new Promise((done) => {
        let rows = 0;
        const look = () => {
            const now = performance.now();
            const shown = standing().some((each, at) => each !== before[at]);
            if (shown && rows === 0) requestAnimationFrame(() => { rows = performance.now() - start; });
            if (rows > 0 && document.getElementById('progress').hidden || now - start > 30000) {
                const asked = performance.getEntriesByType('resource').findLast(({ name }) => name.includes('/api/search'));
                performance.clearResourceTimings();
                done([rows, now - start, asked.responseEnd - start]);
            }
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });";

async fn search(browser: &Browser, place: &str, queries: &[(&str, &str)]) {
    browser
        .driver
        .set_script_timeout(Duration::from_secs(60))
        .await
        .unwrap();
    let trace = "return fetch('api/search?limit=1&q=trace:*').then((answer) => answer.json()).then((answer) => answer.records[0].trace_id)";
    let trace = browser.run(trace).await;
    let mut worst = 0.0_f64;
    for (name, query) in queries {
        let query = query.replace("TRACE", trace.as_str().unwrap());
        let (mut rows, mut all, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let took = browser
                .run(&ENTER.replace("QUERY", &json!(query).to_string()))
                .await;
            let (first, last, answer): (f64, f64, f64) = serde_json::from_value(took).unwrap();
            rows.push(first);
            all.push(last);
            answers.push(answer);
        }
        for times in [&mut rows, &mut all, &mut answers] {
            times.sort_by(f64::total_cmp);
        }
        worst = worst.max(rows[ROUNDS / 2]);
        println!(
            "{name}, {place}: rows painted after {:.0} ms (the answer was there after {:.0} ms), at most {:.0} ms; all with the chart after {:.0} ms (median of {ROUNDS})",
            rows[ROUNDS / 2],
            answers[ROUNDS / 2],
            rows[ROUNDS - 1],
            all[ROUNDS / 2],
        );
    }
    println!("search {place}: the slowest median is {worst:.0} ms");
}

async fn scroll(browser: &Browser) {
    browser.search("").await;
    until("ten thousand rows", async || {
        browser.run("scrollTo(0, document.body.scrollHeight)").await;
        let rows = browser
            .run("return document.querySelectorAll('#list .row').length")
            .await;
        match rows.as_u64() {
            Some(rows) if rows as usize >= ROWS => Ok(()),
            _ => Err(rows.to_string()),
        }
    })
    .await;
    // Going back to the top is a jump and no scrolling.
    browser
        .run("scrollTo(0, 0); return new Promise((done) => setTimeout(done, 500));")
        .await;
    let script = "const longer = []; const watch = new PerformanceObserver((list) => longer.push(...list.getEntries().map((each) => each.duration)));
        watch.observe({ type: 'longtask' });
        const step = (document.body.scrollHeight - innerHeight) / FRAMES, times = [];
        return new Promise((done) => {
            const frame = (now) => {
                times.push(now);
                if (times.length > FRAMES) return setTimeout(() => done([times, longer]), 200);
                scrollTo(0, times.length * step);
                requestAnimationFrame(frame);
            };
            requestAnimationFrame(frame);
        });";
    let told = browser.run(&script.replace("FRAMES", &FRAMES.to_string())).await;
    let (times, longer): (Vec<f64>, Vec<f64>) = serde_json::from_value(told).unwrap();
    let mut frames: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slowest = (0..FRAMES).max_by(|one, other| frames[*one].total_cmp(&frames[*other]));
    frames.sort_by(f64::total_cmp);
    let whole: f64 = frames.iter().sum();
    println!(
        "scroll: over {ROWS} rows in {FRAMES} frames, {:.1} frames a second; frames of {:.1} ms in the median, {:.1} at 95 %, {:.1} at most (frame {}); {} long tasks {longer:?}",
        FRAMES as f64 / whole * 1e3,
        frames[FRAMES / 2],
        frames[FRAMES * 95 / 100],
        frames[FRAMES - 1],
        slowest.expect("there are frames"),
        longer.len(),
    );
}

/// Somebody reads an open record while 100,000 others a second arrive.
async fn flood(browser: &Browser, page: &str, client: &Client) {
    let (size, every, count) = FLOOD;
    let batch = |number: usize, size: usize| {
        let record = |each: usize| json!({ "level": "info", "message": format!("request {each} done"), "fields": { "number": number, "path": "/flood" } });
        let records: Vec<Value> = (0..size).map(record).collect();
        json!({ "source": { "service": "flood" }, "records": records }).to_string()
    };
    append(client, batch(0, 90)).await;
    browser
        .driver
        .goto(format!("{page}/?q=service:flood&live=1&from=-15m"))
        .await
        .unwrap();
    browser.until_rows(90).await;
    browser
        .run("document.querySelectorAll('#list .row')[40].click(); scrollTo(0, 500)")
        .await;
    browser
        .run("const item = document.querySelector('#list .open'); window.seen = new Set(); window.shifts = 0; window.longest = 0;
        let before = performance.now();
        const look = (now) => { seen.add(Math.round(item.getBoundingClientRect().top)); longest = Math.max(longest, now - before); before = now; requestAnimationFrame(look); };
        requestAnimationFrame(look);
        new PerformanceObserver((list) => { shifts += list.getEntries().length; }).observe({ type: 'layout-shift' })")
        .await;
    let batches: Vec<String> = (1..=count).map(|number| batch(number, size)).collect();
    let mut clock = tokio::time::interval(every);
    let mut appending = JoinSet::new();
    let started = Instant::now();
    for batch in batches {
        clock.tick().await;
        let client = client.clone();
        appending.spawn(async move { append(&client, batch).await });
    }
    appending.join_all().await;
    let rate = (size * count) as f64 / started.elapsed().as_secs_f64();
    let told = browser
        .run("return [seen.size, shifts, longest, document.getElementById('pill').textContent]")
        .await;
    let (places, shifts, longest, waiting): (u64, u64, f64, String) = serde_json::from_value(told).unwrap();
    println!(
        "flood: {rate:.0} records a second for {:.1} s: the open record stood in {places} place(s), {shifts} layout shifts, the longest frame {longest:.0} ms; waiting: {waiting}",
        started.elapsed().as_secs_f64(),
    );
}

async fn live(browser: &Browser, page: &str, client: &Client) {
    let seconds: usize = std::env::var("BENCH_LIVE").map_or(60, |text| text.parse().expect("a number"));
    browser
        .driver
        .goto(format!("{page}/?live=1&from=-15m"))
        .await
        .unwrap();
    browser
        .until_it_is(
            "return document.getElementById('live').dataset.connection",
            json!("on"),
        )
        .await;
    let record = |number: usize| json!({ "level": "info", "message": format!("request {number} done"), "fields": { "number": number, "path": "/live" } });
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    for second in 0..=seconds {
        clock.tick().await;
        let records: Vec<Value> = (0..RATE).map(|number| record(second * RATE + number)).collect();
        append(
            client,
            json!({ "source": { "service": "flood" }, "records": records }).to_string(),
        )
        .await;
        if second % (seconds / 10).max(1) != 0 {
            continue;
        }
        browser.devtools("HeapProfiler.collectGarbage", json!({})).await;
        let heap = browser.devtools("Runtime.getHeapUsage", json!({})).await;
        let document = browser.devtools("Memory.getDOMCounters", json!({})).await;
        let rows = browser
            .run("return document.querySelectorAll('#list .row').length")
            .await;
        println!(
            "live: after {second} s of {RATE} records a second: heap {:.1} MB, {} nodes, {rows} rows",
            heap["usedSize"].as_f64().unwrap_or_default() / 1e6,
            document["nodes"],
        );
    }
}
