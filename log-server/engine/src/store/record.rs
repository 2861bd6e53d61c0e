//! What is stored: a record, who sent it, and the id it was given.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use log_record::{LogRecord, Source, Timestamp, limits};

/// A record as the store hands it out.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// Its id.
    pub id: RecordId,
    /// Who sent it.
    pub source: Arc<Source>,
    /// What was sent.
    pub record: LogRecord,
}

/// Identifies a stored record for ever. Rises in order of arrival: the number of the batch times 2¹³ plus the place in
/// the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordId(u64);

const PLACE_BITS: u32 = 13;
// A batch's records all get ids of their own.
const _: () = assert!(limits::BATCH_RECORDS <= 1 << PLACE_BITS);

impl RecordId {
    /// Above every record's id.
    pub const MAX: RecordId = RecordId(u64::MAX);

    /// The record at `place` in the batch numbered `batch`.
    pub fn new(batch: i64, place: usize) -> RecordId {
        RecordId((batch.unsigned_abs() << PLACE_BITS) | place as u64)
    }

    /// Not below any record of that batch, and below every record of the next.
    pub(super) fn last_of(batch: i64) -> RecordId {
        RecordId::new(batch, (1 << PLACE_BITS) - 1)
    }

    /// The id as a number.
    pub(super) fn as_number(self) -> u64 {
        self.0
    }

    /// Its place in its batch.
    pub(super) fn place(self) -> usize {
        usize::try_from(self.0 & ((1 << PLACE_BITS) - 1)).expect("13 bits fit")
    }

    /// The number of its batch.
    pub fn batch(self) -> i64 {
        i64::try_from(self.0 >> PLACE_BITS).expect("51 bits fit")
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RecordId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<RecordId, Self::Err> {
        text.parse().map(RecordId)
    }
}

/// A place in the list of all records, newest first: time, then id. What follows it is strictly older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The record's time.
    pub time: Timestamp,
    /// Its id, which tells records of the same time apart.
    pub id: RecordId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time.as_nanos(), self.id)
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: take `next` from an earlier answer as it is")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Cursor, BadCursor> {
        let (time, id) = text.split_once('.').ok_or(BadCursor)?;
        let time = time.parse().map(Timestamp::from_nanos).map_err(|_| BadCursor)?;
        Ok(Cursor {
            time,
            id: id.parse().map_err(|_| BadCursor)?,
        })
    }
}

/// A span of time: `from` is in it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment in it.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl TimeRange {
    /// Everything.
    pub const ALL: TimeRange = TimeRange {
        from: Timestamp::MIN,
        to: Timestamp::MAX,
    };

    /// Whether `time` lies in it.
    pub fn holds(self, time: Timestamp) -> bool {
        self.from <= time && (time < self.to || self.to == Timestamp::MAX)
    }

    /// Whether something of the closed span `earliest..=latest` may lie in it.
    pub fn touches(self, earliest: Timestamp, latest: Timestamp) -> bool {
        self.from <= latest && (earliest < self.to || self.to == Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_cursors_survive_being_written() {
        let id = RecordId::new(7, 4_999);
        assert_eq!((id.to_string().parse(), id.batch()), (Ok(id), 7));
        let cursor = Cursor {
            time: Timestamp::from_nanos(-5),
            id,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for broken in ["", ".", "1", "1.x", "x.1", "1.2.3", "1.-2"] {
            assert_eq!(broken.parse::<Cursor>(), Err(BadCursor), "{broken:?}");
        }
    }

    #[test]
    fn a_range_holds_its_start_and_not_its_end() {
        let at = Timestamp::from_nanos;
        let range = TimeRange {
            from: at(10),
            to: at(20),
        };
        assert!(range.holds(at(10)) && range.holds(at(19)) && !range.holds(at(20)) && !range.holds(at(9)));
        assert!(range.touches(at(0), at(10)) && range.touches(at(19), at(30)));
        assert!(!range.touches(at(20), at(30)) && !range.touches(at(0), at(9)));
        assert!(TimeRange::ALL.holds(Timestamp::MAX) && TimeRange::ALL.holds(Timestamp::MIN));
    }
}
