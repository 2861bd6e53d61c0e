//! Alerts: saved searches that tell a webhook when too many records match, or too few.
//!
//! Promises: at most one notice per alert and cooldown, also over a restart; a notice carries the count, the newest
//! matching lines and a link; a webhook that does not answer costs a bounded number of attempts and no other alert its
//! time; what went wrong is kept with the alert. [`webhook`] says whom a notice may reach.

mod webhook;

use std::time::Duration;

use anyhow::Context as _;
use log_record::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::saved::{Alert, AlertState, Entry, Saved, SavedSearch};
use crate::search::{Rule, Searcher, Watched};
use crate::store::{StoredRecord, TimeRange};

use webhook::Webhooks;
pub(crate) use webhook::address as webhook_address;

/// How often alerts are looked at.
const TICK: Duration = Duration::from_secs(5);
/// A window is looked at so often in its length, but not more often than every tick: a notice about an hour may come
/// two minutes late.
const LOOKS_IN_WINDOW: u32 = 30;
/// Lines in a notice.
const LINES: usize = 20;
/// Characters of a line in a notice.
const LINE_MOST: usize = 1_000;
/// Characters of a notice's text; the strictest of the services that take one allows 2,000.
const TEXT_MOST: usize = 1_900;

/// The saved searches, and the task that looks at those that are alerts.
pub(crate) struct Alerts {
    saved: Saved,
    keeper: std::thread::JoinHandle<()>,
    watch: tokio::task::JoinHandle<()>,
}

impl Alerts {
    /// Begins to look at the alerts of the data directory, until `stop`. `page` is the address that links begin with.
    ///
    /// # Errors
    /// When what was saved cannot be read, or the machine's certificates cannot be loaded.
    pub(crate) fn start(
        config: &Config,
        searcher: Searcher,
        page: String,
        stop: CancellationToken,
    ) -> anyhow::Result<Alerts> {
        let webhooks = Webhooks::new(&config.webhook_allow).context("webhooks")?;
        let (saved, keeper) = Saved::open(&config.data)?;
        let watch = Watch {
            saved: saved.clone(),
            searcher,
            webhooks,
            page,
            notices: JoinSet::new(),
            since: Timestamp::now(),
        };
        let watch = tokio::spawn(watch.run(stop));
        Ok(Alerts { saved, keeper, watch })
    }

    /// What is kept.
    pub(crate) fn saved(&self) -> Saved {
        self.saved.clone()
    }

    /// Waits until the task ends although it was not told to, and says so.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.watch).await {
            Ok(()) => anyhow::anyhow!("the alerts ended early"),
            Err(error) => anyhow::Error::from(error).context("the alerts ended"),
        }
    }

    /// Waits for the end of the task, which was told to stop, and of the thread that writes.
    pub(crate) async fn stop(self) {
        if !self.watch.is_finished() {
            // What it ends with after being told to stop changes nothing any more.
            let _ = self.watch.await;
        }
        self.saved.close().await;
        // A panic in it was told when it happened.
        let _ = tokio::task::spawn_blocking(move || self.keeper.join()).await;
    }
}

struct Watch {
    saved: Saved,
    searcher: Searcher,
    webhooks: Webhooks,
    page: String,
    notices: JoinSet<()>,
    /// When this server began to take records.
    since: Timestamp,
}

