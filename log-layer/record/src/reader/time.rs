//! When a record happened, as any language writes it.

use std::time::Duration;

use super::Reader;
use super::record::Reading;
use crate::flags::{Flag, Flags};
use crate::json::{Number, Stop};
use crate::timestamp::Timestamp;

impl Reader<'_> {
    /// An integer of nanoseconds or an RFC 3339 string; other languages' seconds, milli- and microseconds are told by
    /// their size.
    pub(super) fn time(&mut self, arrived: Timestamp, flags: &mut Flags) -> Result<Reading<Timestamp>, Stop> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let place = self.json.place();
        let known = match self.json.peek() {
            Some(b'n') => return self.json.word("null").map(|()| Reading::Missing),
            Some(b'-' | b'0'..=b'9') => Some(from_number(&self.json.number()?)),
            // Mended text is no time anyway.
            Some(b'"') => self.json.string()?.exact().and_then(|text| text.parse().ok()),
            _ => self.json.skip().map(|_| None)?,
        };
        let Some(time) = known else {
            return Ok(Reading::Odd(place));
        };
        if time > arrived.after(DAY) || time < arrived.before(DAY * 3653) {
            flags.set(Flag::TimeSuspect);
        }
        Ok(Reading::Known(time))
    }
}

fn from_number(number: &Number<'_>) -> Timestamp {
    Timestamp::from_nanos(match number.as_i64() {
        Some(whole) => scaled(whole),
        None => from_fraction(number.as_f64()),
    })
}

/// Nanoseconds from a count of seconds, milli-, micro- or nanoseconds. The bounds are the year 5138 in the smaller unit
/// and the spring of 1973 in the larger, so no time of our century is misread.
fn scaled(number: i64) -> i64 {
    let scale = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.saturating_mul(scale)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a nanosecond is dropped; the cast saturates"
)]
#[expect(clippy::cast_precision_loss, reason = "the ratio is 1, 10^3, 10^6 or 10^9")]
fn from_fraction(number: f64) -> i64 {
    let whole = number as i64;
    let scale = if whole == 0 {
        1_000_000_000.0
    } else {
        scaled(whole) as f64 / whole as f64
    };
    (number * scale) as i64
}
