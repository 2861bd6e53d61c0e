//! A batch that is to be stored.

use std::ops::RangeInclusive;

use log_record::{Batch, Timestamp};

/// A batch that has arrived.
#[derive(Debug)]
pub struct Incoming {
    /// What it says.
    pub batch: Batch,
    /// Its JSON as it came; this is what is kept.
    pub text: Box<str>,
    /// When it came: the time of records that bring none.
    pub arrived: Timestamp,
    /// The numbers in the sender's run that it stands for; [`Store::received`](super::Store::received) tells them all.
    pub numbers: Option<RangeInclusive<u64>>,
}

impl Incoming {
    /// A batch that stands for the numbers of its records.
    pub fn new(batch: Batch, text: Box<str>, arrived: Timestamp) -> Incoming {
        Incoming {
            numbers: numbers(&batch),
            batch,
            text,
            arrived,
        }
    }
}

/// The lowest to the highest number of the batch's records. Records that could not be read at its ends had the numbers
/// next to these: they have arrived, and the sender is told of them.
fn numbers(batch: &Batch) -> Option<RangeInclusive<u64>> {
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
        let batch = Batch::parse(&text, Timestamp::from_nanos(1)).unwrap();
        assert_eq!(numbers(&batch), expected, "{records}");
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
