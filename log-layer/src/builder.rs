//! The builder: what can be set, by the program and by its environment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::{LevelFilter, Subscriber};
use tracing_subscriber::registry::LookupSpan;

use crate::batch::Source;
use crate::buffer::{Buffer, Limits};
use crate::dropped::DropReason;
use crate::environment::Environment;
use crate::exit;
use crate::guard::Guard;
use crate::layer::{self, LogLayer};
use crate::levels::Levels;
use crate::panic_hook;
use crate::rate::{Rate, RateLimit};
use crate::shipper::{self, Orders};
use crate::traceparent::system_random;

/// Where Redis usually is.
const REDIS: &str = "redis://127.0.0.1:6379";
/// The log server's queue.
const QUEUE: &str = "logs";
/// A minute of a busy service's records; memory is taken only as it is needed.
const BUFFER_BYTES: usize = 8 << 20;
/// The server cuts longer records.
const MAX_RECORD_BYTES: usize = 256 << 10;
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

/// What the server takes in one batch, with room for its dictionary.
const SERVER_BATCH_BYTES: usize = 3 << 20;
const SERVER_BATCH_RECORDS: usize = 5000;

/// Configures a layer; made by [`builder`](crate::builder()). What the program sets wins over the environment, and that
/// over the default.
///
/// | method | environment | default |
/// |---|---|---|
/// | [`redis`](Builder::redis) | `LOG_LAYER_REDIS_URL` | `redis://127.0.0.1:6379` |
/// | [`queue`](Builder::queue) | `LOG_LAYER_QUEUE` | `logs` |
/// | [`instance`](Builder::instance) | `LOG_LAYER_INSTANCE` | `host:pid` |
/// | [`version`](Builder::version) | `LOG_LAYER_VERSION` | none |
/// | [`attr`](Builder::attr) | `OTEL_RESOURCE_ATTRIBUTES`: `name=value,name=value` | none |
/// | [`level`](Builder::level) | `LOG_LAYER_LEVEL` | `info` |
/// | [`buffer_bytes`](Builder::buffer_bytes) | `LOG_LAYER_BUFFER_BYTES` | 8 MiB |
/// | [`max_record_bytes`](Builder::max_record_bytes) | `LOG_LAYER_MAX_RECORD_BYTES` | 256 KiB |
/// | [`batch_bytes`](Builder::batch_bytes) | `LOG_LAYER_BATCH_BYTES` | 512 KiB |
/// | [`batch_records`](Builder::batch_records) | `LOG_LAYER_BATCH_RECORDS`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` | 1000 |
/// | [`linger`](Builder::linger) | `LOG_LAYER_LINGER_MS`, `OTEL_BLRP_SCHEDULE_DELAY` | 200 ms |
/// | [`ack_timeout`](Builder::ack_timeout) | `LOG_LAYER_ACK_TIMEOUT_MS`, `OTEL_BLRP_EXPORT_TIMEOUT` | 10 s |
/// | [`flush_timeout`](Builder::flush_timeout) | `LOG_LAYER_FLUSH_TIMEOUT_MS` | 5 s |
/// | [`rate_limit`](Builder::rate_limit) | `LOG_LAYER_RATE`: `per_second` or `per_second/burst` | off |
/// | [`panic_hook`](Builder::panic_hook) | `LOG_LAYER_PANIC_HOOK` | on |
/// | [`server_level`](Builder::server_level) | `LOG_LAYER_SERVER_LEVEL` | on |
/// | [`enabled`](Builder::enabled) | `LOG_LAYER_DISABLED`, `OTEL_SDK_DISABLED` | on |
///
/// A value in the environment that cannot be read is a [problem](Guard::problems), and the default holds.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    service: String,
    redis: String,
    queue: String,
    instance: Option<String>,
    version: Option<String>,
    attrs: BTreeMap<String, String>,
    level: LevelFilter,
    buffer_bytes: usize,
    max_record_bytes: usize,
    batch_bytes: usize,
    batch_records: usize,
    linger: Duration,
    ack_timeout: Duration,
    flush_timeout: Duration,
    rate: Rate,
    panic_hook: bool,
    server_level: bool,
    enabled: bool,
    problems: Vec<String>,
}

