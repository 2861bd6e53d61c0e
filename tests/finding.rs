//! Finding one's way on the page, in a real browser: what completes a query, columns, fields and their values, what
//! happened around a record, its trace, files to take away, searches to keep.

use e2e::{Process, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;

use crate::browser::Browser;

/// Thirty records of one process, a second apart, the sixteenth an error; and one of another process in its trace.
pub async fn stack() -> Stack {
    let stack = Stack::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let record = |number: u32| {
        json!({ "seq": number, "ts": format!("2026-07-28T12:00:{number:02}Z"), "level": if number == 15 { "error" } else { "info" },
            "message": format!("step {number}"), "target": "web::request", "file": "src/request.rs", "line": number,
            "fields": { "user_id": number % 3, "latency_ms": if number == 15 { json!(40) } else { json!("none") }, "path": if number.is_multiple_of(2) { "/live" } else { "/guide page" } },
            "spans": [{ "name": "request", "fields": { "method": "GET" } }],
            "trace_id": if number == 15 { trace } else { "11111111111111111111111111111111" }, "span_id": "00000000000000aa" })
    };
    let web = json!({ "source": { "service": "web", "boot": "a".repeat(32), "version": "1.2" }, "no": 1,
        "records": (0..30).map(record).collect::<Vec<_>>() });
    let auth = json!({ "source": { "service": "auth" }, "records": [
        { "ts": "2026-07-28T12:00:14.990Z", "level": "warn", "message": "verified", "trace_id": trace, "span_id": "00000000000000bb",
          "spans": [{ "name": "rpc", "fields": { "method": "verify", "queued_ms": 12.5 } }] },
    ] });
    for batch in [web, auth] {
        let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    }
    stack.until_count("", 31).await;
    stack
}

/// Opens the only record that matches.
async fn open_record(browser: &Browser, message: &str) {
    browser.until_messages(&[message]).await;
    browser.run("document.querySelector('#list .row').click()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_completed_by_names_and_values_that_are_there() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?view=records&from=all", stack.page), 1_440).await;
    let offers = "return [...document.querySelectorAll('#suggestions:not([hidden]) .offer')].map((each) => each.textContent)";
    browser.press("/").await;
    browser.press("user_").await;
    browser.until_it_is(offers, json!(["user_id"])).await;
    browser.press(Key::Down).await;
    browser.press(Key::Tab).await;
    browser.until_query("user_id:").await;
    browser
        .until_it_is(&format!("{offers}.sort()"), json!(["0", "1", "2"]))
        .await;
    browser.press("2").await;
    browser.until_it_is(offers, json!(["2"])).await;
    let chosen = "return document.getElementById(document.getElementById('query').getAttribute('aria-activedescendant'))?.textContent ?? null";
    browser.press(Key::Down).await;
    browser.until_it_is(chosen, json!("210")).await;
    browser.press(Key::Enter).await;
    browser.until_query("user_id:2 ").await;
    browser.press("pat").await;
    browser.until_it_is(offers, json!(["path"])).await;
    browser.press(Key::Down).await;
    browser.press(Key::Enter).await;
    // Narrowed by what the query says already, and quoted where it must be.
    browser
        .until_it_is(&format!("{offers}.sort()"), json!(["/guide page", "/live"]))
        .await;
    browser.press("gui").await;
    browser.until_it_is(offers, json!(["/guide page"])).await;
    browser.press(Key::Down).await;
    browser.press(Key::Enter).await;
    browser.until_query("user_id:2 path:\"/guide page\" ").await;
    browser.press(Key::Enter).await;
    browser
        .until_messages(&["step 29", "step 23", "step 17", "step 11", "step 5"])
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_chosen_moved_and_taken_away_and_the_address_keeps_them() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=%22step+15%22&from=all", stack.page), 1_440).await;
    open_record(&browser, "step 15").await;
    browser.click("#list .record", "Column user_id").await;
    browser.click("#list .record", "Column span.method").await;
    let cells = "return [...document.querySelectorAll('#list .row > :is(.service, .cell)')].map((each) => each.textContent)";
    browser.until_it_is(cells, json!(["web", "0", "GET"])).await;
    browser
        .click(".column-names", "Move span.method to the left")
        .await;
    browser.driver.refresh().await.unwrap();
    browser.until_it_is(cells, json!(["web", "GET", "0"])).await;
    browser.click(".column-names", "Remove column service").await;
    browser.until_it_is(cells, json!(["GET", "0"])).await;
    assert!(
        browser.url().await.contains("columns=span.method%2Cuser_id"),
        "{}",
        browser.url().await
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_sorted_by_a_click_and_a_chart_has_a_scale() {
    let stack = stack().await;
    let query = "?q=service:web+%7C+count+by+path,+user_id&from=all";
    let browser = Browser::open(&format!("{}/{query}", stack.page), 1_440).await;
    let column = |at: u8| {
        format!(
            "return [...document.querySelectorAll('#result tbody tr td:nth-child({at})')].map((each) => each.textContent)"
        )
    };
    browser
        .until_it_is(&format!("{}.length", column(1)), json!(6))
        .await;
    let sorted = "return [...document.querySelectorAll('#result th')].map((each) => each.ariaSort)";
    assert_eq!(browser.run(sorted).await, json!([null, null, null]));
    let name = |at: u8| format!("document.querySelector('#result th:nth-child({at}) button').click()");
    browser.run(&name(2)).await;
    browser
        .until_query("service:web | count by path, user_id | sort user_id desc")
        .await;
    browser
        .until_it_is(&column(2), json!(["2", "2", "1", "1", "0", "0"]))
        .await;
    assert_eq!(browser.run(sorted).await, json!([null, "descending", null]));
    browser.run(&name(2)).await;
    browser
        .until_it_is(&column(2), json!(["0", "0", "1", "1", "2", "2"]))
        .await;
    browser.run(&name(1)).await;
    browser
        .until_query("service:web | count by path, user_id | sort path")
        .await;
    browser.driver.back().await.unwrap();
    browser
        .until_query("service:web | count by path, user_id | sort user_id")
        .await;

    browser.search("service:web | timechart 10s count").await;
    let scale =
        "return [...document.querySelectorAll('#result .level-line')].map((each) => each.textContent)";
    browser.until_it_is(scale, json!(["5", "10"])).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_show_their_values_and_a_click_filters() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=service:web&from=all", stack.page), 1_440).await;
    browser.until_rows(30).await;
    browser.press("f").await;
    browser.press("user").await;
    let names = "return [...document.querySelectorAll('#field-list .field-name > span:first-child')].map((each) => each.textContent)";
    browser.until_it_is(names, json!(["user_id"])).await;
    browser
        .run("document.querySelector('#field-list .field-name').click()")
        .await;
    browser.click("#field-list .top-values", "Only user_id:1").await;
    browser.until_query("service:web user_id:1").await;
    browser.until_rows(10).await;
    browser.driver.back().await.unwrap();
    browser.until_query("service:web").await;
    browser.until_rows(30).await;
    // What the spans say is found there, too.
    browser.run("const box = document.getElementById('field-filter'); box.value = 'span.'; box.dispatchEvent(new Event('input'))").await;
    browser.until_it_is(names, json!(["span.method"])).await;
    browser
        .run("document.querySelector('#field-list .field-name').click()")
        .await;
    browser
        .click("#field-list .top-values", "Only span.method:GET")
        .await;
    browser.until_query("service:web span.method:GET").await;
    browser.until_rows(30).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_around_a_record_is_one_click_away() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=%22step+15%22&from=all", stack.page), 1_440).await;
    open_record(&browser, "step 15").await;
    browser.click("#list .record", "What happened around it").await;
    let rows = "return document.querySelectorAll('#context-list .row').length";
    let linked = "return document.querySelector('#context-list .linked .message')?.textContent ?? null";
    browser.until_it_is(rows, json!(30)).await;
    assert_eq!(browser.run(linked).await, json!("step 15"));
    browser.click("#context-head", "Everything").await;
    browser.until_it_is(rows, json!(31)).await;
    browser.click("#context-head", "Fewer").await;
    browser.until_it_is(rows, json!(21)).await;
    browser.driver.refresh().await.unwrap();
    browser.until_it_is(rows, json!(21)).await;
    assert_eq!(browser.run(linked).await, json!("step 15"));
    browser.click("#context-head", "Same trace").await;
    browser.until_it_is(rows, json!(2)).await;
    for _ in 0..3 {
        browser.driver.back().await.unwrap();
    }
    browser.until_it_is(rows, json!(30)).await;
    browser.click("#context-head", "Back to the search").await;
    browser.until_messages(&["step 15"]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_a_tree_over_services_with_the_wait_told_apart() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=%22step+15%22&from=all", stack.page), 1_440).await;
    open_record(&browser, "step 15").await;
    browser.click("#list .record", "Its trace").await;
    let spans = "return [...document.querySelectorAll('#trace .span')].map((each) => [...each.querySelectorAll('.span-name > :is(b, span:not(.muted))'), each.querySelector('.span-took')].map((part) => part.textContent).join(' ').trim())";
    browser
        .until_it_is(spans, json!(["web request 40 ms", "auth rpc 13 ms in the queue"]))
        .await;
    browser
        .until_it_is(
            "return [...document.querySelectorAll('#trace .row .message')].map((each) => each.textContent)",
            json!(["verified", "step 15"]),
        )
        .await;
    browser.click("#trace", "As a list of records").await;
    browser.until_messages(&["step 15", "verified"]).await;
    browser.close().await;
}

/// What one gets by clicking on a format.
async fn download(browser: &Browser, format: &str) -> Vec<u8> {
    let link = browser
        .run(&format!("return document.getElementById('export-{format}').href"))
        .await;
    let answer = reqwest::get(link.as_str().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200, "{link}");
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_matched_can_be_taken_away_as_a_file() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=service:web&from=all", stack.page), 1_440).await;
    browser.until_rows(30).await;
    for format in ["ndjson", "csv"] {
        let file = download(&browser, format).await;
        let text = String::from_utf8(file).unwrap();
        let lines = text.lines().filter(|line| line.contains("step ")).count();
        assert_eq!(lines, 30, "{format}: {text:.200}");
    }

    // The incident file is a page of its own.
    let directory = TempDir::new().unwrap();
    let incident = directory.path().join("incident.db");
    std::fs::write(&incident, download(&browser, "sqlite").await).unwrap();
    let arguments = ["open", incident.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut opened = Process::start("log-server", &arguments, &[]);
    let page = opened.told("  page      ").await;
    browser
        .driver
        .goto(format!("{page}/?q=level:error&from=all"))
        .await
        .unwrap();
    browser.until_messages(&["step 15"]).await;
    browser.search("").await;
    browser.until_rows(30).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_saved_with_an_alert_and_found_again() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?q=level:error&from=all", stack.page), 1_440).await;
    browser.until_messages(&["step 15"]).await;
    browser.run("document.getElementById('save-open').click()").await;
    browser.run("document.getElementById('save-name').value = 'Errors <b>'; document.getElementById('save-alert').click();
        document.getElementById('save-webhook').value = 'https://hooks.example.org/x'; document.getElementById('save-enabled').click();
        document.getElementById('save-preview').click()").await;
    browser
        .until_it_is(
            "return document.getElementById('save-told').textContent.startsWith('It would')",
            json!(true),
        )
        .await;
    browser.click("#save-form", "Save").await;
    browser
        .until_it_is("return document.getElementById('save').open", json!(false))
        .await;
    browser.click("#views", "Saved").await;
    browser
        .until_it_is(
            "return document.querySelector('#saved .issue-title')?.textContent ?? null",
            json!("Errors <b>"),
        )
        .await;
    let kept = stack.get("/api/saved", &[]).await;
    assert_eq!(kept["saved"][0]["alert"]["window_s"], 300, "{kept}");
    browser.click("#saved", "Errors <b>").await;
    browser.until_messages(&["step 15"]).await;
    browser.click("#views", "Saved").await;
    browser.click("#saved", "Delete").await;
    browser.click("#saved", "Really delete?").await;
    browser
        .until_it_is(
            "return document.querySelectorAll('#saved .saved-list li').length",
            json!(0),
        )
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_says_what_the_server_says_of_its_language() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?view=records&from=all", stack.page), 390).await;
    let table = stack.get("/api/language", &[]).await;
    let written: Vec<&Value> = table["table"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["written"])
        .collect();
    assert!(written.len() > 20, "{table}");
    browser.press("?").await;
    let shown = "return [...document.querySelectorAll('#language code')].map((each) => each.textContent)";
    browser.until_it_is(shown, json!(written)).await;
    browser.close().await;
}
