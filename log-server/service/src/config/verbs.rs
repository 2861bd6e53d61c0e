//! The options of the verbs, one struct each; `--help` is made of what is written here.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::search::ExportFormat;

/// What to print.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server query 'service:iptv level>=warn' --from -1h\n  log-server query '\"connection reset\"' --data /var/lib/logs -n 20\n  log-server query 'level:error | count by service, callsite'\n  log-server query '| timechart 1m p95 latency_ms by path' --from -1h --csv\n\nWorks with or without a running server; the query language is in the README."
)]
pub struct QueryOptions {
    /// The query; empty finds everything
    #[arg(default_value = "")]
    pub query: String,
    /// Directory of the records
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = super::DATA)]
    pub data: PathBuf,
    /// Not before: RFC 3339, or so long ago as -15m, -1h, -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 100)]
    pub limit: usize,
    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
    /// Comma-separated, for spreadsheets
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl QueryOptions {
    /// The format that programs asked for; `None`: people read it.
    pub fn format(&self) -> Option<ExportFormat> {
        format(self.json, self.csv)
    }
}

/// What to write.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server export 'trace:9f3c*' > incident.ndjson\n  log-server export level:error --from -7d --format csv > errors.csv\n  log-server export --from -1d --format sqlite --out day.sqlite"
)]
pub struct ExportOptions {
    /// The query; empty finds everything
    #[arg(default_value = "")]
    pub query: String,
    /// Directory of the records
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = super::DATA)]
    pub data: PathBuf,
    /// Not before: RFC 3339, or so long ago as -15m, -1h, -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// One JSON object a line, a table for a spreadsheet, or a SQLite file: with the table logs for any tool, and for
    /// `log-server open`
    #[arg(long, value_parser = ["ndjson", "csv", "sqlite"], default_value = "ndjson")]
    pub format: String,
    /// The SQLite file, which must not be there yet
    #[arg(long, value_name = "FILE", required_if_eq("format", "sqlite"))]
    pub out: Option<PathBuf>,
}

/// What to follow.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server tail level:error\n  log-server tail 'service:iptv -debug' --server http://127.0.0.1:8080\n  log-server tail --data /var/lib/logs --json | jq .message\n\nCtrl-C ends it. A server that restarts is followed again, from the last record on."
)]
pub struct TailOptions {
    /// Which records; empty follows everything
    #[arg(default_value = "")]
    pub query: String,
    /// The running server to ask
    #[arg(
        long,
        env = "LOG_SERVER_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:7080"
    )]
    pub server: String,
    /// Token, if the server asks for one
    #[arg(long, env = "LOG_SERVER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Look into this directory instead of asking a server
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data: Option<PathBuf>,
    /// One JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
}

/// What to import.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server import /var/log/syslog --service syslog\n  log-server import old/*.log.gz --redis redis://127.0.0.1:6379\n  journalctl -o json | log-server import - --service journal\n\nLines are JSON objects (our export, or the shapes of common loggers) or plain text, of which time and level are guessed; lines that begin with white space belong to the one before. gzip and zstd are recognised. The same file imported twice is stored once, so an import that broke off is just run again. While a server runs on the data directory, send through its Redis."
)]
pub struct ImportOptions {
    /// Files; - is the input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Service of lines that name none [default: the file's name up to the first dot]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Directory to store them in
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = super::DATA)]
    pub data: PathBuf,
    /// Send them to the server behind this Redis instead
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// Name of its queue
    #[arg(long, env = "LOG_SERVER_QUEUE", value_name = "NAME", default_value = "logs")]
    pub queue: String,
}

/// What to ask in SQL.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server sql \"select service, count(*) from logs where level >= 'warn' group by 1\"\n  log-server sql \"select time, message, fields->>'user_id' from logs where time >= '2026-09-21' limit 10\"\n\nThe table logs has the columns time (RFC 3339), level, service, instance, host, version, boot, target, file, line, message, fields, spans (both JSON), trace_id, span_id, thread, seq, id. Conditions on time and level are used to read less; times compare as moments (UTC if they name no zone), levels by severity. Nothing can be written. The newest records come first."
)]
pub struct SqlOptions {
    /// One SELECT statement
    pub sql: String,
    /// Directory of the records
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = super::DATA)]
    pub data: PathBuf,
    /// One JSON object a line, for programs
    #[arg(long)]
    json: bool,
    /// Comma-separated, for spreadsheets
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl SqlOptions {
    /// The format that programs asked for; `None`: people read it.
    pub fn format(&self) -> Option<ExportFormat> {
        format(self.json, self.csv)
    }
}

/// Which file to open.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  log-server open incident.db\n\nServes the search page for one file, from wherever it is: one of a log-server's data directory (logs/*.db), what the page saved, or what `log-server export --format sqlite` wrote. Nothing is written to it. Ctrl-C ends it."
)]
pub struct OpenOptions {
    /// The file
    pub file: PathBuf,
    /// Address of the search page
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7081")]
    pub listen: SocketAddr,
}

/// What to do with tokens.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server token add grafana\n  log-server token list\n  log-server token remove grafana\n  curl -H \"Authorization: Bearer $TOKEN\" http://logs.example.org:7080/api/search\n\nAs soon as there is a token, every request needs one; a browser asks for a password, which is the token (the user name does not matter). A server that listens beyond loopback needs at least one. Changes hold at once."
)]
pub struct TokenOptions {
    /// What to do
    #[command(subcommand)]
    pub action: TokenAction,
    /// Directory of the server that asks for them
    #[arg(long, global = true, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = super::DATA)]
    pub data: PathBuf,
}

/// What can be done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenAction {
    /// Make a token and print it; it cannot be shown again
    Add {
        /// Whose it is
        name: String,
    },
    /// Print the names of the tokens
    List,
    /// Let a token be worth nothing
    Remove {
        /// Whose it was
        name: String,
    },
}

/// Whose completions to print.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  log-server completions bash > /etc/bash_completion.d/log-server")]
pub struct CompletionsOptions {
    /// The shell
    pub shell: clap_complete::Shell,
}

fn format(json: bool, csv: bool) -> Option<ExportFormat> {
    if json {
        Some(ExportFormat::Ndjson)
    } else {
        csv.then_some(ExportFormat::Csv)
    }
}
