//! The command `rpc`: calls methods and looks after queues, for people and for scripts.
//!
//! Promises: nothing that comes from Redis acts on the terminal; with `--json` every line of output is one JSON value;
//! the exit code says what kind of failure it was; Ctrl-C ends it, and the call that it waits for. It uses nothing but the library's public
//! interface. Reading order: this file (what there is), `failure`, `screen` and `json` (what is shown), `words` (what
//! was typed), then one file per verb: `call`, `servers`, `queue`, `dead`, `gc`.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rpc::{Address, Client, Inspector};

mod failure;
mod screen;
mod json;
mod words;
mod call;
mod servers;
mod queue;
mod dead;
mod gc;

use failure::Failure;
use screen::Screen;

/// How long Ctrl-C may take to tell servers that nobody waits any more.
const GOODBYE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = r#"Examples:
  rpc call math sum 14 3                    positional arguments, as in sum(14, 3)
  rpc call math sum x=14 y=3                keyword arguments
  rpc call users add '{"name": "Ada"}' admin=true
  rpc ping math                             is anybody there, and how far away
  rpc methods math                          what can be called
  rpc stats math                            what the servers did and how long it took
  rpc queue math                            what waits, who serves
  rpc dead list math                        what was given up
  rpc dead retry math 5f0c41d2              once more, by the beginning of its id
  rpc gc math --dry-run                     what others left behind

Exit codes:
  0    it worked
  1    the method failed, or there is no such method or dead letter
  2    the command line is wrong
  3    no reply came in time
  4    Redis cannot be reached, refuses or is full
  130  interrupted with Ctrl-C"#;

/// Calls the methods of services over Redis lists, and looks after their queues.
#[derive(Parser)]
#[command(name = "rpc", version, after_help = EXAMPLES, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args)]
struct Options {
    /// Where Redis is: redis://[user:password@]host[:port][/db], rediss:// for TLS, unix:///path,
    /// redis+sentinel://host,host/master or redis+cluster://host,host. A password is better in the
    /// environment, where the list of processes does not show it
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "RPC_REDIS_URL",
        hide_env_values = true
    )]
    #[arg(default_value = "redis://127.0.0.1:6379")]
    redis: String,
    /// How long to wait for a reply, as in 30s, 5m or 800ms
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = words::duration)]
    timeout: Duration,
    /// Write JSON, one value per line
    #[arg(long, global = true)]
    json: bool,
    /// The client, if there is one: it must outlive the call that Ctrl-C drops.
    #[arg(skip)]
    client: OnceLock<Client>,
}

#[derive(Subcommand)]
enum Verb {
    /// Call a method and print its result
    Call(call::Arguments),
    /// See whether a server answers, and how fast
    Ping(servers::Ping),
    /// List the methods that can be called
    Methods(servers::Queue),
    /// Show what the servers did since they were started, and how long it took
    Stats(servers::Queue),
    /// Show how long the queue is and who serves it
    Queue(servers::Queue),
    /// Look at requests that were given up, carry them out once more or drop them
    #[command(subcommand)]
    Dead(dead::Verb),
    /// Remove what others left behind: replies that nobody fetched, requests of dead servers
    Gc(gc::Arguments),
}

impl Options {
    fn address(&self) -> Result<Address, Failure> {
        Ok(self.redis.parse()?)
    }

    fn client(&self, queue: &str) -> Result<Client, Failure> {
        let client = Client::builder(queue)
            .redis(&self.redis)
            .timeout(self.timeout)
            .build()?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// Lets the client tell servers that what was interrupted is not waited for any more.
    async fn goodbye(&self) {
        if let Some(client) = self.client.get() {
            // It is told before this question is answered. If neither comes through, the call's deadline ends it.
            let _ = tokio::time::timeout(GOODBYE, client.queue_state()).await;
        }
    }

    /// A connection that is there, so that a wrong password or address is told at once.
    async fn inspector(&self, queue: &str) -> Result<Inspector, Failure> {
        Ok(Inspector::connect(queue, self.address()?).await?)
    }
}

async fn run(Cli { options, verb }: &Cli, screen: &Screen) -> Result<(), Failure> {
    match verb {
        Verb::Call(arguments) => call::run(options, arguments, screen).await,
        Verb::Ping(ping) => servers::ping(options, ping, screen).await,
        Verb::Methods(queue) => servers::methods(options, queue, screen).await,
        Verb::Stats(queue) => servers::stats(options, queue, screen).await,
        Verb::Queue(queue) => queue::run(options, queue, screen).await,
        Verb::Dead(verb) => dead::run(options, verb, screen).await,
        Verb::Gc(arguments) => gc::run(options, arguments, screen).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.options.json);
    let outcome = tokio::select! {
        outcome = run(&cli, &screen) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.failed(&failure);
            if let (Some(what_to_do), Ok(address)) = (failure.what_to_do(), cli.options.address()) {
                screen.note(&format!("Redis is sought at {address}; {what_to_do}"));
            }
            if matches!(failure, Failure::Interrupted) {
                cli.options.goodbye().await;
            }
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }
}