impl Builder {
    /// The URL of Redis, such as `redis://:password@host:6379/0`.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.redis = url.into();
        self
    }

    /// The queue that the log server serves.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Tells this process from others of the same service.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// The service's version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Something else that holds for the whole process, such as `env` and `prod`.
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attrs.insert(name.into(), value.into());
        self
    }

    /// The mildest events to ship; [`Guard::set_level`] changes it later. Spans are kept from `INFO` up in any case.
    pub fn level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.level = level.into();
        self
    }

    /// How much may be buffered and on its way together; at least 64 KiB. Beyond half of it `TRACE` and `DEBUG` are
    /// refused, beyond four fifths `INFO` too, at the bound everything; what is refused is counted.
    ///
    /// Working space for six batches comes on top: one being filled, one being sealed, and the transport's copies of
    /// the four that may be on their way.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// How much JSON one record may be, 4 to 256 KiB. Longer text in it is cut, and the record says so.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// How much one batch may be; at most an eighth of the buffer, and 3 MiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How many records one batch may have; at most 5,000.
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records;
        self
    }

    /// How long a record waits for others to travel with. Errors, and the first record after a pause, do not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// After how long without an answer to ask Redis whether a batch may be lost.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// How long dropping the guard may take.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = timeout;
        self
    }

    /// How many records milder than `WARN` each call-site may log in a second, and how many at once after a pause. The
    /// others are counted as dropped, and the next one that passes says in its field `suppressed` how many there were.
    /// 0 a second is no limit.
    pub fn rate_limit(mut self, per_second: u32, burst: u32) -> Self {
        self.rate = Rate { per_second, burst };
        self
    }

    /// Whether every panic of the process becomes an `ERROR` record with its message, place and thread. The hook that is
    /// there already still runs. Where a panic aborts, the process waits up to a second for its last records.
    pub fn panic_hook(mut self, record: bool) -> Self {
        self.panic_hook = record;
        self
    }

    /// Whether the log server may raise the level for as long as it needs, for example while it has too much to do. It can
    /// neither lower it below [`level`](Builder::level) nor raise it above `ERROR`. Its wish for a pause between batches
    /// is heeded in any case, for at most a minute; a flush does not wait for that.
    pub fn server_level(mut self, obey: bool) -> Self {
        self.server_level = obey;
        self
    }

    /// Whether to log at all. If not, there is no thread and every call-site is off.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Starts delivery. Never fails and never waits for the network.
    ///
    /// If delivery cannot work, for example because the URL is none, the layer works all the same: it counts every record
    /// as dropped, and [`Guard::problems`] says why.
    ///
    /// From here on, calls made through [`rpc`] inside a span carry that span's trace, and a process that calls
    /// [`exit`](std::process::exit) waits up to a second for its last records.
    pub fn build<S>(mut self) -> (LogLayer<S>, Guard)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let buffer_bytes = self.buffer_bytes.max(64 << 10);
        let max_record_bytes = self.max_record_bytes.clamp(4 << 10, MAX_RECORD_BYTES);
        let buffer = Arc::new(Buffer::new(Limits {
            buffer_bytes,
            batch_bytes: self
                .batch_bytes
                .min(buffer_bytes / 8)
                .clamp(1, SERVER_BATCH_BYTES),
            batch_records: self.batch_records.clamp(1, SERVER_BATCH_RECORDS),
        }));
        let levels = if self.enabled {
            Levels::from_events(self.level)
        } else {
            Levels::OFF
        };
        let rate_limit = (self.rate.per_second > 0).then(|| RateLimit::new(self.rate));
        let layer = layer::layer(buffer.clone(), levels.clone(), max_record_bytes, rate_limit);
        let mut problems = std::mem::take(&mut self.problems);
        let flush_timeout = self.flush_timeout;
        let shipper = if self.enabled {
            rpc::trace::set_source(crate::traceparent);
            exit::watch(&buffer);
            if self.panic_hook {
                panic_hook::listen(&buffer, &levels);
            }
            shipper::start(self.orders(&levels), buffer.clone())
                .map_err(|problem| {
                    buffer.close(DropReason::Misconfigured);
                    problems.push(format!("nothing will be delivered: {problem}"));
                })
                .ok()
        } else {
            None
        };
        (
            layer,
            Guard::new(buffer, shipper, levels, flush_timeout, problems),
        )
    }

    fn orders(self, levels: &Levels) -> Orders {
        let host = host();
        Orders {
            redis: self.redis,
            queue: self.queue,
            source: Source {
                service: self.service,
                instance: self
                    .instance
                    .unwrap_or_else(|| format!("{host}:{}", std::process::id())),
                boot: format!("{:016x}{:016x}", system_random(), system_random()),
                host,
                version: self.version,
                attrs: self.attrs,
            },
            // A timer of nothing would never let the thread rest.
            linger: self.linger.max(Duration::from_millis(1)),
            ack_timeout: self.ack_timeout.max(Duration::from_millis(1)),
            levels: self.server_level.then(|| levels.clone()),
        }
    }

    /// The defaults, and over them what the environment says.
    pub(crate) fn from_environment(service: String, read: impl Fn(&str) -> Option<String>) -> Builder {
        let mut env = Environment::new(read);
        let builder = Builder {
            service,
            redis: env.setting(&["LOG_LAYER_REDIS_URL"], REDIS.to_owned()),
            queue: env.setting(&["LOG_LAYER_QUEUE"], QUEUE.to_owned()),
            instance: env.text("LOG_LAYER_INSTANCE"),
            version: env.text("LOG_LAYER_VERSION"),
            attrs: env.attrs(),
            level: env.setting(&["LOG_LAYER_LEVEL"], LevelFilter::INFO),
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
            rate: env.setting(&["LOG_LAYER_RATE"], Rate::OFF),
            panic_hook: env.switch(&["LOG_LAYER_PANIC_HOOK"], true),
            server_level: env.switch(&["LOG_LAYER_SERVER_LEVEL"], true),
            enabled: !env.switch(&["LOG_LAYER_DISABLED", "OTEL_SDK_DISABLED"], false),
            problems: Vec::new(),
        };
        Builder {
            problems: env.into_problems(),
            ..builder
        }
    }
}

