//! What the page asks and draws first, and what it says while an answer takes its time, in a real browser.

use e2e::{Stack, until};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::browser::Browser;
use crate::canned::{Canned, hostile};
use crate::finding::stack;

const PROGRESS: &str = "return document.getElementById('progress').hidden";
const BUTTON: &str = "return document.getElementById('run').textContent";
const SUMMARY: &str = "return document.getElementById('summary').textContent";

#[tokio::test(flavor = "multi_thread")]
async fn what_one_sees_is_asked_and_drawn_first() {
    let stack = Stack::start().await;
    let records: Vec<Value> = (0..150)
        .map(|number| json!({ "level": "info", "message": format!("no {number}"), "fields": { "number": number } }))
        .collect();
    let batch = json!({ "source": { "service": "web" }, "records": records });
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    let browser = Browser::open(&format!("{}/?q=service:web&fields=1", stack.page), 1_440).await;
    browser.until_rows(100).await;
    browser.until_it_is(PROGRESS, json!(true)).await;
    // Rows after each change of the list.
    browser.run("performance.clearResourceTimings(); window.drawn = [];
        new MutationObserver(() => drawn.push(document.querySelectorAll('#list .row').length)).observe(document.getElementById('list'), { childList: true, subtree: true })").await;
    browser.search("service:web no").await;
    browser.until_query("service:web no").await;
    until("all rows in two steps", async || {
        let drawn = browser.run("return window.drawn").await;
        match drawn.as_array().and_then(|steps| steps.last()) {
            Some(last) if last == 100 => Ok(()),
            _ => Err(drawn.to_string()),
        }
    })
    .await;
    let (first, seen): (u64, u64) = serde_json::from_value(
        browser
            .run("return [drawn.find((rows) => rows > 0), [...document.querySelectorAll('#list .row')].filter((row) => row.getBoundingClientRect().top < innerHeight).length]")
            .await,
    )
    .unwrap();
    assert!(
        seen <= first && first < 60,
        "{first} rows at first; {seen} are seen"
    );
    let asked = "const entries = performance.getEntriesByType('resource').map(({ name, startTime, responseEnd }) => [new URL(name).pathname, startTime, responseEnd]);
        const of = (path) => entries.findLast(([name]) => name === `/api/${path}`);
        return ['histogram', 'fields'].map((path) => of('search')?.[2] <= of(path)?.[1])";
    browser.until_it_is(asked, json!([true, true])).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_search_ends_whatever_the_one_before_still_waits_for() {
    fn hanging(asked: &str, query: &str) -> Value {
        match asked {
            "histogram" | "fields" if query.contains("first") => json!(false),
            _ => hostile(asked, query),
        }
    }
    let canned = Canned::start(hanging).await;
    let browser = Browser::open(&format!("{}/?q=x&from=all&fields=1", canned.page), 1_440).await;
    browser.until_it_is(PROGRESS, json!(true)).await;
    browser
        .run(
            "window.asked = []; const plain = fetch;
            window.fetch = (url, how) => { asked.push([String(url), how.signal]); return plain(url, how); }",
        )
        .await;
    // Of that query: what is typed asks for the names of fields too.
    let ended = |query: &str| {
        format!(
            "return ['histogram', 'fields'].map((path) => asked.filter(([url]) => url.startsWith(`api/${{path}}`) && url.includes('q={query}'))
            .map(([, signal]) => signal.aborted))"
        )
    };
    let (goes_on, has_ended) = (json!([[false], [false]]), json!([[true], [true]]));
    browser.search("first").await;
    browser.until_it_is(&ended("first"), goes_on.clone()).await;
    browser.search("second").await;
    browser.until_it_is(&ended("second"), goes_on).await;
    browser.until_it_is(&ended("first"), has_ended).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_says_what_it_cost_and_one_that_hangs_can_be_cancelled() {
    fn hanging(asked: &str, query: &str) -> Value {
        match asked {
            // Never answered.
            "search" | "histogram" if query.contains("hang") => json!(false),
            _ => hostile(asked, query),
        }
    }
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=service:web&from=all", stack.page), 1_440).await;
    browser.until_rows(30).await;
    let cost = "return /^30 records · [0-9,]+ scanned · [0-9.]+ (µs|ms|s)$/.test(document.getElementById('summary').textContent)";
    browser.until_it_is(cost, json!(true)).await;
    browser.search("service:web |").await;
    let said = browser
        .run("return document.getElementById('reading').textContent")
        .await;
    assert!(!said.as_str().unwrap().is_empty(), "{said}");

    // Two clicks where one was meant are one search.
    let button = browser.driver.find(By::Id("run")).await.unwrap();
    browser
        .driver
        .action_chain()
        .double_click_element(&button)
        .perform()
        .await
        .unwrap();
    browser.until_it_is(PROGRESS, json!(true)).await;
    assert_ne!(browser.run(SUMMARY).await, "Cancelled.");

    let canned = Canned::start(hanging).await;
    browser
        .driver
        .goto(format!("{}/?q=x&from=all", canned.page))
        .await
        .unwrap();
    browser.until_rows(7).await;
    browser.until_it_is(PROGRESS, json!(true)).await;
    let faint = "return getComputedStyle(document.getElementById('records')).opacity !== '1'";
    assert_eq!(browser.run(faint).await, json!(false));
    for query in ["hang", "hang | stats count, avg latency_ms by path"] {
        browser.search(query).await;
        // It says for how long, and that what stands there is not the answer.
        browser
            .until_it_is(&format!("{BUTTON}.startsWith('Cancel · ')"), json!(true))
            .await;
        browser.until_it_is(PROGRESS, json!(false)).await;
        browser.until_it_is(faint, json!(true)).await;
        // As a finger does it: the Enter key clicks the button too, and means another search.
        let cancel = browser.driver.find(By::Id("run")).await.unwrap();
        cancel.click().await.unwrap();
        browser.until_it_is(SUMMARY, json!("Cancelled.")).await;
        browser.until_it_is(PROGRESS, json!(true)).await;
        browser.until_it_is(BUTTON, json!("Search")).await;
        // What was found before still stands.
        browser.until_it_is(faint, json!(false)).await;
        browser.until_rows(7).await;
    }
    // What the time limit cut short says so, also as a table.
    browser.search("x | count by path").await;
    let partial =
        "return document.querySelector('#summary .partial')?.textContent.startsWith(' · Partial: ') ?? false";
    browser.until_it_is(partial, json!(true)).await;
    browser
        .until_it_is(
            "return document.querySelectorAll('#result .row-bars li').length",
            json!(7),
        )
        .await;
    browser.close().await;
}
