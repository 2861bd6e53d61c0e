//! `demo`: the whole thing at once. Starts a log server (which finds or starts a Redis), the four services and the
//! load, says which page to open, and takes all of it down again at Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Runs a log server, the example services and their users.
#[derive(Parser)]
struct Options {
    /// Directory for the log server's data
    #[arg(long, default_value = "target/demo-data")]
    data: PathBuf,
    /// Address of Redis, `auto`, or `private`
    #[arg(long, default_value = "auto")]
    redis: String,
    /// Address of the search page; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:7080")]
    listen: String,
    /// How many people use the services
    #[arg(long, default_value = "6")]
    people: String,
}

/// A private Redis may have a queue to load.
const START_LIMIT: Duration = Duration::from_secs(40);
/// Longer than the log server gives its own parts.
const STOP_LIMIT: Duration = Duration::from_secs(40);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let stop = examples::stop_signal()?;
    let mut running = Vec::new();
    let outcome = tokio::select! {
        outcome = run(&options, &mut running, &stop) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    say("stopping");
    // In the reverse of the order they were started in.
    while let Some(process) = running.pop() {
        process.stop().await;
    }
    outcome
}

/// Starts everything, then waits until something ends that should not.
async fn run(options: &Options, running: &mut Vec<Process>, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut server = Command::new(beside("log-server")?);
    server
        .arg("--data")
        .arg(&options.data)
        .args(["--redis", &options.redis, "--listen", &options.listen]);
    let (process, mut lines) = Process::start("log-server", server)?;
    running.push(process);
    let page = told(&mut lines, "  page      ")
        .await
        .context("log-server did not start")?;
    let found = told(&mut lines, "  services  LOG_LAYER_REDIS_URL=")
        .await
        .context("log-server names no Redis")?;
    // The server hides the password of an address it was given.
    let redis = if options.redis.contains("://") {
        options.redis.clone()
    } else {
        found
    };

    let mut addresses = Vec::new();
    for name in ["auth", "iptv", "webapi", "websocket"] {
        let mut service = Command::new(beside(name)?);
        service
            .env("LOG_LAYER_REDIS_URL", &redis)
            .env("LOG_LAYER_LEVEL", "debug");
        service
            .env("WEBAPI_LISTEN", "127.0.0.1:0")
            .env("WEBSOCKET_LISTEN", "127.0.0.1:0");
        // What they log stands on the page; here it would push the page's address out of sight.
        if std::env::var_os("RUST_LOG").is_none() {
            service.env("RUST_LOG", "off");
        }
        // Hashing a password takes 19 MB, and glibc would keep as much for each of many threads that ever did.
        service.env("MALLOC_ARENA_MAX", "2");
        let (process, mut lines) = Process::start(name, service)?;
        running.push(process);
        if name.starts_with("web") {
            addresses.push(
                told(&mut lines, "listening on ")
                    .await
                    .with_context(|| format!("{name} did not start"))?,
            );
        }
    }
    let mut load = Command::new(beside("load")?);
    load.args([
        "--webapi",
        &addresses[0],
        "--websocket",
        &addresses[1],
        "--people",
        &options.people,
    ]);
    load.env("LOG_LAYER_REDIS_URL", &redis).env("RUST_LOG", "off");
    running.push(Process::start("load", load)?.0);

    say(&format!(
        "\nOpen {page}\n  try   service:iptv   level>=warn   登录   \"was slow\"   latency_ms>800\n  the services:  webapi {}   websocket {}\n  their Redis:   {redis}\nCtrl-C stops everything.",
        addresses[0], addresses[1]
    ));
    loop {
        for process in running.iter_mut() {
            if let Some(status) = process.child.try_wait()? {
                // At Ctrl-C on a terminal everything may end before this is asked to.
                if stop.is_cancelled() {
                    return Ok(());
                }
                anyhow::bail!("{} ended with {status}", process.name);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a program in a process group of its own: Ctrl-C reaches the demo, which stops things in order.
    fn start(
        name: &'static str,
        mut command: Command,
    ) -> anyhow::Result<(Process, Lines<BufReader<ChildStdout>>)> {
        command
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| name.to_owned())?;
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Ok((Process { name, child }, lines))
    }

    async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        // Without a pid it has ended, and there is nothing to stop.
        let asked = pid.map(|pid| kill_process(pid, Signal::TERM));
        if matches!(asked, Some(Ok(()))) && timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            say(&format!("{} did not stop and is killed", self.name));
        }
    }
}

/// What a program says after `prefix` on a line of its own.
async fn told(lines: &mut Lines<BufReader<ChildStdout>>, prefix: &str) -> anyhow::Result<String> {
    let told = timeout(START_LIMIT, async {
        while let Some(line) = lines.next_line().await? {
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
        anyhow::bail!("it ended without saying where it listens")
    });
    told.await.context("it takes too long")?
}

/// The program of that name beside this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not built: cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}

fn say(text: &str) {
    // With stdout closed nobody listens.
    let _ = writeln!(std::io::stdout(), "{text}");
}