/// The machine's name, as far as it can be known without asking the network.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    kernel
        .map(|name| name.trim().to_owned())
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(environment: &[(&str, &str)]) -> Builder {
        Builder::from_environment("iptv".to_owned(), |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_program_wins_over_the_environment_and_that_over_the_default() {
        let builder = from(&[
            ("LOG_LAYER_QUEUE", "from-environment"),
            ("LOG_LAYER_LINGER_MS", "50"),
        ]);
        assert_eq!(builder.queue, "from-environment");
        assert_eq!(builder.linger, Duration::from_millis(50));
        assert_eq!(builder.redis, REDIS);
        assert_eq!(builder.queue("from-program").queue, "from-program");
    }

    #[test]
    fn every_setting_is_read() {
        let builder = from(&[
            ("LOG_LAYER_REDIS_URL", "redis://elsewhere"),
            ("LOG_LAYER_INSTANCE", "host-7:1"),
            ("LOG_LAYER_VERSION", "1.4.2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "env=prod, zone = b ,"),
            ("LOG_LAYER_LEVEL", "debug"),
            ("LOG_LAYER_BUFFER_BYTES", "1000000"),
            ("LOG_LAYER_MAX_RECORD_BYTES", "5000"),
            ("LOG_LAYER_BATCH_BYTES", "6000"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "7"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "8"),
            ("LOG_LAYER_ACK_TIMEOUT_MS", "9"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "10"),
            ("LOG_LAYER_FLUSH_TIMEOUT_MS", "11"),
            ("LOG_LAYER_RATE", "12/13"),
            ("LOG_LAYER_PANIC_HOOK", "false"),
            ("LOG_LAYER_SERVER_LEVEL", "0"),
            ("OTEL_SDK_DISABLED", "True"),
        ]);
        assert_eq!(builder.problems, Vec::<String>::new());
        assert_eq!(builder.redis, "redis://elsewhere");
        assert_eq!(builder.instance.as_deref(), Some("host-7:1"));
        assert_eq!(builder.version.as_deref(), Some("1.4.2"));
        let attrs: Vec<_> = builder
            .attrs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(attrs, ["env=prod", "zone=b"]);
        assert_eq!(builder.level, LevelFilter::DEBUG);
        assert_eq!(builder.buffer_bytes, 1_000_000);
        assert_eq!(builder.max_record_bytes, 5000);
        assert_eq!(builder.batch_bytes, 6000);
        assert_eq!(builder.batch_records, 7);
        assert_eq!(builder.linger, Duration::from_millis(8));
        // Our own name wins over the general one.
        assert_eq!(builder.ack_timeout, Duration::from_millis(9));
        assert_eq!(builder.flush_timeout, Duration::from_millis(11));
        assert_eq!((builder.rate.per_second, builder.rate.burst), (12, 13));
        assert!(!builder.panic_hook);
        assert!(!builder.server_level);
        assert!(!builder.enabled);
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_and_the_default_holds() {
        let builder = from(&[
            ("LOG_LAYER_LINGER_MS", "soon"),
            ("LOG_LAYER_LEVEL", "loud"),
            ("LOG_LAYER_DISABLED", "perhaps"),
            ("OTEL_RESOURCE_ATTRIBUTES", "env"),
            ("LOG_LAYER_QUEUE", ""),
        ]);
        assert_eq!(builder.linger, LINGER);
        assert_eq!(builder.level, LevelFilter::INFO);
        assert_eq!(builder.queue, QUEUE);
        assert!(builder.enabled);
        assert_eq!(builder.problems.len(), 4, "{:?}", builder.problems);
    }
}
