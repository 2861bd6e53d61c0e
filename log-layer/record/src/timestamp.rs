//! A moment, in nanoseconds since the Unix epoch. Covers the years 1678 to 2262; what lies outside saturates.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A moment in UTC, nanoseconds since 1970. Serialises as that integer; displays as RFC 3339 with nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest moment.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This machine's clock.
    pub fn now() -> Timestamp {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            // A clock before 1970 is wrong, but no reason to panic in somebody's program.
            Err(before) => Timestamp(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n)),
        }
    }

    /// `self + duration`, saturating.
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(nanos(duration)))
    }

    /// `self - duration`, saturating.
    pub fn before(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .expect("every i64 of nanoseconds lies within jiff's range");
        write!(f, "{time:.9}")
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// RFC 3339; the offset may be missing only as `Z`.
    fn from_str(text: &str) -> Result<Timestamp, jiff::Error> {
        let time: jiff::Timestamp = text.parse()?;
        let clamped = time
            .as_nanosecond()
            .clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Ok(Timestamp(i64::try_from(clamped).expect("clamped to the range")))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_rfc3339_with_nanoseconds() {
        let time = Timestamp::from_nanos(1_790_000_000_123_456_789);
        assert_eq!(time.to_string(), "2026-09-21T14:13:20.123456789Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!(
            "2026-09-21T16:13:20+02:00"
                .parse::<Timestamp>()
                .unwrap()
                .as_nanos(),
            1_790_000_000_000_000_000
        );
    }

    #[test]
    fn extremes_neither_panic_nor_wrap() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
        assert_eq!(
            "9999-12-30T00:00:00Z".parse::<Timestamp>().unwrap(),
            Timestamp::MAX
        );
        assert_eq!(Timestamp::MAX.after(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.before(Duration::from_secs(1)), Timestamp::MIN);
    }
}
