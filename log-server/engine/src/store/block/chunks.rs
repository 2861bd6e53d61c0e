//! What is known of rows by the chunk, without decoding them: times and levels. Counting over time and looking for the
//! newest leave most of a block unread by it.
//!
//! Format: for each chunk, how long after the block's earliest row its earliest is, how long after that its latest, and
//! how many rows it has of each level; all numbers.

use std::ops::Range;

use log_record::Level;

use super::bytes::{Damaged, Reader, damaged, put_number};
use super::integers::CHUNK;
use super::{CHUNKS, Loaded, Summary};

/// Some rows of a block, one after the other.
pub(in crate::store) struct Chunk {
    pub(in crate::store) rows: Range<usize>,
    /// The times of the earliest and of the latest of them.
    pub(in crate::store) earliest: i64,
    pub(in crate::store) latest: i64,
    /// How many of each level; `None` if that is not known.
    pub(in crate::store) counts: Option<[u64; Level::ALL.len()]>,
}

/// Writes what is known of rows with these times; `level` says of each row which it has.
pub(super) fn put(out: &mut Vec<u8>, summary: &Summary, times: &[i64], level: impl Fn(usize) -> Level) {
    for (index, times) in times.chunks(CHUNK).enumerate() {
        let (earliest, latest) = times
            .iter()
            .fold((i64::MAX, i64::MIN), |(earliest, latest), time| {
                (earliest.min(*time), latest.max(*time))
            });
        let mut counts = [0; Level::ALL.len()];
        (0..times.len()).for_each(|row| counts[level(index * CHUNK + row) as usize] += 1);
        put_number(
            out,
            earliest.wrapping_sub(summary.earliest.as_nanos()).cast_unsigned(),
        );
        put_number(out, latest.wrapping_sub(earliest).cast_unsigned());
        counts.into_iter().for_each(|count| put_number(out, count));
    }
}

/// The chunks of a block; one of all rows if nothing was written of them.
pub(in crate::store) fn of(summary: &Summary, loaded: &Loaded<'_>) -> Result<Vec<Chunk>, Damaged> {
    read(loaded.column_if_there(CHUNKS)?, summary)
}

fn read(reader: Option<Reader<'_>>, summary: &Summary) -> Result<Vec<Chunk>, Damaged> {
    const OTHERS: Damaged = damaged("chunks have other rows than their block");
    let (all, rows) = (
        (summary.earliest.as_nanos(), summary.latest.as_nanos()),
        summary.rows as usize,
    );
    let Some(mut reader) = reader else {
        return Ok(vec![Chunk {
            rows: 0..rows,
            earliest: all.0,
            latest: all.1,
            counts: None,
        }]);
    };
    let mut sum = [0; Level::ALL.len()];
    let chunks = (0..rows).step_by(CHUNK).map(|start| {
        let rows = start..rows.min(start + CHUNK);
        let earliest = all.0.checked_add_unsigned(reader.number()?).ok_or(OTHERS)?;
        let latest = earliest.checked_add_unsigned(reader.number()?).ok_or(OTHERS)?;
        let mut counts = [0; Level::ALL.len()];
        for (count, sum) in counts.iter_mut().zip(&mut sum) {
            *count = reader.count(rows.len())? as u64;
            *sum += *count;
        }
        if latest > all.1 || counts.iter().sum::<u64>() != rows.len() as u64 {
            return Err(OTHERS);
        }
        Ok(Chunk {
            rows,
            earliest,
            latest,
            counts: Some(counts),
        })
    });
    let chunks = chunks.collect::<Result<Vec<_>, _>>()?;
    if sum.into_iter().eq(summary.counts.into_iter().map(u64::from)) && reader.length() == 0 {
        Ok(chunks)
    } else {
        Err(OTHERS)
    }
}

#[cfg(test)]
mod tests {
    use log_record::Timestamp;

    use super::*;

    fn summary(times: &[i64], counts: [u32; Level::ALL.len()]) -> Summary {
        let time = |time: Option<&i64>| Timestamp::from_nanos(*time.unwrap());
        Summary {
            first_batch: 1,
            last_batch: 1,
            rows: times.len() as u32,
            earliest: time(times.iter().min()),
            latest: time(times.iter().max()),
            counts,
        }
    }

    #[test]
    fn chunks_say_what_a_look_at_each_row_says() {
        let mut random = fastrand::Rng::with_seed(3);
        for rows in [1, CHUNK, CHUNK + 1, 3 * CHUNK - 7] {
            let times: Vec<i64> = (0..rows).map(|row| row as i64 * 10 - random.i64(0..50)).collect();
            let levels: Vec<Level> = (0..rows).map(|_| *random.choice(&Level::ALL).unwrap()).collect();
            let count = |rows: Range<usize>| {
                let mut counts = [0; Level::ALL.len()];
                levels[rows].iter().for_each(|level| counts[*level as usize] += 1);
                counts
            };
            let summary = summary(&times, count(0..rows).map(|count| count as u32));
            let mut bytes = Vec::new();
            put(&mut bytes, &summary, &times, |row| levels[row]);
            let chunks = read(Some(Reader::new(&bytes)), &summary).unwrap();
            assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), rows);
            for chunk in chunks {
                let of_chunk = &times[chunk.rows.clone()];
                assert_eq!(Some(&chunk.earliest), of_chunk.iter().min());
                assert_eq!(Some(&chunk.latest), of_chunk.iter().max());
                assert_eq!(chunk.counts, Some(count(chunk.rows)));
            }
        }
    }

    #[test]
    fn chunks_that_do_not_fit_their_block_are_damage() {
        let (times, mut counts) = ([3, 9, 5], [0; Level::ALL.len()]);
        counts[Level::Info as usize] = 3;
        let summary = summary(&times, counts);
        let mut bytes = Vec::new();
        put(&mut bytes, &summary, &times, |_| Level::Info);
        assert!(read(Some(Reader::new(&bytes)), &summary).is_ok());
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] += 1;
            assert!(read(Some(Reader::new(&other)), &summary).is_err(), "byte {place}");
        }
        assert!(read(Some(Reader::new(&bytes[1..])), &summary).is_err());
        assert_eq!(read(None, &summary).unwrap()[0].rows, 0..3);
    }
}
