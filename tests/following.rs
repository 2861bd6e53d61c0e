//! Following new records on the page, in a real browser: nothing twice, nothing left out unsaid, and nothing moves under
//! the eyes of who reads.

use e2e::{Stack, until};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::canned::{Canned, hostile};

const CONNECTED: &str = "return document.getElementById('live').dataset.connection";

/// Stores records of a service, all of this moment, whose messages are these numbers.
async fn append(stack: &Stack, service: &str, numbers: std::ops::Range<u32>) {
    let records: Vec<Value> = numbers
        .map(|number| json!({ "level": "info", "message": format!("no {number}"), "fields": { "number": number } }))
        .collect();
    let batch = json!({ "source": { "service": service }, "records": records });
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
}

/// The messages of these numbers, newest first.
fn messages(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.rev().map(|number| format!("no {number}")).collect()
}

async fn until_exactly(browser: &Browser, numbers: std::ops::Range<u32>) {
    let expected = messages(numbers);
    until(&format!("{} rows in their order", expected.len()), async || {
        let found = browser.messages().await;
        if found == expected {
            Ok(())
        } else {
            Err(format!("{} rows: {found:.200?}", found.len()))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_follow_beside_each_other() {
    let stack = Stack::start().await;
    append(&stack, "web", 0..3).await;
    let page = format!("{}/?q=service:web&live=1", stack.page);
    let browser = Browser::open(&page, 1_440).await;
    browser.until_it_is(CONNECTED, json!("on")).await;
    let first = browser.driver.window().await.unwrap();
    let second = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(second.clone()).await.unwrap();
    browser.driver.goto(&page).await.unwrap();
    browser.until_it_is(CONNECTED, json!("on")).await;
    for step in 1..5 {
        append(&stack, "web", step * 3..step * 3 + 3).await;
    }
    until_exactly(&browser, 0..15).await;
    browser.driver.switch_to_window(first).await.unwrap();
    until_exactly(&browser, 0..15).await;
    append(&stack, "web", 15..20).await;
    until_exactly(&browser, 0..20).await;
    browser.driver.switch_to_window(second).await.unwrap();
    until_exactly(&browser, 0..20).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_followed_on_without_a_hole_or_a_repeat() {
    let mut stack = Stack::start().await;
    append(&stack, "web", 0..5).await;
    let browser = Browser::open(&format!("{}/?q=service:web&live=1", stack.page), 1_440).await;
    browser.until_it_is(CONNECTED, json!("on")).await;
    append(&stack, "web", 5..10).await;
    until_exactly(&browser, 0..10).await;
    let mut end = 10;
    for _ in 0..3 {
        stack.server.kill().await;
        browser.until_it_is(CONNECTED, json!("lost")).await;
        stack.restart_server().await;
        // Stored before the page is back, and after.
        append(&stack, "web", end..end + 5).await;
        until_exactly(&browser, 0..end + 5).await;
        append(&stack, "web", end + 5..end + 10).await;
        until_exactly(&browser, 0..end + 10).await;
        end += 10;
    }
    // A browser tells its console of every connection that was refused; these are meant.
    let complaints = browser.driver.browser_log().await.unwrap();
    assert!(
        complaints.iter().all(|entry| entry.message.contains("net::ERR_")),
        "{complaints:?}"
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_do_not_move_the_page_of_who_reads() {
    let stack = Stack::start().await;
    append(&stack, "web", 0..90).await;
    let browser = Browser::open(&format!("{}/?q=service:web&live=1", stack.page), 1_440).await;
    browser.until_it_is(CONNECTED, json!("on")).await;
    browser.until_rows(90).await;
    browser
        .run("document.querySelectorAll('#list .row')[40].click(); scrollTo(0, 500)")
        .await;
    // Where the open record stands on the screen, and every movement of it.
    browser.run("const item = document.querySelector('#list .open'); window.seen = new Set();
        const look = () => { window.seen.add(Math.round(item.getBoundingClientRect().top)); requestAnimationFrame(look); }; look();
        new PerformanceObserver((list) => { window.shifts = (window.shifts ?? 0) + list.getEntries().length; }).observe({ type: 'layout-shift' })").await;
    let batches =
        (0..20).map(|batch| append(&stack, "web", 1_000 + batch * 5_000..1_000 + (batch + 1) * 5_000));
    futures_util::future::join_all(batches).await;
    let waiting = "return Number(document.getElementById('pill').textContent.replace(/[^0-9]/g, '')) > 1000 && !document.getElementById('pill').hidden";
    browser.until_it_is(waiting, json!(true)).await;
    stack.until_count("service:web", 100_090).await;
    assert_eq!(
        browser
            .run("return [window.seen.size, window.shifts ?? 0, scrollY]")
            .await,
        json!([1, 0, 500])
    );
    assert_eq!(
        browser
            .run("return document.querySelectorAll('#list .row').length")
            .await,
        json!(90)
    );

    browser.run("document.getElementById('pill').click()").await;
    let rows =
        "const rows = document.querySelectorAll('#list .row').length; return rows > 90 && rows <= 2000";
    browser.until_it_is(rows, json!(true)).await;
    // Few that come are tinted for a moment; so many are not.
    let tinted = "return document.querySelectorAll('#list .fresh').length";
    assert_eq!(browser.run(tinted).await, json!(0));
    // What could not be shown is said.
    let gap = "return document.querySelector('#list .gap')?.textContent.includes('faster than this page reads') ?? false";
    browser.until_it_is(gap, json!(true)).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_text_holds_new_records_back_until_asked_for() {
    let stack = Stack::start().await;
    append(&stack, "web", 0..3).await;
    let browser = Browser::open(&format!("{}/?q=service:web&live=1", stack.page), 1_440).await;
    browser.until_it_is(CONNECTED, json!("on")).await;
    browser.until_rows(3).await;
    browser
        .run("getSelection().selectAllChildren(document.querySelector('#list .message'))")
        .await;
    append(&stack, "web", 3..5).await;
    browser
        .until_it_is(
            "const { hidden, textContent } = document.getElementById('pill'); return [hidden, textContent]",
            json!([false, "↑ 2 new"]),
        )
        .await;
    until_exactly(&browser, 0..3).await;
    browser.run("document.getElementById('pill').click()").await;
    until_exactly(&browser, 0..5).await;
    let tinted = "return document.querySelectorAll('#list .fresh').length";
    assert_eq!(browser.run(tinted).await, json!(2));
    browser.press(".").await;
    browser.until_it_is(CONNECTED, json!("off")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_left_out_is_a_row() {
    fn gapped(asked: &str, query: &str) -> Value {
        match asked {
            "tail" => json!("retry: 600000\nevent: gap\ndata: {\"skipped\": 1200}\n\n"),
            _ => hostile(asked, query),
        }
    }
    let canned = Canned::start(gapped).await;
    let browser = Browser::open(&format!("{}/?q=x&from=all&live=1", canned.page), 390).await;
    let gap = "return document.querySelector('#list .gap')?.textContent ?? null";
    browser.until_it_is(gap, json!("1,200 records are not shown here: they came faster than this page reads. A search finds them.")).await;
    browser.close().await;
}
