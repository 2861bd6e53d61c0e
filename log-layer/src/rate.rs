//! How often one call-site may log: a token bucket for each.
//!
//! Promises: severe records always pass; memory is bounded; whoever is let through after a pause learns how many were not.
//! Knows nothing of events or the buffer.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing_core::callsite::Identifier;
use tracing_core::{Level, Metadata};

/// Programs have fewer call-sites; the log crate's can be made at run time, so there is a bound.
const CALLSITES: usize = 10_000;

/// So many records a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Rate {
    /// No limit.
    pub(crate) const OFF: Rate = Rate {
        per_second: 0,
        burst: 0,
    };
}

/// The text `10/50`, or `10` for as many at once as in a second.
impl FromStr for Rate {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Rate, Self::Err> {
        let (per_second, burst) = text.split_once('/').unwrap_or((text, text));
        Ok(Rate {
            per_second: per_second.trim().parse()?,
            burst: burst.trim().parse()?,
        })
    }
}

/// The buckets of all call-sites.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Rate,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// A call-site of `tracing`'s, or one of the many that the log crate has behind each.
type Key = (Identifier, u64);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    suppressed: u64,
}

impl RateLimit {
    pub(crate) fn new(rate: Rate) -> RateLimit {
        RateLimit {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Whether a record of this call-site may pass, and then how many before it might not. `foreign` is the true
    /// call-site of a record of the log crate's.
    pub(crate) fn admit(
        &self,
        metadata: &'static Metadata<'static>,
        foreign: Option<&Metadata<'_>>,
        now: Instant,
    ) -> Option<u64> {
        if *metadata.level() <= Level::WARN {
            return Some(0);
        }
        let key = (metadata.callsite(), foreign.map_or(0, place));
        let burst = f64::from(self.rate.burst.max(1));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLSITES && !buckets.contains_key(&key) {
            // They start again with full buckets; what they owe is in the counts of what was dropped.
            buckets.clear();
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: burst,
            filled: now,
            suppressed: 0,
        });
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * f64::from(self.rate.per_second)).min(burst);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            bucket.suppressed += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.suppressed))
    }
}

fn place(metadata: &Metadata<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (metadata.target(), metadata.file(), metadata.line()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing_core::callsite::Callsite;
    use tracing_core::subscriber::Interest;
    use tracing_core::{Kind, metadata};

    use super::*;

    struct Site(&'static Metadata<'static>);

    impl Callsite for Site {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            self.0
        }
    }

    macro_rules! site {
        ($level:expr) => {{
            static METADATA: Metadata<'static> = metadata! {
                name: "event", target: "here", level: $level, fields: &[], callsite: &SITE, kind: Kind::EVENT
            };
            static SITE: Site = Site(&METADATA);
            &METADATA
        }};
    }

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_the_next_to_pass_counts_the_others() {
        let (limit, site, start) = (RateLimit::new(RATE), site!(Level::INFO), Instant::now());
        let admit = |after: u64| limit.admit(site, None, start + Duration::from_millis(after));
        let burst = [admit(0), admit(0), admit(0), admit(0), admit(50)];
        assert_eq!(burst, [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([admit(150), admit(150)], [Some(2), None]);
        let later = [admit(100_000), admit(100_000), admit(100_000), admit(100_000)];
        assert_eq!(
            later,
            [Some(1), Some(0), Some(0), None],
            "a long pause fills one burst"
        );
        assert_eq!(admit(0), None, "a clock that goes back fills nothing");
    }

    #[test]
    fn call_sites_do_not_share_and_warnings_always_pass() {
        let (limit, now) = (RateLimit::new(RATE), Instant::now());
        let passed = |site, foreign: Option<&Metadata<'_>>| {
            let admitted = (0..100).filter_map(|_| limit.admit(site, foreign, now));
            admitted.count()
        };
        let site = site!(Level::INFO);
        assert_eq!(passed(site, None), 3);
        assert_eq!(passed(site!(Level::DEBUG), None), 3);
        assert_eq!(passed(site, Some(site!(Level::INFO))), 3);
        assert_eq!(passed(site!(Level::WARN), None), 100);
        assert_eq!(passed(site!(Level::ERROR), None), 100);
    }

    #[test]
    fn the_text_names_the_rate_and_perhaps_the_burst() {
        let read = |text: &str| {
            text.parse::<Rate>()
                .ok()
                .map(|rate| (rate.per_second, rate.burst))
        };
        assert_eq!(read("10/50"), Some((10, 50)));
        assert_eq!(read("10"), Some((10, 10)));
        assert_eq!(read("10/"), None);
        assert_eq!(read("many"), None);
    }
}
