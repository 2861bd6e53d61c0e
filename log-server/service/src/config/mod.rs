//! What can be configured: flags over environment over file over defaults.
//!
//! Every option of the server is one line of [`Options`]; the README's table is checked against it by a test. Those of
//! the other verbs are in `verbs`.

mod verbs;
mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

use crate::search;
use crate::store::{self, KeepRule, KeepTime};
use crate::tokens::Tokens;

pub use storage::{BackupOptions, CheckOptions};
pub use verbs::{
    CompletionsOptions, ExportOptions, ImportOptions, OpenOptions, QueryOptions, SqlOptions, TailOptions,
    TokenAction, TokenOptions,
};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "log-server",
    version,
    about = "A light log server: takes records over Redis lists, keeps them in SQLite, and serves a search page.",
    after_help = "Without a command it serves. Services ship their records with the `log-layer` crate, or with any \
                  Redis client: see the README.\n\nExamples:\n  log-server                                    serve, finding or starting a Redis\n  log-server --redis redis://10.0.0.7:6379      serve, with that Redis\n  log-server --data /var/lib/logs --listen 127.0.0.1:8080"
)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take, keep and serve records until stopped (the default)
    Serve(Options),
    /// Print the newest records that match, or a table made of them
    Query(QueryOptions),
    /// Print records as they arrive
    Tail(TailOptions),
    /// Ask in SQL
    Sql(SqlOptions),
    /// Write everything that matches to stdout, newest first
    Export(ExportOptions),
    /// Store log files that something else wrote
    Import(ImportOptions),
    /// Serve the search page for one file, read-only
    Open(OpenOptions),
    /// Manage who may read over HTTP
    Token(TokenOptions),
    /// Print what a shell needs to complete verbs and options
    Completions(CompletionsOptions),
    /// Look whether everything that is stored can be read
    Check(CheckOptions),
    /// Copy the records while the server goes on
    Backup(BackupOptions),
}

/// What the program is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Config),
    /// Print records.
    Query(QueryOptions),
    /// Print records as they arrive.
    Tail(TailOptions),
    /// Ask in SQL.
    Sql(SqlOptions),
    /// Write records.
    Export(ExportOptions),
    /// Store files.
    Import(ImportOptions),
    /// Serve one file.
    Open(OpenOptions),
    /// Manage tokens.
    Token(TokenOptions),
    /// Print completions.
    Completions(CompletionsOptions),
    /// Look for damage.
    Check(CheckOptions),
    /// Copy the records.
    Backup(BackupOptions),
}

/// Where records are kept unless said otherwise.
const DATA: &str = "log-data";

/// Every option; what is not given here is taken from the file, and then from the defaults.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// Directory for the records and everything else the server keeps [default: log-data]
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of Redis, `private` for one that this server starts, or `auto` for one on 127.0.0.1:6379 and else a
    /// private one [default: auto]
    #[arg(
        long,
        env = "LOG_SERVER_REDIS",
        value_name = "URL|auto|private",
        hide_env_values = true
    )]
    pub redis: Option<String>,
    /// Name of the queue that services send to [default: logs]
    #[arg(long, env = "LOG_SERVER_QUEUE", value_name = "NAME")]
    pub queue: Option<String>,
    /// Address of the search page and its API [default: 127.0.0.1:7080]
    #[arg(long, env = "LOG_SERVER_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// A further host name under which the page is reached; may be given several times
    #[arg(
        long,
        env = "LOG_SERVER_ALLOW_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub allow_host: Vec<String>,
    /// A host that alerts may tell although it is this machine or a link-local address; may be given several times
    #[arg(
        long,
        env = "LOG_SERVER_WEBHOOK_ALLOW",
        value_name = "HOST",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub webhook_allow: Vec<String>,
    /// Ask nobody for a token, even on an address that others reach: everyone there can read all records
    #[arg(long, env = "LOG_SERVER_INSECURE_NO_AUTH")]
    #[serde(default)]
    pub insecure_no_auth: bool,
    /// How long records are kept: `30d` for all, `debug=2d` for a level; may be given several times [default: for ever]
    #[arg(
        long,
        env = "LOG_SERVER_KEEP",
        value_name = "[LEVEL=]TIME",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub keep: Vec<KeepRule>,
    /// Bytes that all records together may take on disk, such as `50GB`; beyond it the oldest are deleted [default: all there are]
    #[arg(long, env = "LOG_SERVER_KEEP_BYTES", value_name = "BYTES")]
    pub keep_bytes: Option<ByteSize>,
    /// Time after which a new file is begun; the oldest file is what is deleted at a time [default: 1d]
    #[arg(long, env = "LOG_SERVER_FILE_TIME", value_name = "TIME")]
    pub file_time: Option<KeepTime>,
    /// Bytes after which a new file is begun [default: 4GiB]
    #[arg(long, env = "LOG_SERVER_FILE_BYTES", value_name = "BYTES")]
    pub file_bytes: Option<ByteSize>,
    /// Tell on stderr of queries that take at least so many milliseconds [default: 1000]
    #[arg(long, env = "LOG_SERVER_SLOW_QUERY", value_name = "MILLISECONDS")]
    pub slow_query: Option<u64>,
    /// File with these options in TOML, for example `data = "/var/lib/logs"`
    #[arg(long, env = "LOG_SERVER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// The configuration a server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory for everything the server keeps.
    pub data: PathBuf,
    /// The Redis to use.
    pub redis: Redis,
    /// The queue that services send to.
    pub queue: String,
    /// Where the page is served.
    pub listen: SocketAddr,
    /// Further names of the page's host.
    pub allow_host: Vec<String>,
    /// Whether nobody is asked for a token.
    pub insecure_no_auth: bool,
    /// How records are kept.
    pub store: store::Options,
    /// Hosts that alerts may tell wherever they are.
    pub webhook_allow: Vec<String>,
    /// From when on a query is told of as slow.
    pub slow_query: Duration,
}

