//! The same questions to both, over HTTP, by turns. What each found is compared: a fast answer must be the right one.
//!
//! The words are such that a substring without case (what we look for) and a word with case (what VictoriaLogs looks
//! for, which is what it is fastest at) are in the same records; where there is no such word, it is asked for a
//! substring too.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{ours, victoria};

enum Kind {
    /// The newest hundred.
    Newest,
    /// Records per level, over time.
    Levels,
    /// A table with counts.
    Table,
}
use Kind::{Levels, Newest, Table};

struct Question {
    name: &'static str,
    kind: Kind,
    ours: String,
    theirs: String,
}

fn question(name: &'static str, kind: Kind, ours: &str, theirs: &str) -> Question {
    let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
    Question {
        name,
        kind,
        ours,
        theirs,
    }
}

fn questions(trace: &str) -> Vec<Question> {
    vec![
        question("Q1 newest 100", Newest, "", "*"),
        question("Q2 rare word", Newest, "message:zebrafinch", "zebrafinch"),
        question("Q3 common word", Newest, "message:payment", "payment"),
        question(
            "Q4 two words and level",
            Newest,
            "message:payment message:declined level:warn",
            "payment declined level:=WARN",
        ),
        question("Q5 substring", Newest, "message:rd_9f3", "~\"rd_9f3\""),
        question(
            "Q6 trace id",
            Newest,
            &format!("trace:{trace}"),
            &format!("trace_id:={trace}"),
        ),
        question(
            "Q7 number and service",
            Newest,
            "latency_ms>950 service:payment",
            "fields.latency_ms:>950 service:=payment",
        ),
        question("Q8 levels, all", Levels, "", "*"),
        question("Q9 levels, word", Levels, "message:payment", "payment"),
        question(
            "Q10 regex",
            Newest,
            "message:/port \\d+77\\b/",
            "~\"port \\\\d+77\\\\b\"",
        ),
        question(
            "Q11 top 10 of a field",
            Table,
            "path:* | top 10 path",
            "fields.path:* | top 10 by (fields.path)",
        ),
        question(
            "Q12 count substring",
            Table,
            "message:rd_9f | stats count",
            "~\"rd_9f\" | count() hits",
        ),
        question("Q13 Chinese", Newest, "message:退款", "~\"退款\""),
    ]
}

/// Asks everything so often, and shows the medians.
pub async fn ask(ours: &ours::Server, theirs: Option<&victoria::Server>, rounds: usize) {
    let parameters = [("q", "message:payment message:declined"), ("limit", "100")];
    let found = json(&ours.ask("/api/search", &parameters).await);
    let trace = found["records"]
        .as_array()
        .and_then(|records| records.last()?["trace_id"].as_str());
    let Some(trace) = trace else {
        println!("these records are not the generator's: no questions");
        return;
    };
    println!(
        "{:24} {:>9} {:>13} {:>6}  found",
        "ms", "ours", "VictoriaLogs", "ratio"
    );
    let mut logarithms = Vec::new();
    for question in questions(trace) {
        let step = question.found_by_ours(ours).await.1;
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for _ in 0..=rounds {
            our_times.push(question.ask_ours(ours).await.0);
            if let Some(theirs) = theirs {
                their_times.push(question.ask_theirs(theirs, step).await.0);
            }
        }
        let our_time = median(our_times);
        let found = question.found_by_ours(ours).await.0;
        let Some(theirs) = theirs else {
            println!(
                "{:24} {our_time:>9.2} {:>13} {:>6}  {found}",
                question.name, "", ""
            );
            continue;
        };
        let their_time = median(their_times);
        let ratio = our_time / their_time;
        logarithms.push(ratio.ln());
        let theirs = question.found_by_theirs(theirs, step).await;
        let agrees = if theirs == found {
            String::new()
        } else {
            format!(", VictoriaLogs {theirs}")
        };
        println!(
            "{:24} {our_time:>9.2} {their_time:>13.2} {ratio:>6.3}  {found}{agrees}",
            question.name
        );
    }
    if !logarithms.is_empty() {
        let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
        println!("{:24} {:>9} {:>13} {mean:>6.3}", "geometric mean", "", "");
    }
}

impl Question {
    async fn ask_ours(&self, server: &ours::Server) -> (f64, Value) {
        let (path, parameter) = match self.kind {
            Newest | Table => ("/api/search", ("limit", "100")),
            Levels => ("/api/histogram", ("buckets", "60")),
        };
        let began = Instant::now();
        let answer = server.ask(path, &[("q", &self.ours), parameter]).await;
        (milliseconds(began.elapsed()), json(&answer))
    }

    async fn ask_theirs(&self, server: &victoria::Server, step: f64) -> (f64, String) {
        let step = format!("{step}ms");
        let began = Instant::now();
        let query = ("query", &*self.theirs);
        let answer = match self.kind {
            Newest => {
                server
                    .ask("/select/logsql/query", &[query, ("limit", "100")])
                    .await
            }
            Table => server.ask("/select/logsql/query", &[query]).await,
            Levels => {
                let parameters = [query, ("step", &*step), ("field", "level")];
                server.ask("/select/logsql/hits", &parameters).await
            }
        };
        (milliseconds(began.elapsed()), answer)
    }

    /// How many records match, and the step of the histogram.
    async fn found_by_ours(&self, server: &ours::Server) -> (u64, f64) {
        let (_, answer) = self.ask_ours(server).await;
        assert_eq!(answer["partial"], Value::Null, "{}: {answer}", self.name);
        match self.kind {
            Newest => {
                let counted = json(&server.ask("/api/histogram", &[("q", &self.ours)]).await);
                let total = counted["total"].as_u64().unwrap();
                let shown = answer["records"].as_array().unwrap().len() as u64;
                assert_eq!(shown, total.min(100), "{}", self.name);
                (total, 0.0)
            }
            Levels => (
                answer["total"].as_u64().unwrap(),
                answer["step_ms"].as_f64().unwrap(),
            ),
            Table => {
                let rows = answer["rows"].as_array().unwrap().iter();
                (
                    rows.map(|row| whole(row.as_array().unwrap().last().unwrap()))
                        .sum(),
                    0.0,
                )
            }
        }
    }

    async fn found_by_theirs(&self, server: &victoria::Server, step: f64) -> u64 {
        match self.kind {
            Newest => {
                let query = format!("{} | count() hits", self.theirs);
                rows_total(&server.ask("/select/logsql/query", &[("query", &query)]).await)
            }
            Table => rows_total(&self.ask_theirs(server, step).await.1),
            Levels => {
                let answer = json(&self.ask_theirs(server, step).await.1);
                answer["hits"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|hits| whole(&hits["total"]))
                    .sum()
            }
        }
    }
}

fn rows_total(lines: &str) -> u64 {
    lines.lines().map(|line| whole(&json(line)["hits"])).sum()
}

/// A number, be it written as text.
fn whole(value: &Value) -> u64 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("{value} is no count"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Of all but the first, which warms up.
fn median(mut times: Vec<f64>) -> f64 {
    times.remove(0);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
