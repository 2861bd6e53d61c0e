//! A batch that is to be stored.

use std::ops::RangeInclusive;
use std::sync::Arc;

use log_record::{BatchError, BorrowedBatch, Dropped, Outline, Rejected, Source, Timestamp};

/// A batch that has arrived: its text, which is what is kept, and what must be known of it at once. The records
/// themselves are read when somebody searches, and when they are sealed.
#[derive(Debug)]
pub struct Incoming {
    /// Who sent it.
    pub source: Arc<Source>,
    /// Number within the sender's run; with the run it tells a repeat.
    pub no: Option<u64>,
    /// What the sender refused to take since its last batch.
    pub dropped: Vec<Dropped>,
    /// The records that could not be read.
    pub rejected: Vec<Rejected>,
    /// How many records could be read.
    pub records: usize,
    /// The times of the earliest and the latest, if there are records.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Its JSON as it came.
    pub text: Box<str>,
    /// When it came: the time of records that bring none.
    pub arrived: Timestamp,
    /// The numbers in the sender's run that it stands for; [`Store::received`](super::Store::received) tells them all.
    pub numbers: Option<RangeInclusive<u64>>,
}

impl Incoming {
    /// Reads a batch, which stands for the numbers of its records.
    ///
    /// # Errors
    /// When nothing of it can be used.
    pub fn read(text: &str, arrived: Timestamp) -> Result<Incoming, BatchError> {
        let batch = Outline::read(text, arrived)?;
        let times = batch.records.iter().map(|record| record.time);
        Ok(Incoming {
            numbers: numbers(&batch),
            times: span(times),
            records: batch.records.len(),
            source: batch.source,
            no: batch.no,
            dropped: batch.dropped,
            rejected: batch.rejected,
            text: text.into(),
            arrived,
        })
    }
}

/// The times of its earliest and its latest record.
pub(super) fn times(batch: &BorrowedBatch<'_>) -> Option<(Timestamp, Timestamp)> {
    span(batch.records.iter().map(|record| record.time))
}

fn span(times: impl Iterator<Item = Timestamp> + Clone) -> Option<(Timestamp, Timestamp)> {
    times.clone().min().zip(times.max())
}

/// The lowest to the highest number of the batch's records. Records that could not be read at its ends had the numbers
/// next to these: they have arrived, and the sender is told of them.
fn numbers(batch: &Outline) -> Option<RangeInclusive<u64>> {
    let numbers = || batch.records.iter().filter_map(|record| record.seq);
    let (first, last) = numbers().min().zip(numbers().max())?;
    let rejected = || batch.rejected.iter().map(|rejected| rejected.index);
    let count = batch.records.len() + batch.rejected.len();
    let before = (0..).zip(rejected()).take_while(|(place, index)| place == index);
    let after = (0..count)
        .rev()
        .zip(rejected().rev())
        .take_while(|(place, index)| place == index);
    let before = before.count() as u64;
    Some(first.saturating_sub(before)..=last.saturating_add(after.count() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(records: &str, expected: Option<RangeInclusive<u64>>) {
        let text = format!(r#"{{"source":{{"service":"s"}},"records":[{records}]}}"#);
        let incoming = Incoming::read(&text, Timestamp::from_nanos(1)).unwrap();
        assert_eq!(incoming.numbers, expected, "{records}");
    }

    #[test]
    fn a_batch_stands_for_the_numbers_of_all_its_records_also_of_those_that_cannot_be_read() {
        check(r#"{"seq":4},{"seq":6},{"seq":5}"#, Some(4..=6));
        check(r#"{"seq":4},7,{"seq":6}"#, Some(4..=6));
        check(r#"7,8,{"seq":4},{"seq":5},9"#, Some(2..=6));
        check(r#"{"message":"without"}"#, None);
        check("7", None);
        check("", None);
    }
}