/// How Redis is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redis {
    /// Look for one, else start one.
    Auto,
    /// Start one.
    Private,
    /// This one.
    Url(String),
}

/// Why a configuration cannot be used; worded for who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that cannot be understood.
    #[error("{path}: {source}")]
    Syntax {
        /// Which file.
        path: String,
        /// What, with its line.
        source: Box<toml::de::Error>,
    },
    /// Everybody could read everything.
    #[error(
        "{0} can be reached from other machines, and there is no token: everyone who reaches it could read all records. \
         Make one with `log-server token add NAME`, or listen on 127.0.0.1, or say --insecure-no-auth"
    )]
    Exposed(SocketAddr),
    /// A value is out of range.
    #[error("{0}")]
    Value(String),
}

impl CommandLine {
    /// What is asked for, with the file's options and the defaults filled in.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn command(self) -> Result<Command, ConfigError> {
        let options = match self.command {
            Some(Verb::Query(query)) => return Ok(Command::Query(query)),
            Some(Verb::Tail(tail)) => return Ok(Command::Tail(tail)),
            Some(Verb::Sql(sql)) => return Ok(Command::Sql(sql)),
            Some(Verb::Export(export)) => return Ok(Command::Export(export)),
            Some(Verb::Import(import)) => return Ok(Command::Import(import)),
            Some(Verb::Open(open)) => return Ok(Command::Open(open)),
            Some(Verb::Token(token)) => return Ok(Command::Token(token)),
            Some(Verb::Completions(shell)) => return Ok(Command::Completions(shell)),
            Some(Verb::Check(check)) => return Ok(Command::Check(check)),
            Some(Verb::Backup(backup)) => return Ok(Command::Backup(backup)),
            Some(Verb::Serve(after)) => after.over(self.options),
            None => self.options,
        };
        let file = options.config.as_deref().map(read).transpose()?;
        Config::new(options.over(file.unwrap_or_default())).map(Command::Serve)
    }
}

impl Options {
    /// What is given here, else what is given there.
    fn over(self, other: Options) -> Options {
        Options {
            data: self.data.or(other.data),
            redis: self.redis.or(other.redis),
            queue: self.queue.or(other.queue),
            listen: self.listen.or(other.listen),
            allow_host: if self.allow_host.is_empty() {
                other.allow_host
            } else {
                self.allow_host
            },
            webhook_allow: if self.webhook_allow.is_empty() {
                other.webhook_allow
            } else {
                self.webhook_allow
            },
            insecure_no_auth: self.insecure_no_auth || other.insecure_no_auth,
            keep: if self.keep.is_empty() {
                other.keep
            } else {
                self.keep
            },
            keep_bytes: self.keep_bytes.or(other.keep_bytes),
            file_time: self.file_time.or(other.file_time),
            file_bytes: self.file_bytes.or(other.file_bytes),
            slow_query: self.slow_query.or(other.slow_query),
            config: self.config.or(other.config),
        }
    }
}

