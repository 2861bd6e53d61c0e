//! Times as people write them in a parameter.

use std::time::Duration;

use log_record::Timestamp;

use super::SearchError;
use crate::store::TimeRange;

/// The range between two moments; an end that is not given is open.
pub(super) fn range(from: Option<&str>, to: Option<&str>) -> Result<TimeRange, SearchError> {
    let now = Timestamp::now();
    let range = TimeRange {
        from: from.map_or(Ok(Timestamp::MIN), |text| moment("from", text, now))?,
        to: to.map_or(Ok(Timestamp::MAX), |text| moment("to", text, now))?,
    };
    if range.to < range.from {
        return Err(SearchError::BadParameter {
            name: "to",
            why: "it is before `from`".into(),
        });
    }
    Ok(range)
}

/// RFC 3339, nanoseconds since 1970, `now`, or so long before now: `-15m`, `-1h`, `-7d`. `all` leaves the start open.
fn moment(name: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, SearchError> {
    let known = match text {
        "now" => Some(now),
        "all" if name == "from" => Some(Timestamp::MIN),
        _ => ago(text)
            .map(|ago| now.before(ago))
            .or_else(|| text.parse().map(Timestamp::from_nanos).ok()),
    };
    known
        .or_else(|| text.parse().ok())
        .ok_or_else(|| SearchError::BadParameter {
            name,
            why: format!(
                "expected a time such as 2026-01-31T08:00:00Z, -15m, -1h, -7d or now, found {text:?}"
            ),
        })
}

/// `-` then a number and one of `ms s m h d w`. Months are not accepted: `m` is a minute.
fn ago(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('-')?;
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds_ago: Option<i64>) {
        let now = Timestamp::from_nanos(1_790_000_000_000_000_000);
        let found = moment("from", text, now)
            .ok()
            .map(|time| (now.as_nanos() - time.as_nanos()) / 1_000_000_000);
        assert_eq!(found, seconds_ago, "{text:?}");
    }

    #[test]
    fn moments_are_read_in_every_documented_form() {
        check("now", Some(0));
        check("-90s", Some(90));
        check("-15m", Some(900));
        check("-1h", Some(3_600));
        check("-7d", Some(604_800));
        check("-2w", Some(1_209_600));
        check("1789999999000000000", Some(1));
        check("2026-09-21T14:13:10Z", Some(10));
        check("2026-09-21T16:13:10+02:00", Some(10));
        for wrong in [
            "1h",
            "-1",
            "-h",
            "-1y",
            "-1M",
            "yesterday",
            "-99999999999999999999s",
            "2026-13-01T00:00:00Z",
        ] {
            check(wrong, if wrong == "-1" { Some(1_790_000_000) } else { None });
        }
    }

    #[test]
    fn a_reversed_range_is_refused() {
        assert!(range(Some("now"), Some("-1h")).is_err());
        assert_eq!(range(None, None).unwrap(), TimeRange::ALL);
    }

    #[test]
    fn all_leaves_the_start_open_as_the_page_writes_it() {
        assert_eq!(range(Some("all"), None).unwrap(), TimeRange::ALL);
        assert!(range(None, Some("all")).is_err());
    }
}
