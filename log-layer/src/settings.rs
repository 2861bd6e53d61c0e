//! Every setting, with its default, and how the environment overrides it.
//!
//! Promises: what the environment says and cannot be read is a problem to report, and the default holds. Knows nothing of
//! what the settings are for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tracing_core::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::environment::Environment;
use crate::levels::everywhere;
use crate::lifetime::SpanEvents;
use crate::rate::Rate;
use crate::span_fields::SpanFields;

/// What can be set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) redis: String,
    pub(crate) queue: String,
    pub(crate) instance: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) attrs: BTreeMap<String, String>,
    pub(crate) level: Targets,
    pub(crate) span_level: LevelFilter,
    pub(crate) span_events: SpanEvents,
    pub(crate) span_fields: SpanFields,
    pub(crate) buffer_bytes: usize,
    pub(crate) max_record_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) batch_records: usize,
    pub(crate) linger: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) flush_timeout: Duration,
    pub(crate) spool: Option<PathBuf>,
    pub(crate) spool_bytes: u64,
    pub(crate) write_ahead: bool,
    pub(crate) rate: Rate,
    pub(crate) panic_hook: bool,
    pub(crate) signals: bool,
    pub(crate) server_level: bool,
    pub(crate) enabled: bool,
}

impl Settings {
    /// The defaults, and over them what the environment says; and what of that cannot be read.
    pub(crate) fn from_environment(read: impl Fn(&str) -> Option<String>) -> (Settings, Vec<String>) {
        let mut env = Environment::new(read);
        let settings = Settings {
            redis: env.setting(&["LOG_LAYER_REDIS_URL"], REDIS.to_owned()),
            queue: env.setting(&["LOG_LAYER_QUEUE"], QUEUE.to_owned()),
            instance: env.text("LOG_LAYER_INSTANCE"),
            version: env.text("LOG_LAYER_VERSION"),
            attrs: env.attrs(),
            level: env
                .targets(&["LOG_LAYER_LEVEL", "RUST_LOG"])
                .unwrap_or_else(|| everywhere(LevelFilter::INFO)),
            span_level: env.setting(&["LOG_LAYER_SPAN_LEVEL"], LevelFilter::INFO),
            span_events: env.setting(&["LOG_LAYER_SPAN_EVENTS"], SpanEvents::Off),
            span_fields: env.setting(&["LOG_LAYER_SPAN_FIELDS"], SpanFields::All),
            buffer_bytes: env.setting(&["LOG_LAYER_BUFFER_BYTES"], BUFFER_BYTES),
            max_record_bytes: env.setting(&["LOG_LAYER_MAX_RECORD_BYTES"], MAX_RECORD_BYTES),
            batch_bytes: env.setting(&["LOG_LAYER_BATCH_BYTES"], BATCH_BYTES),
            batch_records: env.setting(
                &["LOG_LAYER_BATCH_RECORDS", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
                BATCH_RECORDS,
            ),
            linger: env.milliseconds(&["LOG_LAYER_LINGER_MS", "OTEL_BLRP_SCHEDULE_DELAY"], LINGER),
            ack_timeout: env.milliseconds(
                &["LOG_LAYER_ACK_TIMEOUT_MS", "OTEL_BLRP_EXPORT_TIMEOUT"],
                ACK_TIMEOUT,
            ),
            flush_timeout: env.milliseconds(&["LOG_LAYER_FLUSH_TIMEOUT_MS"], FLUSH_TIMEOUT),
            spool: env.text("LOG_LAYER_SPOOL").map(PathBuf::from),
            spool_bytes: env.setting(&["LOG_LAYER_SPOOL_BYTES"], SPOOL_BYTES),
            write_ahead: env.switch(&["LOG_LAYER_WRITE_AHEAD"], false),
            rate: env.setting(&["LOG_LAYER_RATE"], Rate::OFF),
            panic_hook: env.switch(&["LOG_LAYER_PANIC_HOOK"], true),
            signals: env.switch(&["LOG_LAYER_SIGNALS"], false),
            server_level: env.switch(&["LOG_LAYER_SERVER_LEVEL"], true),
            enabled: !env.switch(&["LOG_LAYER_DISABLED", "OTEL_SDK_DISABLED"], false),
        };
        (settings, env.into_problems())
    }
}

/// Where Redis usually is.
const REDIS: &str = "redis://127.0.0.1:6379";
/// The log server's queue.
const QUEUE: &str = "logs";
/// A minute of a busy service's records; memory is taken only as it is needed.
const BUFFER_BYTES: usize = 8 << 20;
/// The server cuts longer records.
pub(crate) const MAX_RECORD_BYTES: usize = 256 << 10;
/// Redis serves one command at a time; a larger batch would make others wait.
const BATCH_BYTES: usize = 512 << 10;
/// Larger batches stopped paying off.
const BATCH_RECORDS: usize = 1000;
/// Long enough to gather a batch, short enough to look live.
const LINGER: Duration = Duration::from_millis(200);
/// A server that answers later than this is looked after.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Orchestrators give a process 10 seconds or more to end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Ten minutes of 1,500 records a second; a service's share of a disk, not all of it.
const SPOOL_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn from(environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        Settings::from_environment(|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_setting_is_read() {
        let (settings, problems) = from(&[
            ("LOG_LAYER_REDIS_URL", "redis://elsewhere"),
            ("LOG_LAYER_INSTANCE", "host-7:1"),
            ("LOG_LAYER_VERSION", "1.4.2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "env=prod, zone = b%2C%20c ,"),
            ("LOG_LAYER_LEVEL", "debug,hyper=off"),
            ("RUST_LOG", "trace"),
            ("LOG_LAYER_SPAN_LEVEL", "debug"),
            ("LOG_LAYER_SPAN_EVENTS", "close"),
            ("LOG_LAYER_SPAN_FIELDS", "user, path"),
            ("LOG_LAYER_BUFFER_BYTES", "1000000"),
            ("LOG_LAYER_MAX_RECORD_BYTES", "5000"),
            ("LOG_LAYER_BATCH_BYTES", "6000"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "7"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "8"),
            ("LOG_LAYER_ACK_TIMEOUT_MS", "9"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "10"),
            ("LOG_LAYER_FLUSH_TIMEOUT_MS", "11"),
            ("LOG_LAYER_SPOOL", "/var/spool/logs"),
            ("LOG_LAYER_SPOOL_BYTES", "14"),
            ("LOG_LAYER_WRITE_AHEAD", "true"),
            ("LOG_LAYER_RATE", "12/13"),
            ("LOG_LAYER_PANIC_HOOK", "false"),
            ("LOG_LAYER_SIGNALS", "1"),
            ("LOG_LAYER_SERVER_LEVEL", "0"),
            ("OTEL_SDK_DISABLED", "True"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.redis, "redis://elsewhere");
        assert_eq!(settings.instance.as_deref(), Some("host-7:1"));
        assert_eq!(settings.version.as_deref(), Some("1.4.2"));
        let attrs: Vec<_> = settings
            .attrs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(attrs, ["env=prod", "zone=b, c"]);
        assert_eq!(settings.level.to_string(), "hyper=off,debug");
        assert_eq!(settings.span_level, LevelFilter::DEBUG);
        assert_eq!(settings.span_events, SpanEvents::Close);
        assert!(settings.span_fields.keep("path") && !settings.span_fields.keep("all"));
        assert_eq!(settings.buffer_bytes, 1_000_000);
        assert_eq!(settings.max_record_bytes, 5000);
        assert_eq!(settings.batch_bytes, 6000);
        assert_eq!(settings.batch_records, 7);
        assert_eq!(settings.linger, Duration::from_millis(8));
        // Our own name wins over the general one.
        assert_eq!(settings.ack_timeout, Duration::from_millis(9));
        assert_eq!(settings.flush_timeout, Duration::from_millis(11));
        assert_eq!(settings.spool, Some(PathBuf::from("/var/spool/logs")));
        assert_eq!((settings.spool_bytes, settings.write_ahead), (14, true));
        assert_eq!((settings.rate.per_second, settings.rate.burst), (12, 13));
        assert!(!settings.panic_hook);
        assert!(settings.signals);
        assert!(!settings.server_level);
        assert!(!settings.enabled);
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_and_the_default_holds() {
        let (settings, problems) = from(&[
            ("LOG_LAYER_LINGER_MS", "soon"),
            ("LOG_LAYER_LEVEL", "loud"),
            ("LOG_LAYER_DISABLED", "perhaps"),
            ("OTEL_RESOURCE_ATTRIBUTES", "env"),
            ("LOG_LAYER_QUEUE", ""),
        ]);
        assert_eq!(settings.linger, LINGER);
        assert_eq!(settings.level, everywhere(LevelFilter::INFO));
        assert_eq!(settings.queue, QUEUE);
        assert!(settings.enabled);
        assert_eq!(problems.len(), 4, "{:?}", problems);
    }

    #[test]
    fn the_table_of_the_documentation_names_every_variable_and_no_other() {
        let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let _ = Settings::from_environment(|name| {
            asked.borrow_mut().insert(name.to_owned());
            None
        });
        let table = include_str!("builder.rs")
            .lines()
            .filter(|line| line.starts_with("/// | [`"));
        let documented = table
            .flat_map(|line| line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')))
            .filter(|word| word.contains('_') && word.len() > 5)
            .map(str::to_owned)
            .collect();
        assert_eq!(asked.into_inner(), documented);
    }
}