impl Config {
    fn new(options: Options) -> Result<Config, ConfigError> {
        let listen = options
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7080)));
        let store = storage::kept(&options)?;
        let data = options.data.unwrap_or_else(|| DATA.into());
        let open = options.insecure_no_auth;
        if !listen.ip().is_loopback() && !open && Tokens::of(&data).is_empty() {
            return Err(ConfigError::Exposed(listen));
        }
        let redis = match options.redis.as_deref() {
            None | Some("auto" | "") => Redis::Auto,
            Some("private") => Redis::Private,
            Some(url) => Redis::Url(url.to_owned()),
        };
        let queue = options.queue.unwrap_or_else(|| "logs".into());
        if queue.is_empty() {
            return Err(ConfigError::Value("--queue: a queue needs a name".into()));
        }
        Ok(Config {
            data,
            redis,
            queue,
            listen,
            allow_host: options.allow_host,
            insecure_no_auth: open,
            store,
            webhook_allow: options.webhook_allow,
            slow_query: options.slow_query.map_or(search::SLOW, Duration::from_millis),
        })
    }
}

fn read(path: &Path) -> Result<Options, ConfigError> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: name(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Syntax {
        path: name(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    pub(super) fn config(arguments: &[&str]) -> Result<Config, String> {
        let arguments = ["log-server"].iter().chain(arguments);
        let line = CommandLine::try_parse_from(arguments).map_err(|error| error.to_string())?;
        match line.command().map_err(|error| error.to_string())? {
            Command::Serve(config) => Ok(config),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log-server.toml");
        std::fs::write(&path, "queue = \"from-file\"\nlisten = \"127.0.0.1:9000\"\n").unwrap();
        let file = path.to_str().unwrap();
        let found = config(&["--config", file, "--listen", "127.0.0.1:9001"]).unwrap();
        assert_eq!((&*found.queue, found.listen.port()), ("from-file", 9001));
        assert_eq!(
            (found.data.to_str(), &found.redis),
            (Some("log-data"), &Redis::Auto)
        );
        assert_eq!(
            config(&["serve", "--config", file, "--queue", "q"])
                .unwrap()
                .queue,
            "q"
        );
        assert_eq!(
            config(&["--queue", "q", "serve", "--config", file])
                .unwrap()
                .listen
                .port(),
            9000
        );
    }

    #[test]
    fn a_mistake_in_the_file_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log-server.toml");
        std::fs::write(&path, "queue = \"q\"\nlissten = \"127.0.0.1:9000\"\n").unwrap();
        let error = config(&["--config", path.to_str().unwrap()]).unwrap_err();
        assert!(error.contains("line 2") && error.contains("lissten"), "{error}");
        assert!(
            config(&["--config", "/nowhere.toml"])
                .unwrap_err()
                .contains("/nowhere.toml")
        );
    }

    #[test]
    fn an_address_others_reach_is_refused_unless_asked_for_by_its_long_name() {
        let error = config(&["--listen", "0.0.0.0:7080"]).unwrap_err();
        assert!(error.contains("--insecure-no-auth"), "{error}");
        assert!(config(&["--listen", "0.0.0.0:7080", "--insecure-no-auth"]).is_ok());
        assert!(config(&["--listen", "[::1]:7080"]).is_ok());
    }

    #[test]
    fn every_option_stands_in_the_readme_with_its_variable_and_default() {
        let readme = include_str!("../../../../README.md");
        let command = <CommandLine as CommandFactory>::command();
        for argument in command
            .get_arguments()
            .filter(|argument| argument.get_long() != Some("help"))
        {
            let Some(long) = argument.get_long().filter(|long| *long != "version") else {
                continue;
            };
            let variable = argument
                .get_env()
                .and_then(|env| env.to_str())
                .expect("every option has a variable");
            let row = readme.lines().find(|line| line.contains(&format!("`--{long}")));
            let row = row.unwrap_or_else(|| panic!("--{long} is not in the README"));
            assert!(
                row.contains(variable),
                "{variable} is not in the README's row of --{long}: {row}"
            );
            let help = argument
                .get_help()
                .expect("every option is described")
                .to_string();
            if let Some((_, default)) = help.split_once("[default: ") {
                let default = default.trim_end_matches(']');
                assert!(
                    row.contains(&format!("`{default}`")),
                    "the default {default} of --{long} is not in: {row}"
                );
            }
        }
    }
}
