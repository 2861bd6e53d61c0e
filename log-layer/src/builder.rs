//! The builder: what the program can set, and how a layer is put together from it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::{LevelFilter, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::batch::Identity;
use crate::buffer::{Buffer, Limits};
use crate::delivery::Delivery;
use crate::exit;
use crate::guard::Guard;
use crate::layer::{self, LogLayer, Recording};
use crate::levels::{Levels, everywhere};
use crate::lifetime::SpanEvents;
use crate::panic_hook;
use crate::rate::{Rate, RateLimit};
use crate::settings::{MAX_RECORD_BYTES, Settings};
use crate::shipper::Orders;
use crate::signals;
use crate::span_fields::SpanFields;
use crate::spool::SpoolOrders;

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
/// | [`attr`](Builder::attr) | `OTEL_RESOURCE_ATTRIBUTES`: `name=value,name=value`, percent-encoded | none |
/// | [`level`](Builder::level), [`targets`](Builder::targets) | `LOG_LAYER_LEVEL`, `RUST_LOG`: `info` or `info,hyper=off` | `info` |
/// | [`span_level`](Builder::span_level) | `LOG_LAYER_SPAN_LEVEL` | `info` |
/// | [`span_events`](Builder::span_events) | `LOG_LAYER_SPAN_EVENTS`: `off`, `new`, `close`, `all` | `off` |
/// | [`span_fields`](Builder::span_fields) | `LOG_LAYER_SPAN_FIELDS`: `all`, `none` or `name,name` | `all` |
/// | [`buffer_bytes`](Builder::buffer_bytes) | `LOG_LAYER_BUFFER_BYTES` | 8 MiB |
/// | [`max_record_bytes`](Builder::max_record_bytes) | `LOG_LAYER_MAX_RECORD_BYTES` | 256 KiB |
/// | [`batch_bytes`](Builder::batch_bytes) | `LOG_LAYER_BATCH_BYTES` | 512 KiB |
/// | [`batch_records`](Builder::batch_records) | `LOG_LAYER_BATCH_RECORDS`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` | 1000 |
/// | [`linger`](Builder::linger) | `LOG_LAYER_LINGER_MS`, `OTEL_BLRP_SCHEDULE_DELAY` | 200 ms |
/// | [`ack_timeout`](Builder::ack_timeout) | `LOG_LAYER_ACK_TIMEOUT_MS`, `OTEL_BLRP_EXPORT_TIMEOUT` | 10 s |
/// | [`flush_timeout`](Builder::flush_timeout) | `LOG_LAYER_FLUSH_TIMEOUT_MS` | 5 s |
/// | [`spool`](Builder::spool) | `LOG_LAYER_SPOOL` | none |
/// | [`spool_bytes`](Builder::spool_bytes) | `LOG_LAYER_SPOOL_BYTES` | 256 MiB |
/// | [`write_ahead`](Builder::write_ahead) | `LOG_LAYER_WRITE_AHEAD` | off |
/// | [`rate_limit`](Builder::rate_limit) | `LOG_LAYER_RATE`: `per_second` or `per_second/burst` | off |
/// | [`panic_hook`](Builder::panic_hook) | `LOG_LAYER_PANIC_HOOK` | on |
/// | [`signals`](Builder::signals) | `LOG_LAYER_SIGNALS` | off |
/// | [`server_level`](Builder::server_level) | `LOG_LAYER_SERVER_LEVEL` | on |
/// | [`enabled`](Builder::enabled) | `LOG_LAYER_DISABLED`, `OTEL_SDK_DISABLED` | on |
///
/// A value in the environment that cannot be read is a [problem](Guard::problems), and the default holds.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    service: String,
    settings: Settings,
    problems: Vec<String>,
}

