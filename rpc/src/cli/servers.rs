//! `rpc ping`, `rpc methods`, `rpc stats`: what the servers of a queue tell about themselves. Whichever server takes a
//! request answers it, so all of them are asked by asking often enough: Redis hands requests round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rpc::{Client, Error};
use serde_json::{Value, json};

use super::Options;
use super::failure::Failure;
use super::screen::Screen;

/// So many questions per server find them all, unless they are busy.
const QUESTIONS: usize = 4;

/// Between two pings, as people know it.
const PING_PAUSE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Queue {
    /// The queue, which is the service's name
    pub(crate) queue: String,
}

#[derive(clap::Args)]
pub(crate) struct Ping {
    /// The queue, which is the service's name
    queue: String,
    /// How often
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

pub(crate) async fn ping(options: &Options, ping: &Ping, screen: &Screen) -> Result<(), Failure> {
    let client = reach(options, &ping.queue, screen).await?.0;
    let mut times = Vec::new();
    for number in 0..ping.count {
        if number > 0 {
            tokio::time::sleep(PING_PAUSE).await;
        }
        let asked = Instant::now();
        let answer = client.call::<Value>("$rpc.ping", ()).await;
        let ms = asked.elapsed().as_secs_f64() * 1000.0;
        let answer = match answer {
            // So does a Python server answer, and it is there.
            Err(Error::UnknownMethod { .. }) => {
                json!({"server": "a server of another kind", "version": null})
            }
            answer => answer?,
        };
        times.push(ms);
        if screen.json {
            screen.object(&json!({"server": answer["server"], "version": answer["version"], "ms": ms}))?;
        } else {
            let version = answer["version"]
                .as_str()
                .map_or_else(String::new, |version| format!(" ({version})"));
            screen.line(&format!("{}{version}: {ms:.2} ms", text(&answer["server"])))?;
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    if let [least, .., most] = times[..]
        && !screen.json
    {
        let median = times[times.len() / 2];
        screen.line(&format!(
            "least {least:.2} ms, median {median:.2} ms, most {most:.2} ms"
        ))?;
    }
    Ok(())
}

pub(crate) async fn methods(
    options: &Options,
    Queue { queue }: &Queue,
    screen: &Screen,
) -> Result<(), Failure> {
    let mut methods: BTreeMap<String, (Value, usize)> = BTreeMap::new();
    for info in ask_all(options, queue, "$rpc.info", screen).await?.values() {
        for method in info["methods"].as_array().into_iter().flatten() {
            methods
                .entry(text(&method["signature"]))
                .or_insert_with(|| (method.clone(), 0))
                .1 += 1;
        }
    }
    if screen.json {
        for (method, servers) in methods.into_values() {
            let (name, signature) = (&method["name"], &method["signature"]);
            let parameters = &method["parameters"];
            screen.object(
                &json!({"name": name, "signature": signature, "parameters": parameters, "servers": servers}),
            )?;
        }
        return Ok(());
    }
    let rows: Vec<_> = methods
        .into_iter()
        .map(|(signature, (_, servers))| [signature, servers.to_string()])
        .collect();
    screen.table(["METHOD", "SERVERS"], &rows)
}

pub(crate) async fn stats(
    options: &Options,
    Queue { queue }: &Queue,
    screen: &Screen,
) -> Result<(), Failure> {
    let all = ask_all(options, queue, "$rpc.stats", screen).await?;
    if screen.json {
        return all.values().try_for_each(|stats| screen.object(stats));
    }
    let rows: Vec<_> = all
        .values()
        .map(|stats| {
            let names = [
                "server",
                "in_flight",
                "concurrency",
                "served",
                "failed",
                "refused",
                "dead_lettered",
                "requeued",
            ];
            names.map(|name| text(&stats[name]))
        })
        .collect();
    screen.table(
        [
            "SERVER", "RUNNING", "OF", "SERVED", "FAILED", "REFUSED", "DEAD", "REQUEUED",
        ],
        &rows,
    )?;
    screen.line("")?;
    let mut rows = Vec::new();
    for (server, stats) in &all {
        for (method, told) in stats["methods"].as_object().into_iter().flatten() {
            let spread = |what: &str| ["p50_ms", "p99_ms"].map(|part| milliseconds(&told[what][part]));
            let ([queued, queued_99], [running, running_99]) = (spread("queued"), spread("running"));
            let [calls, failed] = ["calls", "failed"].map(|name| text(&told[name]));
            rows.push([
                method.clone(),
                server.clone(),
                calls,
                failed,
                queued,
                queued_99,
                running,
                running_99,
            ]);
        }
    }
    rows.sort_unstable();
    let names = [
        "METHOD",
        "SERVER",
        "CALLS",
        "FAILED",
        "QUEUED ms",
        "p99",
        "RUNNING ms",
        "p99",
    ];
    screen.table(names, &rows)
}

/// The answers of as many servers as are alive, by their ids.
async fn ask_all(
    options: &Options,
    queue: &str,
    method: &str,
    screen: &Screen,
) -> Result<BTreeMap<String, Value>, Failure> {
    let (client, alive) = reach(options, queue, screen).await?;
    let mut answers = BTreeMap::new();
    let mut others = 0;
    for asked in 0..QUESTIONS * alive.max(1) {
        screen.progress(&format!(
            "asked {asked} times, {} of {alive} servers answered",
            answers.len()
        ));
        match client.call::<Value>(method, ()).await {
            Ok(answer) => drop(answers.insert(text(&answer["server"]), answer)),
            Err(Error::UnknownMethod { .. }) => others += 1,
            Err(error) => return Err(error.into()),
        }
        if answers.len() >= alive {
            break;
        }
    }
    screen.progress_over();
    if answers.is_empty() {
        return Err(Failure::NotThere(
            "only servers answered that tell nothing of themselves".to_owned(),
        ));
    }
    if answers.len() < alive {
        screen.note(&format!(
            "{} of {alive} servers answered; the others are busy",
            answers.len()
        ));
    }
    if others > 0 {
        screen.note("there are also servers that tell nothing of themselves");
    }
    Ok(answers)
}

/// A client, and how many servers show themselves.
async fn reach(options: &Options, queue: &str, screen: &Screen) -> Result<(Client, usize), Failure> {
    let overview = options.inspector(queue).await?.overview().await?;
    let alive = overview.servers.iter().filter(|server| server.alive).count();
    if alive == 0 {
        screen.note("no server shows itself; one of another kind may answer");
    }
    Ok((options.client(queue)?, alive))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn milliseconds(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"))
}
