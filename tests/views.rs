//! Every view of the page, in a real browser, over made-up answers: hostile text stays text, people who do not see well
//! or use no mouse can read and work it, and no width makes it scroll sideways.

use std::path::{Path, PathBuf};

use e2e::until;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::canned::{Canned, HOSTILE, hostile};

/// Each view, and what has to be there before it is looked at.
const VIEWS: [(&str, &str); 10] = [
    ("?view=overview&from=all", "#overview .issue-list li:nth-child(6)"),
    ("?q=x&from=all&fields=1", "#field-list li:nth-child(12)"),
    (
        "?q=x&from=all&columns=service,list,span.%3Cimg%3E",
        "#list li:nth-child(7)",
    ),
    ("?view=context&id=3", "#context-list li:nth-child(7)"),
    ("?view=trace&trace=x&id=3", "#trace .row"),
    ("?view=issues&from=all", "#issues .issue-list li:nth-child(7)"),
    ("?view=saved", "#saved .saved-list li:nth-child(7)"),
    ("?q=x+%7C+timechart&from=all", "#result .timeline"),
    ("?q=x+%7C+count&from=all", "#result .row-bars li:nth-child(7)"),
    (
        "?q=x+%7C+count&from=all&chart=table",
        "#result tbody tr:nth-child(7)",
    ),
];

/// Opens everything that can be opened, and the help.
pub const OPEN_ALL: &str = "document.querySelectorAll('main section:not([hidden]) .row, #field-list .field-name').forEach((each) => each.click());
    document.querySelectorAll('.record .top').forEach((each) => each.click());
    document.getElementById('help-open').click();";

/// Goes to a view and waits until `there` is there.
pub async fn see(browser: &Browser, page: &str, view: &str, there: &str) {
    browser.driver.goto(format!("{page}/{view}")).await.unwrap();
    let script = format!("return document.querySelector('{there}') !== null");
    until(&format!("{there} in {view}"), async || {
        match browser.run(&script).await {
            Value::Bool(true) => Ok(()),
            _ => Err(browser.text().await),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_text_in_every_view() {
    let canned = Canned::start(hostile).await;
    let browser = Browser::open(&canned.page, 1_440).await;
    for (view, there) in VIEWS {
        see(&browser, &canned.page, view, there).await;
        browser.run(OPEN_ALL).await;
        until(&format!("the help in {view}"), async || {
            match browser
                .run("return document.querySelectorAll('#language tr').length")
                .await
            {
                Value::Number(rows) if rows.as_u64() == Some(HOSTILE.len() as u64) => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
        harmless(&browser, view).await;
    }
    browser.close().await;
}

/// Fails if what is shown made an element, ran, or has a character that hides. What the content security policy stopped
/// is a complaint on the console, for which [`Browser::close`] looks.
pub async fn harmless(browser: &Browser, view: &str) {
    let made = "return document.querySelectorAll('script:not([src]), main img, main script, dialog img, main [onload], main [onerror], a[href^=\"javascript\"]').length";
    assert_eq!(browser.run(made).await, json!(0), "{view}");
    let ran = browser.run("return window.ran ?? null").await;
    assert_eq!(ran, Value::Null, "{view}");
    let raw = "return /[\\u001b\\u009b\\u0007\\u202e\\u2066\\u200b\\u2028\\u0085]/.test(document.body.textContent + document.title)";
    assert_eq!(
        browser.run(raw).await,
        json!(false),
        "{view} shows a character that hides"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_are_text_where_they_are_offered() {
    let canned = Canned::start(hostile).await;
    let browser = Browser::open(&format!("{}/?view=records&from=all", canned.page), 1_440).await;
    for typed in ["<", "service:", "x | count by <"] {
        browser.run("document.getElementById('query').value = ''").await;
        browser.press("/").await;
        browser.press(typed).await;
        until(&format!("what completes {typed:?}"), async || {
            match browser
                .run("return document.querySelectorAll('#suggestions:not([hidden]) li').length")
                .await
            {
                Value::Number(offers) if offers.as_u64() > Some(0) => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
        assert_eq!(
            browser
                .run("return document.querySelectorAll('#suggestions img, #suggestions svg').length")
                .await,
            json!(0)
        );
        browser.run("document.getElementById('query').blur()").await;
    }
    browser.close().await;
}

/// Installed by `tests/install.sh test`.
fn axe() -> String {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make test` installs it", path.display()))
}

/// Fails with what axe complains of.
async fn accessible(browser: &Browser, axe: &str, what: &str) {
    browser.run(axe).await;
    let found = "return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then((found) =>
        found.violations.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.target + ' ' + node.failureSummary).join(' | ')}`))";
    assert_eq!(browser.run(found).await, json!([]), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_accessible_in_light_and_dark_on_a_desk_and_on_a_phone() {
    let canned = Canned::start(hostile).await;
    let axe = axe();
    for width in [1_440, 390] {
        let browser = Browser::open(&canned.page, width).await;
        for theme in ["light", "dark"] {
            browser
                .run(&format!("localStorage.setItem('log-page.theme', '{theme}')"))
                .await;
            for (view, there) in VIEWS {
                see(&browser, &canned.page, view, there).await;
                let row = "document.querySelector('main section:not([hidden]) .row')?.click();";
                browser.run(row).await;
                accessible(&browser, &axe, &format!("{view} at {width} px in the {theme}")).await;
                let sideways =
                    "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
                assert_eq!(
                    browser.run(sideways).await,
                    json!(false),
                    "{view} scrolls sideways at {width} px"
                );
            }
            for opener in ["help-open", "save-open", "time", "view", "export"] {
                see(&browser, &canned.page, "?q=x&from=all", "#list li:nth-child(7)").await;
                browser
                    .run(&format!("document.getElementById('{opener}').click()"))
                    .await;
                accessible(&browser, &axe, &format!("{opener} at {width} px in the {theme}")).await;
            }
        }
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_tells_no_more_the_page_shows_the_records() {
    fn old(asked: &str, query: &str) -> Value {
        match asked {
            "stats" | "issues" | "language" | "saved" => Value::Null,
            _ => hostile(asked, query),
        }
    }
    let canned = Canned::start(old).await;
    let browser = Browser::open(&canned.page, 1_440).await;
    until("the records instead of an overview", async || {
        match browser.messages().await.len() {
            7 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    see(&browser, &canned.page, "?view=saved", "#saved .empty").await;
    // A browser tells its console of every answer that is an error; these four are meant.
    let complaints = browser.driver.browser_log().await.unwrap();
    assert!(
        complaints.iter().all(|entry| entry.message.contains("404")),
        "{complaints:?}"
    );
    browser.close().await;
}
