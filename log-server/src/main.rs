//! The `log-server` binary: reads the configuration, runs the server, and turns what went wrong into an exit code.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use log_server::config::{Command, CommandLine, Config, OpenOptions};
use log_server::{Running, terminal};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// `EX_CONFIG` of sysexits: supervisors need not try again.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let filter =
        EnvFilter::try_from_env("LOG_SERVER_LOG").unwrap_or_else(|_| EnvFilter::new("info,rpc=warn"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .init();
    let command = match line.command() {
        Ok(command) => command,
        Err(error) => return complain(&error.into(), BAD_CONFIGURATION),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("log-server")
        .build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Serve(config) => serve(config).await,
                Command::Query(query) => terminal::query(query).await,
                Command::Tail(tail) => terminal::tail(tail).await,
                Command::Sql(sql) => terminal::sql(sql).await,
                Command::Export(export) => terminal::export(export).await,
                Command::Import(import) => log_server::import::import(import).await,
                Command::Open(options) => open(options).await,
                Command::Token(token) => terminal::token(&token),
                Command::Completions(shell) => terminal::completions(&shell),
                Command::Check(check) => terminal::check(&check),
                Command::Backup(backup) => terminal::backup(&backup),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let (data, queue) = (config.data.display().to_string(), config.queue.clone());
    let stop = stopped()?;
    log_server::run(config, stop, |running| greet(running, &data, &queue)).await
}

async fn open(options: OpenOptions) -> anyhow::Result<()> {
    let stop = stopped()?;
    log_server::open(options, stop, |page| {
        // Nobody may be reading; that is no reason to stop.
        let _ = writeln!(std::io::stdout(), "  page      {page}\nCtrl-C ends it.");
    })
    .await
}

/// Tells how to use what has just been started.
fn greet(running: &Running, data: &str, queue: &str) {
    let Running {
        page,
        redis,
        redis_origin,
    } = running;
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason to stop.
    let _ = writeln!(
        out,
        "log-server {}\n  page      {page}\n  redis     {} ({redis_origin}), queue {queue}\n  services  \
         LOG_LAYER_REDIS_URL={}\n  data      {data}\nCtrl-C stops it.",
        env!("CARGO_PKG_VERSION"),
        without_password(redis),
        without_password(redis),
    );
    let _ = out.flush();
}

/// The address with its password hidden: what is printed ends up in other people's logs.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => url.to_owned(),
    }
}

/// Resolves at the first Ctrl-C or SIGTERM; a second one ends the process at once.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; once more stops at once");
        tokio::spawn(async move {
            interrupt.recv().await;
            std::process::exit(130);
        });
    })
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // With stderr closed there is nowhere left to say it.
    let _ = writeln!(std::io::stderr(), "log-server: {error:#}");
    ExitCode::from(code)
}
