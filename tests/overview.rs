//! What one sees first, in a real browser: who logs how much, what is wrong, what is missing.

use e2e::Stack;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::canned::{Canned, hostile};
use crate::finding::stack;

const SERVICES: &str =
    "return [...document.querySelectorAll('#overview .services tbody th')].map((each) => each.textContent)";

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_issue_is_on_top_however_rare_it_is() {
    let stack = Stack::start().await;
    let places: Vec<Value> = (0..9)
        .map(|line| json!({ "target": "shop", "file": "src/shop.rs", "line": line, "level": "error" }))
        .collect();
    // Eight that happen all the time, and then one that happened once.
    let often = (0..24).map(|number| (number % 8, 1));
    let records: Vec<Value> = often
        .chain([(8, 2)])
        .map(|(place, day)| json!({ "ts": format!("2026-07-0{day}T12:00:00Z"), "callsite": place, "message": format!("place {place} failed") }))
        .collect();
    let batch = json!({ "source": { "service": "shop" }, "callsites": places, "records": records });
    let _: Value = stack.client().call("append", (batch,)).await.unwrap();
    stack.until_count("", 25).await;
    let browser = Browser::open(&format!("{}/?view=overview&from=all", stack.page), 1_440).await;
    let titles =
        "return [...document.querySelectorAll('#overview .issue-title')].map((each) => each.textContent)";
    browser.until_it_is(&format!("{titles}.length"), json!(6)).await;
    assert_eq!(browser.run(&format!("{titles}[0]")).await, "place 8 failed");
    browser.click("#overview", "all 9").await;
    browser
        .until_it_is(
            "return document.querySelectorAll('#issues .issue-title').length",
            json!(9),
        )
        .await;
    let first = "return document.querySelector('#issues .issue-title').textContent";
    assert_eq!(browser.run(first).await, "place 8 failed");
    browser.click("#issues .choices", "Most frequent").await;
    browser
        .until_it_is(&format!("{first} !== 'place 8 failed'"), json!(true))
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_nothing_of_it_is_cut() {
    let stack = stack().await;
    let browser = Browser::open(&format!("{}/?view=overview&from=all", stack.page), 390).await;
    browser.until_it_is(SERVICES, json!(["web", "auth"])).await;
    let cut = "return [...document.querySelectorAll('#overview .grid-scroll')].filter((each) => each.scrollWidth > each.clientWidth).length";
    assert_eq!(browser.run(cut).await, json!(0));
    let columns = "return [...document.querySelectorAll('.services thead th')].filter((each) => each.offsetWidth > 0).map((each) => each.textContent)";
    let expected = ["Service", "A minute", "Errors", "Lost", "Last seen"];
    assert_eq!(browser.run(columns).await, json!(expected));

    // The fields are a drawer as high as the screen.
    browser
        .driver
        .goto(format!("{}/?view=records&from=all&fields=1", stack.page))
        .await
        .unwrap();
    let high = "const { top, height } = document.getElementById('fields').getBoundingClientRect(); return top === 0 && height === innerHeight";
    browser.until_it_is(high, json!(true)).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_time_limit_cut_short_is_not_taken_for_nothing() {
    fn late(asked: &str, query: &str) -> Value {
        let mut answer = hostile(asked, query);
        if asked == "stats" {
            answer["store"] =
                json!({ "records": 0, "bytes": 49_000, "oldest": null, "newest": null, "partitions": 1 });
            answer["partial"] = json!("the time limit was reached");
        }
        answer
    }
    let canned = Canned::start(late).await;
    let browser = Browser::open(&format!("{}/?view=overview&from=all", canned.page), 1_440).await;
    browser
        .until_it_is(
            "return document.querySelectorAll('#overview .services tbody tr').length",
            json!(7),
        )
        .await;
    let told = "return document.querySelector('#overview .partial').textContent";
    assert_eq!(browser.run(told).await, "Partial: the time limit was reached. ");
    browser.close().await;
}
