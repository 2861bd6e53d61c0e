//! The `log-server` binary: reads the configuration, runs the server, and turns what went wrong into an exit code.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use log_service::config::{Command, CommandLine, Config, OpenOptions};
use log_service::{Running, terminal};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that says what is told on stderr.
const LOG: &str = "LOG_SERVER_LOG";
/// `EX_CONFIG` of sysexits: supervisors need not try again.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let shown = std::env::var(LOG).unwrap_or_else(|_| "info,rpc=warn".to_owned());
    let shown: Targets = match shown.parse() {
        Ok(shown) => shown,
        Err(error) => {
            let what = format!("{LOG}={shown} is no list of levels and targets, such as `info,rpc=debug`");
            return complain(&anyhow::Error::from(error).context(what), BAD_CONFIGURATION);
        }
    };
    let printed = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(shown).with(printed).init();
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
                Command::Import(import) => log_service::import::import(import).await,
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
    log_service::run(config, stop, |running| greet(running, &data, &queue)).await
}

async fn open(options: OpenOptions) -> anyhow::Result<()> {
    let stop = stopped()?;
    log_service::open(options, stop, |page| {
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

/// The address with its passwords hidden, wherever in it they are: what is printed ends up in other people's logs.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let place = match place.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => place.to_owned(),
    };
    if options.is_empty() {
        return format!("{scheme}://{place}");
    }
    let shown = options.split('&').map(|option| match option.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}=***"),
        Some(_) | None => option.to_owned(),
    });
    format!("{scheme}://{place}?{}", shown.collect::<Vec<_>>().join("&"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str) {
        assert_eq!(without_password(url), shown);
    }

    #[test]
    fn no_password_is_shown_wherever_in_an_address_it_is() {
        check("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2");
        check("redis://user:secret@host:6379", "redis://***@host:6379");
        check(
            "unix:///run/redis.sock?db=3&password=secret",
            "unix:///run/redis.sock?db=3&password=***",
        );
        check(
            "redis+sentinel://a,b/main?sentinel_password=s@cret",
            "redis+sentinel://a,b/main?sentinel_password=***",
        );
    }
}
