//! Looking around on the page, in a real browser: time, chart, keys, looks, what a record offers, issues, losses, and
//! what is said when there is nothing to show.

use e2e::{Stack, until};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::browser::Browser;
use crate::finding::stack;

/// The half minute of the records that [`stack`] has.
const HALF_MINUTE: &str = "from=2026-07-28T12%3A00%3A00Z&to=2026-07-28T12%3A00%3A30Z";
const FOCUSED: &str = "return document.activeElement.querySelector('.message')?.textContent ?? null";

async fn at(stack: &Stack, view: &str) -> Browser {
    Browser::open(&format!("{}/{view}", stack.page), 1_440).await
}

/// The value of a parameter in the page's address.
async fn parameter(browser: &Browser, name: &str) -> Value {
    let script = format!("return new URLSearchParams(location.search).get('{name}')");
    browser.run(&script).await
}

/// Drags over the chart, from one part of its width to another; the same part twice is a click.
async fn drag(browser: &Browser, from: f64, to: f64) {
    browser
        .until_it_is(
            "return document.querySelector('#histogram rect') !== null",
            json!(true),
        )
        .await;
    let plot = browser.driver.find(By::Css("#histogram .plot")).await.unwrap();
    let width = plot.rect().await.unwrap().width;
    let offset = |part: f64| ((part - 0.5) * width) as i64;
    let moves = browser
        .driver
        .action_chain()
        .move_to_element_with_offset(&plot, offset(from), 0);
    let moves = moves
        .click_and_hold()
        .move_by_offset(offset(to) - offset(from), 0);
    moves.release().perform().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_chosen_by_preset_by_length_by_its_ends_and_widened() {
    let stack = stack().await;
    let browser = at(&stack, "?q=service:web&from=all").await;
    browser.until_rows(30).await;
    browser.run("document.getElementById('time').click()").await;
    browser.click("#presets", "Last 15 minutes").await;
    browser.until_rows(0).await;
    assert_eq!(parameter(&browser, "from").await, "-15m");

    browser.run("document.getElementById('time').click(); document.getElementById('last-count').value = 900;
        document.getElementById('last-unit').value = 'w'; document.querySelector('#last-form button').click()").await;
    browser.until_rows(30).await;
    let label = "return document.getElementById('time-label').textContent";
    assert_eq!(browser.run(label).await, "Last 900 weeks");

    browser.run("document.getElementById('utc').click(); document.getElementById('time').click();
        document.getElementById('range-from').value = '2026-07-28T12:00:10'; document.getElementById('range-to').value = '2026-07-28T12:00:20';
        document.querySelector('#range-form button').click()").await;
    browser.until_rows(10).await;
    assert_eq!(browser.run(label).await, "2026-07-28 12:00:10 – 12:00:20");
    browser.click(".tools", "A wider range").await;
    browser.until_rows(20).await;
    browser.driver.back().await.unwrap();
    browser.until_rows(10).await;
    // Half of its length, with the keys.
    browser.press("[").await;
    browser
        .until_it_is(
            "return document.querySelector('#list .message').textContent",
            json!("step 14"),
        )
        .await;
    browser.press("]").await;
    browser.press("]").await;
    browser
        .until_it_is(
            "return document.querySelector('#list .message').textContent",
            json!("step 24"),
        )
        .await;
    browser.until_rows(10).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_narrows_by_drag_click_and_keys_and_back_undoes() {
    let stack = stack().await;
    let browser = at(&stack, &format!("?q=service:web&{HALF_MINUTE}")).await;
    browser.until_rows(30).await;
    drag(&browser, 0.3, 0.7).await;
    let shown = until("fewer rows", async || match browser.messages().await.len() {
        0 | 30 => Err("all or none".to_owned()),
        found => Ok(found),
    });
    assert!((11..=14).contains(&shown.await), "{:?}", browser.messages().await);
    let (from, to) = (parameter(&browser, "from").await, parameter(&browser, "to").await);
    // A second choice replaces the first: one range, inside the other.
    drag(&browser, 0.5, 0.5).await;
    until("an even narrower range", async || {
        let found = (parameter(&browser, "from").await, parameter(&browser, "to").await);
        let inside = found.0.as_str() > from.as_str() && found.1.as_str() < to.as_str();
        if inside { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    browser.driver.back().await.unwrap();
    browser.driver.back().await.unwrap();
    browser.until_rows(30).await;

    browser.run("document.getElementById('histogram').focus()").await;
    browser.press(Key::Right).await;
    browser.press(Key::Enter).await;
    browser.until_messages(&["step 0"]).await;
    browser.driver.back().await.unwrap();
    browser.until_rows(30).await;
    browser.click("#legend", "Only error: 1").await;
    browser.until_messages(&["step 15"]).await;
    browser.until_query("service:web level:error").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_run_before_come_back_with_the_arrow_keys() {
    let stack = stack().await;
    let browser = at(&stack, "?view=records&from=all").await;
    for (query, rows) in [("service:auth", 1), ("\"step 1\"", 11)] {
        browser.search(query).await;
        browser.until_rows(rows).await;
    }
    browser.press(Key::Up).await;
    browser.until_query("service:auth").await;
    browser.press(Key::Down).await;
    browser.until_query("\"step 1\"").await;
    browser.press(Key::Up).await;
    browser.press(Key::Enter).await;
    browser.until_messages(&["verified"]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_walked_and_shaped_with_the_keys_and_the_address_keeps_it() {
    let stack = stack().await;
    let browser = at(&stack, "?q=service:web&from=all").await;
    browser.until_rows(30).await;
    for (key, expected) in [
        ("j", "step 29"),
        ("j", "step 28"),
        ("k", "step 29"),
        ("e", "step 15"),
    ] {
        browser.press(key).await;
        browser.until_it_is(FOCUSED, json!(expected)).await;
    }
    browser.press("j").await;
    browser.press("E").await;
    browser.until_it_is(FOCUSED, json!("step 15")).await;
    let letters = "return [...new Set([...document.querySelectorAll('#list .level')].map((each) => each.textContent))].sort()";
    assert_eq!(browser.run(letters).await, json!(["E", "I"]));
    assert_eq!(
        browser
            .run("return document.querySelector('#list time').title.slice(0, 19)")
            .await,
        "2026-07-28T12:00:29"
    );
    assert_eq!(
        browser
            .run("return document.querySelector('#list .pairs').textContent")
            .await,
        "user_id=2  latency_ms=none  path=\"/guide page\""
    );

    let height = "return document.querySelector('#list .row').getBoundingClientRect().height";
    let roomy = browser.run(height).await.as_f64().unwrap();
    browser.press("w").await;
    browser
        .run("document.getElementById('dense').click(); document.getElementById('bare').click()")
        .await;
    browser.driver.refresh().await.unwrap();
    browser.until_rows(30).await;
    let dense = browser.run(height).await.as_f64().unwrap();
    assert!(dense <= roomy - 3.0, "{dense} of {roomy}");
    let look = "return [...document.getElementById('list').classList].sort()";
    assert_eq!(browser.run(look).await, json!(["bare", "dense", "list", "wrap"]));
    let beside = "return getComputedStyle(document.querySelector('#list .pairs')).display";
    assert_eq!(browser.run(beside).await, "none");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_local_or_utc_and_colours_light_or_dark() {
    let stack = stack().await;
    let browser = at(&stack, "?q=%22step+15%22&from=all").await;
    let zone = json!({ "timezoneId": "Asia/Shanghai" });
    browser.devtools("Emulation.setTimezoneOverride", zone).await;
    browser.driver.refresh().await.unwrap();
    let time = "return document.querySelector('#list time')?.textContent ?? null";
    browser.until_it_is(time, json!("07-28 20:00:15.000")).await;
    browser.run("document.getElementById('utc').click()").await;
    browser.until_it_is(time, json!("07-28 12:00:15.000")).await;

    let paper = "return getComputedStyle(document.documentElement).backgroundColor";
    for (theme, colour) in [("dark", "rgb(19, 22, 27)"), ("light", "rgb(255, 255, 255)")] {
        browser
            .run(&format!(
                "document.querySelector('[data-choose-theme={theme}]').click()"
            ))
            .await;
        browser.driver.refresh().await.unwrap();
        browser.until_it_is(paper, json!(colour)).await;
    }
    browser
        .run("document.querySelector('[data-choose-theme=system]').click()")
        .await;
    for (theme, colour) in [("dark", "rgb(19, 22, 27)"), ("light", "rgb(255, 255, 255)")] {
        let system = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.devtools("Emulation.setEmulatedMedia", system).await;
        browser.until_it_is(paper, json!(colour)).await;
    }
    browser.until_it_is(time, json!("07-28 12:00:15.000")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_a_link_that_opens_it_and_is_copied_whole() {
    let stack = stack().await;
    let browser = at(&stack, "?q=%22step+7%22&from=all").await;
    browser.until_rows(1).await;
    browser.run("document.querySelector('#list .row').click();
        Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied = text; } } })").await;
    browser.click("#list .record", "Copy as JSON").await;
    browser
        .until_it_is(
            "return JSON.parse(window.copied ?? '{}').message ?? null",
            json!("step 7"),
        )
        .await;
    browser.click("#list .record", "Top values of user_id").await;
    browser
        .until_it_is(
            "return document.querySelector('#list .top-values .value-text')?.textContent ?? null",
            json!("1"),
        )
        .await;
    browser.click("#list .record", "Not user_id:1").await;
    browser.until_query("\"step 7\" -user_id:1").await;
    browser.driver.back().await.unwrap();
    browser.until_rows(1).await;
    browser
        .run("if (!document.querySelector('#list .record')) document.querySelector('#list .row').click()")
        .await;
    let link = browser
        .run("return document.querySelector('#list .record a.button').href")
        .await;
    browser.driver.goto(link.as_str().unwrap()).await.unwrap();
    let open = "return document.querySelector('#list .open.linked .message')?.textContent ?? null";
    browser.until_it_is(open, json!("step 7")).await;
    assert!(
        browser.text().await.contains("Read as \"step 7\""),
        "{}",
        browser.text().await
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_tell_how_often_since_when_and_since_which_version() {
    let stack = Stack::start().await;
    let places = json!([
        { "target": "shop::cart", "file": "src/cart.rs", "line": 41, "level": "error" },
        { "target": "shop::pay", "file": "src/pay.rs", "line": 7, "level": "error" },
    ]);
    for (version, day, callsites) in [("1.0", 1, vec![0]), ("1.1", 2, vec![0, 1, 1])] {
        let records: Vec<Value> = callsites
            .iter()
            .map(|callsite| json!({ "ts": format!("2026-07-0{day}T12:00:00Z"), "callsite": callsite, "message": format!("place {callsite} failed") }))
            .collect();
        let batch = json!({ "source": { "service": "shop", "version": version }, "callsites": places, "records": records });
        let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    }
    stack.until_count("", 4).await;
    let browser = at(&stack, "?view=issues&from=all&sort=first").await;
    let told = "return [...document.querySelectorAll('#issues .issue-list > li')].map((each) => ['.issue-title', '.badge', 'code', '.issue-count'].map((part) => each.querySelector(part)?.textContent ?? null))";
    browser
        .until_it_is(
            told,
            json!([
                ["place 1 failed", "new since shop 1.1", "src/pay.rs:7", "2"],
                ["place 0 failed", null, "src/cart.rs:41", "2"],
            ]),
        )
        .await;
    let bars = browser
        .run("return document.querySelectorAll('#issues .sparkline rect').length")
        .await;
    assert!(bars.as_u64() >= Some(2), "{bars}");
    browser.click("#issues .choices", "Last seen").await;
    browser.click("#issues", "place 1 failed").await;
    browser
        .until_messages(&["place 1 failed", "place 1 failed"])
        .await;
    browser.driver.back().await.unwrap();
    browser
        .until_it_is(
            "return document.querySelectorAll('#issues .issue-list > li').length",
            json!(2),
        )
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_a_row_and_counted_in_the_overview() {
    let stack = Stack::start().await;
    let dropped = json!([{ "level": "debug", "reason": "full", "count": 132, "from": 1785240000000000000_i64, "to": 1785240004000000000_i64 }]);
    let batch = json!({ "source": { "service": "shop", "boot": "c".repeat(32) }, "no": 1, "dropped": dropped,
        "records": [{ "seq": 0, "ts": "2026-07-28T12:00:05Z", "level": "info", "message": "after" }] });
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    stack.until_count("flags:lost", 1).await;
    let browser = at(&stack, "?q=service:shop&from=all").await;
    let lost = "return document.querySelector('#list .loss .message')?.textContent.includes('132') ?? false";
    browser.until_it_is(lost, json!(true)).await;
    assert_eq!(
        browser
            .run("return document.querySelector('#list .loss .level').textContent")
            .await,
        "×"
    );
    browser
        .driver
        .goto(format!("{}/?view=overview&from=all", stack.page))
        .await
        .unwrap();
    browser
        .click("#overview", "132 records are known to be lost.")
        .await;
    browser.until_query("flags:lost").await;
    browser.until_rows(1).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_says_why_and_what_to_do() {
    let stack = stack().await;
    let browser = at(
        &stack,
        "?q=step&from=2026-07-28T13:00:00Z&to=2026-07-28T14:00:00Z",
    )
    .await;
    browser.click("#empty", "Jump to the newest match").await;
    browser
        .until_it_is(
            "return document.querySelector('#list .message')?.textContent ?? null",
            json!("step 29"),
        )
        .await;
    browser.search("step nosuchword").await;
    browser.click("#empty", "Drop the query").await;
    browser.until_query("").await;
    browser
        .until_it_is(
            "return document.querySelectorAll('#list .row').length > 0",
            json!(true),
        )
        .await;
    browser.close().await;
}