impl Builder {
    /// The URL of Redis, such as `redis://:password@host:6379/0`.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.settings.redis = url.into();
        self
    }

    /// The queue that the log server serves.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.settings.queue = queue.into();
        self
    }

    /// Tells this process from others of the same service.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.settings.instance = Some(instance.into());
        self
    }

    /// The service's version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.version = Some(version.into());
        self
    }

    /// Something else that holds for the whole process, such as `env` and `prod`.
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.attrs.insert(name.into(), value.into());
        self
    }

    /// The mildest events to ship; [`Guard::set_level`] changes it later.
    pub fn level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.settings.level = everywhere(level.into());
        self
    }

    /// The mildest events to ship of each target, such as `"info,hyper=off".parse()` gives. In the environment,
    /// `RUST_LOG` is heeded if `LOG_LAYER_LEVEL` is not set. For conditions on spans and fields put an `EnvFilter` around
    /// the layer, with [`with_filter`](tracing_subscriber::Layer::with_filter).
    pub fn targets(mut self, targets: Targets) -> Self {
        self.settings.level = targets;
        self
    }

    /// The mildest spans to keep, whatever the level of events: an error needs the spans around it.
    pub fn span_level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.settings.span_level = level.into();
        self
    }

    /// Which moments of spans become records of their own, with the span's level and the message `new` or `close`. That of
    /// the end has the nanoseconds in which somebody was in the span as `busy_ns`, and the others as `idle_ns`. A span
    /// inside another names it as `parent_span_id`.
    pub fn span_events(mut self, moments: SpanEvents) -> Self {
        self.settings.span_events = moments;
        self
    }

    /// Which fields of the spans around it a record carries. Spans that many records are in are told again with each of
    /// them.
    pub fn span_fields(mut self, wanted: SpanFields) -> Self {
        self.settings.span_fields = wanted;
        self
    }

    /// How much may be buffered and on its way together; at least 64 KiB. Beyond half of it `TRACE` and `DEBUG` are
    /// refused, beyond four fifths `INFO` too, at the bound everything; what is refused is counted.
    ///
    /// Working space for six batches comes on top: one being filled, one being sealed, and the transport's copies of
    /// the four that may be on their way.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.settings.buffer_bytes = bytes;
        self
    }

    /// How much JSON one record may be, 4 to 256 KiB. Longer text in it is cut, and the record says so.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_record_bytes = bytes;
        self
    }

    /// How much one batch may be; at most an eighth of the buffer, and 3 MiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes = bytes;
        self
    }

    /// How many records one batch may have; at most 5,000.
    pub fn batch_records(mut self, records: usize) -> Self {
        self.settings.batch_records = records;
        self
    }

    /// How long a record waits for others to travel with. Errors, and the first record after a pause, do not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// After how long without an answer to ask Redis whether a batch may be lost.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ack_timeout = timeout;
        self
    }

    /// How long dropping the guard may take.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.settings.flush_timeout = timeout;
        self
    }

    /// A directory for what cannot be delivered: while Redis or the server is away, while they are slower than the program
    /// logs, and when the program ends before everything is delivered. The next run of the service delivers what an
    /// earlier one left, in a healthy system nothing is written, and several processes may share the directory.
    ///
    /// Five seconds without an answer, or [`ack_timeout`](Builder::ack_timeout) if that is shorter, is away; from then on
    /// what is logged is on disk after a [`linger`](Builder::linger), and synced to it a second later. What is on disk takes
    /// no memory but some 500 bytes for every 4 MiB of it.
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.spool = Some(directory.into());
        self
    }

    /// How much may be on disk for this service on this machine; at least 1 MiB. What comes beyond it stays in memory,
    /// where mild records are refused first and all refused ones are counted, so that the beginning of an outage is kept
    /// whole. A full disk is the same.
    pub fn spool_bytes(mut self, bytes: u64) -> Self {
        self.settings.spool_bytes = bytes;
        self
    }

    /// Whether every record goes to the [`spool`](Builder::spool) at once, so that it survives the process being killed:
    /// it is in a file of the system's at most 5 ms after the call that logs it (on a machine that is not overloaded), and
    /// the next run delivers it. It is not synced, so a power loss may take the last seconds.
    ///
    /// It costs the shipper's thread a wake-up and a `write` every 5 ms while anything is logged, and each record is
    /// written twice; the program's own threads pay nothing.
    pub fn write_ahead(mut self, every_record: bool) -> Self {
        self.settings.write_ahead = every_record;
        self
    }

    /// How many records milder than `WARN` each call-site may log in a second, and how many at once after a pause. The
    /// others are counted as dropped, and the next one that passes says in its field `suppressed` how many there were.
    /// 0 a second is no limit.
    pub fn rate_limit(mut self, per_second: u32, burst: u32) -> Self {
        self.settings.rate = Rate { per_second, burst };
        self
    }

    /// Whether every panic of the process becomes an `ERROR` record with its message, place and thread. The hook that is
    /// there already still runs. Where a panic aborts, the process waits up to a second for its last records.
    pub fn panic_hook(mut self, record: bool) -> Self {
        self.settings.panic_hook = record;
        self
    }

    /// Whether `SIGTERM` and `SIGINT` wait for what is buffered, for at most the
    /// [flush timeout](Builder::flush_timeout), before they end the process as they would have. For programs that do not
    /// handle these signals themselves: a signal that has a handler by now, or is ignored, is left alone, and a handler
    /// that is installed later runs while this one is about to end the process.
    pub fn signals(mut self, wait: bool) -> Self {
        self.settings.signals = wait;
        self
    }

    /// Whether the log server may raise the level for as long as it needs, for example while it has too much to do. It can
    /// neither lower it below [`level`](Builder::level) nor raise it above `ERROR`. Its wish for a pause between batches
    /// is heeded in any case, for at most a minute; a flush does not wait for that.
    pub fn server_level(mut self, obey: bool) -> Self {
        self.settings.server_level = obey;
        self
    }

    /// Whether to log at all. If not, there is no thread and every call-site is off.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.settings.enabled = enabled;
        self
    }

    /// Starts delivery. Never fails and never waits for the network.
    ///
    /// If delivery cannot work, for example because the URL is none, the layer works all the same: it counts every record
    /// as dropped, and [`Guard::problems`] says why.
    ///
    /// From here on, calls made through [`rpc`] inside a span carry that span's trace, and a process that calls
    /// [`exit`](std::process::exit) waits up to a second for its last records. A child that the process forks is a run of
    /// its own: it sends what it logs itself, and starts to when it does.
    pub fn build<S>(mut self) -> (LogLayer<S>, Guard)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let buffer_bytes = self.settings.buffer_bytes.max(64 << 10);
        let max_record_bytes = self.settings.max_record_bytes.clamp(4 << 10, MAX_RECORD_BYTES);
        let limits = Limits {
            buffer_bytes,
            batch_bytes: self
                .settings
                .batch_bytes
                .min(buffer_bytes / 8)
                .clamp(1, SERVER_BATCH_BYTES),
            batch_records: self.settings.batch_records.clamp(1, SERVER_BATCH_RECORDS),
            record_bytes: max_record_bytes,
        };
        let levels = if self.settings.enabled {
            Levels::new(self.settings.level.clone(), self.settings.span_level)
        } else {
            Levels::OFF
        };
        let rate_limit = (self.settings.rate.per_second > 0).then(|| RateLimit::new(self.settings.rate));
        let mut problems = std::mem::take(&mut self.problems);
        let settings = self.settings.clone();
        let orders = settings.enabled.then(|| self.orders(&levels, limits));
        let (delivery, found) = Delivery::start(orders, Buffer::new(limits));
        problems.extend(found);
        let delivery = Arc::new(delivery);
        let layer = layer::layer(Recording {
            buffer: delivery.clone(),
            levels: levels.clone(),
            max_record_bytes,
            rate_limit,
            span_events: settings.span_events,
            span_fields: settings.span_fields,
        });
        if settings.enabled {
            rpc::trace::set_source(crate::traceparent);
            exit::watch(&delivery);
            if settings.panic_hook {
                panic_hook::listen(&delivery, &levels);
            }
            if settings.signals
                && let Err(error) = signals::listen(settings.flush_timeout)
            {
                problems.push(format!("signals will not wait for records: {error}"));
            }
        }
        (
            layer,
            Guard::new(delivery, levels, settings.flush_timeout, problems),
        )
    }

    /// The same for who would rather not start than log nowhere.
    ///
    /// # Errors
    /// When anything of the configuration cannot be used; what was started is stopped again. That Redis is away is no
    /// error: it comes.
    pub fn try_build<S>(self) -> Result<(LogLayer<S>, Guard), Misconfigured>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let (layer, guard) = self.build();
        if guard.problems().is_empty() {
            return Ok((layer, guard));
        }
        guard.shutdown(Duration::ZERO);
        Err(Misconfigured {
            problems: guard.problems().to_vec(),
        })
    }

    fn orders(self, levels: &Levels, limits: Limits) -> Orders {
        Orders {
            redis: self.settings.redis,
            queue: self.settings.queue,
            identity: Identity {
                service: self.service,
                instance: self.settings.instance,
                version: self.settings.version,
                attrs: self.settings.attrs,
            },
            // A timer of nothing would never let the thread rest.
            linger: self.settings.linger.max(Duration::from_millis(1)),
            ack_timeout: self.settings.ack_timeout.max(Duration::from_millis(1)),
            levels: self.settings.server_level.then(|| levels.clone()),
            limits,
            spool: self.settings.spool.map(|directory| SpoolOrders {
                directory,
                bytes: self.settings.spool_bytes.max(1 << 20),
                write_ahead: self.settings.write_ahead,
            }),
        }
    }

    pub(crate) fn from_environment(service: String, read: impl Fn(&str) -> Option<String>) -> Builder {
        let (settings, problems) = Settings::from_environment(read);
        Builder {
            service,
            settings,
            problems,
        }
    }
}

/// What [`Builder::try_build`] could not use of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misconfigured {
    /// Each thing that is wrong, in words.
    pub problems: Vec<String>,
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl Error for Misconfigured {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_wins_over_the_environment_and_that_over_the_default() {
        let environment = |name: &str| match name {
            "LOG_LAYER_QUEUE" => Some("from-environment".to_owned()),
            "LOG_LAYER_LINGER_MS" => Some("50".to_owned()),
            _ => None,
        };
        let builder = Builder::from_environment("iptv".to_owned(), environment);
        assert_eq!(builder.settings.queue, "from-environment");
        assert_eq!(builder.settings.linger, Duration::from_millis(50));
        assert_eq!(builder.settings.redis, "redis://127.0.0.1:6379");
        assert_eq!(builder.queue("from-program").settings.queue, "from-program");
    }
}