impl Watch {
    async fn run(mut self, stop: CancellationToken) {
        let mut looks = 0;
        while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
            looks += 1;
            // Cancelled in the middle of a question, the question is cancelled with it.
            if stop.run_until_cancelled(self.look(looks)).await.is_none() {
                break;
            }
        }
        // A notice on its way is given up: its alert is kept as fired, without a word of success.
        self.notices.shutdown().await;
    }

    async fn look(&mut self, looks: u32) {
        while let Some(ended) = self.notices.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a notice ended early");
            }
        }
        for entry in self.saved.all().iter() {
            let Some(alert) = entry.search.alert.as_ref().filter(|alert| alert.enabled) else {
                continue;
            };
            if self.is_due(alert, &entry.state, looks) {
                self.judge(entry, alert).await;
            }
        }
    }

    fn is_due(&self, alert: &Alert, state: &AlertState, looks: u32) -> bool {
        let window = Duration::from_secs(alert.window_s);
        let every = u32::try_from((window / LOOKS_IN_WINDOW).as_secs() / TICK.as_secs()).unwrap_or(u32::MAX);
        if !looks.is_multiple_of(every.max(1)) {
            return false;
        }
        let now = Timestamp::now();
        // Before a whole window has passed nobody knows whether records were few or this server was away.
        if !alert.above && now.since(self.since) < window {
            return false;
        }
        let last = state
            .last_fired
            .as_deref()
            .and_then(|last| last.parse::<jiff::Timestamp>().ok());
        last.is_none_or(|last| {
            let last = i64::try_from(last.as_nanosecond()).unwrap_or(i64::MAX);
            now.since(Timestamp::from_nanos(last)) >= Duration::from_secs(alert.cooldown_s).max(TICK)
        })
    }

    async fn judge(&mut self, entry: &Entry, alert: &Alert) {
        let rule = alert.rule();
        let now = Timestamp::now();
        let range = TimeRange {
            from: now.before(rule.window),
            to: now,
        };
        let watched = match self.searcher.watch(&entry.search.q, range, LINES).await {
            Ok(watched) => watched,
            // The next look is soon; a store that has stopped says so itself.
            Err(error) => {
                return tracing::warn!(alert = entry.search.name, %error, "an alert could not be judged");
            }
        };
        if !rule.holds(watched.count) {
            return;
        }
        let fired = AlertState {
            last_fired: Some(now.to_string()),
            last_error: None,
        };
        // Kept before it is sent: a restart in between must not send it again.
        if let Err(error) = self.saved.tell(entry.id.clone(), fired.clone()).await {
            return tracing::warn!(alert = entry.search.name, %error, "an alert could not be kept as fired");
        }
        let notice = notice(&entry.search, rule, &watched, range, &self.page);
        let (webhooks, saved) = (self.webhooks.clone(), self.saved.clone());
        let (address, id, name) = (alert.webhook.clone(), entry.id.clone(), entry.search.name.clone());
        self.notices.spawn(async move {
            let Err(error) = webhooks.tell(&address, &notice).await else {
                return;
            };
            tracing::warn!(alert = name, %error, "a notice did not arrive");
            let failed = AlertState {
                last_error: Some(error.to_string()),
                ..fired
            };
            // It was deleted meanwhile: then nobody wants to know.
            let _ = saved.tell(id, failed).await;
        });
    }
}

impl Alert {
    /// When there is something to tell.
    pub fn rule(&self) -> Rule {
        Rule {
            threshold: self.threshold,
            above: self.above,
            window: Duration::from_secs(self.window_s),
        }
    }
}

/// What the webhook gets. `text` is what Slack, Mattermost and their like show, `content` what Discord does.
fn notice(search: &SavedSearch, rule: Rule, watched: &Watched, range: TimeRange, page: &str) -> Value {
    let Watched { count, newest } = watched;
    let link = link(page, &search.q, range);
    let than = if rule.above { "more" } else { "fewer" };
    let head = format!(
        "{}: {count} records in {:?} ({than} than {})\n{link}",
        search.name, rule.window, rule.threshold
    );
    let lines = newest.iter().map(|record| {
        format!(
            "{} {} {}",
            record.record.time,
            record.record.level(),
            line(record)
        )
    });
    let text = cut(&lines.fold(head, |text, line| text + "\n" + &line), TEXT_MOST);
    json!({
        "text": text,
        "content": text,
        "alert": search.name,
        "query": search.q,
        "count": count,
        "threshold": rule.threshold,
        "above": rule.above,
        "window_s": rule.window.as_secs(),
        "from": range.from.to_string(),
        "to": range.to.to_string(),
        "link": link,
        "records": newest.iter().map(shown).collect::<Vec<_>>(),
    })
}

fn shown(record: &StoredRecord) -> Value {
    json!({
        "id": record.id.to_string(),
        "time": record.record.time.to_string(),
        "level": record.record.level().as_str(),
        "service": record.source.service,
        "message": line(record),
        "trace_id": record.record.trace_id,
    })
}

fn line(record: &StoredRecord) -> String {
    cut(&record.record.message, LINE_MOST)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn link(page: &str, q: &str, range: TimeRange) -> String {
    let mut link = url::Url::parse(page).expect("the page's address is made of a socket's");
    let times = [("from", range.from.to_string()), ("to", range.to.to_string())];
    link.query_pairs_mut().append_pair("q", q).extend_pairs(times);
    link.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_and_where_to_look() {
        let search = SavedSearch {
            name: "logins".into(),
            q: "a&b=\"c d\"".into(),
            from: String::new(),
            alert: None,
        };
        let rule = Rule {
            threshold: 10,
            above: true,
            window: Duration::from_secs(300),
        };
        let watched = Watched {
            count: 31,
            newest: Vec::new(),
        };
        let range = TimeRange {
            from: Timestamp::from_nanos(0),
            to: Timestamp::from_nanos(300_000_000_000),
        };
        let notice = notice(&search, rule, &watched, range, "http://127.0.0.1:7080");
        assert_eq!(
            notice["text"],
            "logins: 31 records in 300s (more than 10)\nhttp://127.0.0.1:7080/?q=a%26b%3D%22c+d%22&from=1970-01-01T00%3A00%3A00.000000000Z&to=1970-01-01T00%3A05%3A00.000000000Z"
        );
        assert_eq!((&notice["count"], &notice["window_s"]), (&json!(31), &json!(300)));
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(cut("登录失败", 2), "登录…");
        assert_eq!(cut("abc", 3), "abc");
    }
}
