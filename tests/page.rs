//! The search page, used as a person uses it, in a real browser.

use e2e::{PATIENCE, Stack, until};
use log_layer::Guard;
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tracing::{Dispatch, debug, error, info, warn};
use tracing_subscriber::prelude::*;

use crate::browser::Browser;
use crate::canned::HOSTILE;
use crate::views::{OPEN_ALL, harmless, see};

fn logger(stack: &Stack, service: &str) -> (Dispatch, Guard) {
    let (layer, guard) = log_layer::builder(service)
        .redis(stack.redis.url())
        .level(tracing::Level::DEBUG)
        .build();
    (Dispatch::new(tracing_subscriber::registry().with(layer)), guard)
}

fn as_service(to: &Dispatch, work: impl FnOnce()) {
    tracing::dispatcher::with_default(to, work);
}

/// Five records of two services.
async fn stack_with_records() -> (Stack, Dispatch, Guard) {
    let stack = Stack::start().await;
    let (iptv, guard) = logger(&stack, "iptv");
    as_service(&iptv, || {
        info!(user_id = 42, path = "/live", "channel opened");
        warn!(user_id = 7, latency_ms = 1_200.5, "the guide was slow");
        error!(user_id = 42, code = 503, "upstream failed");
    });
    let (auth, other) = logger(&stack, "auth");
    as_service(&auth, || {
        info!(user_id = 42, "用户登录成功");
        debug!("session verified");
    });
    tokio::task::spawn_blocking(move || other.shutdown(PATIENCE))
        .await
        .unwrap();
    stack.until_count("", 5).await;
    (stack, iptv, guard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_typed_its_rows_are_seen_and_the_address_brings_them_back() {
    let (stack, _log, _guard) = stack_with_records().await;
    let browser = Browser::open(&stack.page, 1_440).await;
    browser.search("service:iptv user_id:42").await;
    browser
        .until_messages(&["upstream failed", "channel opened"])
        .await;
    let address = browser.url().await;
    assert!(address.contains("q=service"), "{address}");
    browser.driver.refresh().await.unwrap();
    browser
        .until_messages(&["upstream failed", "channel opened"])
        .await;
    assert_eq!(
        browser.run("return document.getElementById('query').value").await,
        json!("service:iptv user_id:42")
    );

    browser.search("登录").await;
    browser.until_messages(&["用户登录成功"]).await;
    browser.driver.back().await.unwrap();
    browser
        .until_messages(&["upstream failed", "channel opened"])
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_opened_and_a_click_on_its_value_narrows_the_search() {
    let (stack, _log, _guard) = stack_with_records().await;
    let browser = Browser::open(&format!("{}/?q=slow", stack.page), 1_440).await;
    browser.until_messages(&["the guide was slow"]).await;
    browser
        .driver
        .find(By::Css("#list .row"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let record = browser.driver.find(By::Css("#list .record")).await.unwrap();
    let text = record.text().await.unwrap();
    for part in ["latency_ms", "1200.5", "user_id", "iptv", "page.rs"] {
        assert!(text.contains(part), "{part} is not in the record: {text}");
    }
    let only = "[...document.querySelectorAll('#list .record tr')].find((row) => row.textContent.includes('user_id')).querySelector('button')";
    browser.run(&format!("{only}.click()")).await;
    until("a narrowed query", async || {
        let query = browser.run("return document.getElementById('query').value").await;
        if query == json!("slow user_id:7") {
            Ok(())
        } else {
            Err(query.to_string())
        }
    })
    .await;
    browser.until_messages(&["the guide was slow"]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_shows_what_arrives_and_only_what_matches() {
    let (stack, log, _guard) = stack_with_records().await;
    let browser = Browser::open(&format!("{}/?q=live-test&live=1", stack.page), 1_440).await;
    until("a page that follows", async || {
        let pressed = browser
            .run("return document.getElementById('live').getAttribute('aria-pressed')")
            .await;
        if pressed == json!("true") {
            Ok(())
        } else {
            Err(pressed.to_string())
        }
    })
    .await;
    let mut number = 0;
    // Until the stream is open nobody follows: records are logged until one is seen.
    until("the first live record", async || {
        as_service(&log, || info!("live-test {number}"));
        number += 1;
        let seen = browser.messages().await;
        if seen.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    as_service(&log, || {
        info!("something else");
        warn!("live-test the last");
    });
    until("the last one on top", async || {
        let seen = browser.messages().await;
        if seen
            .first()
            .is_some_and(|message| message == "live-test the last")
        {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
    assert!(
        browser
            .messages()
            .await
            .iter()
            .all(|message| message.starts_with("live-test"))
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scrolling_brings_older_records_until_all_are_there() {
    let stack = Stack::start().await;
    let (log, guard) = logger(&stack, "many");
    as_service(&log, || (0..450).for_each(|number| info!("row {number}")));
    tokio::task::spawn_blocking(move || guard.shutdown(PATIENCE))
        .await
        .unwrap();
    let browser = Browser::open(&format!("{}/?q=service:many", stack.page), 1_440).await;
    let expected: Vec<String> = (0..450).rev().map(|number| format!("row {number}")).collect();
    until("all rows", async || {
        browser
            .run("window.scrollTo(0, document.body.scrollHeight)")
            .await;
        let found = browser.messages().await;
        if found.len() >= expected.len() {
            Ok(())
        } else {
            Err(format!("{} rows", found.len()))
        }
    })
    .await;
    assert_eq!(browser.messages().await, expected);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_parse_is_searched_as_text_and_says_why() {
    let (stack, log, _guard) = stack_with_records().await;
    as_service(&log, || info!("a (strange message"));
    stack.until_count("strange", 1).await;
    let browser = Browser::open(&stack.page, 1_440).await;
    browser.search("(strange").await;
    browser.until_messages(&["a (strange message"]).await;
    let reading = browser
        .driver
        .find(By::Id("reading"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(reading.to_lowercase().contains("text"), "{reading}");

    // An error says where it is, and a step that is none that it was not taken for one.
    let marked = "return document.querySelector('#reading mark') !== null";
    browser.until_it_is(marked, json!(true)).await;
    browser.search("strange | cuont by level").await;
    let told = "return document.getElementById('reading').textContent.includes('a step is one of count, top, stats')";
    browser.until_it_is(told, json!(true)).await;
    browser.click("#reading", "search it as text").await;
    let read = "return document.getElementById('reading').textContent.startsWith('Searched as the text strange | cuont by level')";
    browser.until_it_is(read, json!(true)).await;
    assert!(browser.url().await.contains("as=text"), "{}", browser.url().await);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let (stack, _log, _guard) = stack_with_records().await;
    let browser = Browser::open(&format!("{}/?view=records", stack.page), 1_440).await;
    until("rows", async || match browser.messages().await.len() {
        5 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    browser.press("/").await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        json!("query")
    );
    browser.press("level:error").await;
    browser.press(Key::Enter).await;
    browser.until_messages(&["upstream failed"]).await;
    browser.press(Key::Escape).await;
    browser.press("j").await;
    browser.press(Key::Enter).await;
    let record = browser.driver.find(By::Css("#list .record")).await.unwrap();
    assert!(record.text().await.unwrap().contains("503"));
    browser.press("?").await;
    assert_eq!(
        browser.run("return document.getElementById('help').open").await,
        json!(true)
    );
    browser.close().await;
}

/// Sends every hostile text in every place where a sender chooses it; keeps a search of that name, too.
async fn send_hostile(stack: &Stack) {
    for text in HOSTILE {
        let record = json!({ "level": "error", "message": text, "target": text, "file": text, "line": 1, "thread": text,
            "trace_id": text, "span_id": text, "fields": { text: text, "list": [text], "map": { text: text } },
            "spans": [{ "name": text, "fields": { text: text, "queued_ms": 3 } }] });
        let source = json!({ "service": text, "instance": text, "host": text, "version": text, "attrs": { text: text } });
        let batch = json!({ "source": source, "records": [record] });
        let _: Value = stack.client().call("append", (batch,)).await.unwrap();
        let alert = json!({ "threshold": 1, "above": true, "window_s": 300, "webhook": "https://127.0.0.1:9/<b>", "cooldown_s": 0, "enabled": false });
        let saved = reqwest::Client::new()
            .post(format!("{}/api/saved", stack.page))
            .json(&json!({ "name": text, "q": text, "from": "", "alert": alert }));
        let kept = saved.send().await.unwrap();
        assert_eq!(kept.status(), 200, "{:?}", kept.text().await);
    }
    stack.until_count("", HOSTILE.len() as u64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_records_are_text_in_every_view_and_nothing_of_them_runs() {
    let stack = Stack::start().await;
    send_hostile(&stack).await;
    let records = stack.all("").await;
    let browser = Browser::open(&stack.page, 390).await;
    let (mut views, all) = (Vec::new(), HOSTILE.len());
    let mut add = |parameters: &[(&str, &str)], there: String| {
        let address = reqwest::Url::parse_with_params("http://a/", parameters).unwrap();
        views.push((format!("?{}", address.query().unwrap_or_default()), there));
    };
    let every = ("from", "all");
    add(
        &[("view", "overview"), every],
        format!("#overview tbody tr:nth-child({all})"),
    );
    add(
        &[("view", "records"), every, ("fields", "1")],
        "#field-list li:nth-child(12)".to_owned(),
    );
    add(
        &[("view", "issues"), every],
        format!("#issues .issue-list > li:nth-child({all})"),
    );
    add(
        &[("view", "saved")],
        format!("#saved .saved-list li:nth-child({all})"),
    );
    for by in [
        "service", "target", "callsite", "spans", "host", "version", "thread",
    ] {
        let rows = "#result .row-bars li:nth-child(2)".to_owned();
        add(&[("q", &format!("* | count by {by}")), every], rows);
    }
    add(
        &[("q", "* | count by service, host"), every, ("chart", "table")],
        format!("#result tbody tr:nth-child({all})"),
    );
    add(
        &[("q", "* | timechart 1h count by service"), every],
        "#result .timeline path".to_owned(),
    );
    for record in &records {
        let id = record["id"].as_str().unwrap();
        add(
            &[("view", "context"), ("id", id), ("scope", "all")],
            format!("#context-list li:nth-child({all})"),
        );
        if let Some(trace) = record["trace_id"].as_str() {
            add(
                &[("view", "trace"), ("trace", trace), ("id", id)],
                "#trace .row".to_owned(),
            );
        }
    }
    for (view, there) in &views {
        see(&browser, &stack.page, view, there).await;
        browser.run(OPEN_ALL).await;
        harmless(&browser, view).await;
    }
    browser
        .driver
        .goto(format!("{}/?view=records&from=all", stack.page))
        .await
        .unwrap();
    browser.until_rows(all).await;
    browser
        .run("document.querySelectorAll('#list .row').forEach((row) => row.click())")
        .await;
    let open = "return document.querySelectorAll('#list .record').length";
    browser.until_it_is(open, json!(all)).await;
    // As often as it was sent: the message, and most of the places that an open record shows.
    let shown = "return document.getElementById('list').textContent.split('<img src=x onerror=\"window.ran=2\">').length - 1";
    let times = browser.run(shown).await.as_u64().unwrap();
    assert!(times >= 14, "{times}: {}", browser.text().await);
    harmless(&browser, "every record open").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_says_how_to_send_the_first_record() {
    let stack = Stack::start().await;
    let browser = Browser::open(&stack.page, 390).await;
    until("a word of help", async || {
        let text = browser.text().await;
        if text.contains("log_layer") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    let wide = browser
        .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
        .await;
    assert_eq!(wide, json!(false), "a phone must not scroll sideways");
    browser.close().await;
}
