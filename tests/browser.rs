//! A headless Chromium for one test, driven through chromedriver. Gone with the test.

use std::process::Stdio;

use e2e::{PATIENCE, free_port, until};
use serde_json::Value;
use tempfile::TempDir;
use thirtyfour::common::log::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;
use tokio::process::{Child, Command};

/// A browser with one window.
pub struct Browser {
    pub driver: WebDriver,
    _chromedriver: Child,
    _profile: TempDir,
}

/// Characters of the page shown when a test fails.
const LAST_SEEN: usize = 600;

impl Browser {
    /// Starts one; `width` is the window's, in pixels.
    pub async fn open(url: &str, width: u32) -> Browser {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            .kill_on_drop(true)
            .process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let chromedriver = command.spawn().expect("chromedriver is installed by `make test`");
        let profile = TempDir::new().unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            // Pictures of text without coloured edges weigh half as much.
            "--disable-lcd-text",
            &format!("--window-size={width},900"),
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities
            .set_browser_log_level(LoggingPrefsLogLevel::Severe)
            .unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let driver = until("chromedriver", async || {
            WebDriver::new(&address, capabilities.clone())
                .await
                .map_err(|error| error.to_string())
        })
        .await;
        driver.set_implicit_wait_timeout(PATIENCE).await.unwrap();
        driver.goto(url).await.unwrap();
        Browser {
            driver,
            _chromedriver: chromedriver,
            _profile: profile,
        }
    }

    /// Types a query into the box and searches it.
    pub async fn search(&self, q: &str) {
        let query = self.driver.find(By::Id("query")).await.unwrap();
        query.clear().await.unwrap();
        query.send_keys(q).await.unwrap();
        query.send_keys(Key::Enter).await.unwrap();
    }

    /// The messages in the list, from top to bottom.
    pub async fn messages(&self) -> Vec<String> {
        let script =
            "return [...document.querySelectorAll('#list .row .message')].map((row) => row.textContent)";
        serde_json::from_value(self.run(script).await).unwrap()
    }

    /// Waits until the list shows exactly these messages.
    pub async fn until_messages(&self, expected: &[&str]) {
        let what = format!("the messages {expected:?}");
        until(&what, async || {
            let found = self.messages().await;
            if found == expected {
                Ok(())
            } else {
                Err(format!("{found:?}; the page: {}", self.text().await))
            }
        })
        .await;
    }

    /// Waits until a script returns this.
    pub async fn until_it_is(&self, script: &str, expected: Value) {
        until(&format!("{script} is {expected}"), async || {
            let found = self.run(script).await;
            if found == expected {
                Ok(())
            } else {
                Err(format!("{found}; the page: {}", self.text().await))
            }
        })
        .await;
    }

    /// Waits until the query box holds this.
    pub async fn until_query(&self, expected: &str) {
        self.until_it_is("return document.getElementById('query').value", expected.into())
            .await;
    }

    /// Waits until the list has so many rows.
    pub async fn until_rows(&self, expected: usize) {
        self.until_it_is(
            "return document.querySelectorAll('#list .row').length",
            expected.into(),
        )
        .await;
    }

    /// Clicks the first button or link in `within` that has this text, or this title.
    pub async fn click(&self, within: &str, named: &str) {
        let script = format!(
            "const found = [...document.querySelectorAll('{within} :is(button, a)')].find((each) => [each.textContent, each.title].includes({named:?}));
             found?.click(); return found !== undefined"
        );
        self.until_it_is(&script, true.into()).await;
    }

    /// The beginning of the page's text.
    pub async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str()
            .unwrap_or_default()
            .chars()
            .take(LAST_SEEN)
            .collect()
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, vec![]).await.unwrap().json().clone()
    }

    /// Presses a key wherever the focus is.
    pub async fn press(&self, key: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(key).perform().await.unwrap();
    }

    /// Asks the browser's own tools for something; says what they answered.
    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap()
    }

    /// The page's address now.
    pub async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// Ends it; fails if the page has complained on its console.
    pub async fn close(self) {
        let complaints = self.driver.browser_log().await.unwrap();
        assert!(complaints.is_empty(), "on the console: {complaints:?}");
        assert_eq!(
            self.run("return window.ran ?? null").await,
            Value::Null,
            "a record's text was run"
        );
        self.driver.quit().await.unwrap();
    }
}
