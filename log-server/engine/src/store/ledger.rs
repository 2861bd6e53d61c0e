//! Which batches were stored before. Per run of a sender the numbers up to a high-water mark, and the exceptions above
//! it: senders number from 1 without holes, so the exceptions are few.
//!
//! What is in memory is a cache of the live partition, where the ledger of sealed batches stands in `boots` and the
//! content they had in `sent`; unsealed ones are their own entry. A new partition begins with what the one before it
//! knew, so the ledger outlives the records, and starting reads none of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use log_record::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::partition::low_half;
use super::received::Received;

/// How long a sender that was not heard of is remembered. Senders give up resending long before.
pub(super) const WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Runs of senders that a new partition is told of, the latest ones: 16 MB of it at most.
const CARRIED: i64 = 200_000;
/// Runs kept in memory, about 200 bytes each; the others are read again when they send again.
const IN_MEMORY: usize = 20_000;
/// Exceptions kept for a run. A sender with more does not number as it should, and is looked up batch by batch.
const EXCEPTIONS: usize = 1_000;

const BOOT: &str = "SELECT contiguous, above FROM boots WHERE boot = ?1";
const UNSEALED: &str = "SELECT no FROM batches WHERE boot = ?1";
const RECEIVED: &str = "SELECT received FROM boots WHERE boot = ?1";
const RECEIVED_UNSEALED: &str = "SELECT first_seq, last_seq FROM batches WHERE boot = ?1";
const UNSETTLED: &str = "SELECT boot FROM (SELECT boot, seen FROM boots WHERE length(received) > 16
        UNION ALL SELECT boot, arrived FROM batches WHERE first_seq IS NOT NULL AND boot IS NOT NULL)
    GROUP BY boot ORDER BY max(seen) DESC LIMIT ?1";
const STORE_BOOT: &str =
    "INSERT INTO boots (boot, contiguous, above, seen, received) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (boot) DO UPDATE SET contiguous = excluded.contiguous, above = excluded.above,
        seen = max(seen, excluded.seen), received = excluded.received RETURNING id";
const TO_SEAL: &str = "SELECT boot, no, hash, arrived, first_seq, last_seq FROM batches
    WHERE id > ?1 AND id <= ?2 AND boot IS NOT NULL ORDER BY boot, no";
const STORE_SENT: &str = "INSERT INTO sent (boot, first, last, hashes) VALUES (?1, ?2, ?3, ?4)";
const SEALED_BOOTS: &str = "SELECT boot, contiguous, above, seen, received FROM boots WHERE seen >= ?1
    ORDER BY seen DESC LIMIT ?2";
const UNSEALED_BOOTS: &str = "SELECT boot, max(arrived) FROM batches WHERE boot IS NOT NULL GROUP BY boot";

#[derive(Debug, Default)]
pub(super) struct Ledger {
    boots: HashMap<Arc<str>, Numbers>,
}

/// What the ledger says of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not stored.
    No,
    /// It was.
    Yes,
    /// The sender does not number its batches in order; only looking for the batch itself tells.
    Perhaps,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Numbers {
    /// Every number from 1 to this one was seen.
    contiguous: u64,
    /// Numbers above it that were seen; `None`: too many to keep.
    above: Option<BTreeSet<u64>>,
}

impl Ledger {
    /// Whether the batch was stored. What is not in memory is read through `live`, a connection to the live partition;
    /// if its transaction is then rolled back, so must be what was read: see [`Ledger::forget`].
    pub(super) fn known(&mut self, live: &Connection, boot: &str, no: u64) -> rusqlite::Result<Known> {
        if let Some(numbers) = self.boots.get(boot) {
            return Ok(numbers.known(no));
        }
        if self.boots.len() >= IN_MEMORY {
            self.forget();
        }
        let numbers = Numbers::read(live, boot)?;
        let known = numbers.known(no);
        self.boots.insert(boot.into(), numbers);
        Ok(known)
    }

    /// Enters a batch that is stored for good.
    pub(super) fn insert(&mut self, boot: &Arc<str>, no: u64) {
        // A run that is not in memory is read with this batch in it when it is needed.
        if let Some(numbers) = self.boots.get_mut(boot) {
            numbers.insert(no);
        }
    }

    /// Empties the memory; everything is read again when it is needed.
    pub(super) fn forget(&mut self) {
        self.boots.clear();
    }
}

/// Enters the batches after id `after` up to `through`, which are sealed in the same transaction.
pub(super) fn seal(writer: &Connection, after: i64, through: i64) -> rusqlite::Result<()> {
    let mut statement = writer.prepare_cached(TO_SEAL)?;
    let mut rows = statement.query([after, through])?;
    let mut sender: Option<Sender> = None;
    while let Some(row) = rows.next()? {
        let boot = row.get_ref(0)?.as_str()?;
        if sender.as_ref().is_none_or(|sender| sender.boot != boot) {
            sender.take().map_or(Ok(()), |sender| sender.store(writer))?;
            sender = Some(Sender {
                numbers: Numbers::sealed(writer, boot)?,
                received: received_sealed(writer, boot)?,
                boot: boot.to_owned(),
                runs: Vec::new(),
                seen: i64::MIN,
            });
        }
        let sender = sender.as_mut().expect("just made");
        let no: i64 = row.get(1)?;
        sender.numbers.insert(no.cast_unsigned());
        sender.seen = sender.seen.max(row.get(3)?);
        sender.received.insert_row(row.get(4)?, row.get(5)?);
        let hash = low_half(row.get(2)?).to_le_bytes();
        match sender.runs.last_mut() {
            Some(run) if run.last.checked_add(1) == Some(no) => {
                run.last = no;
                run.hashes.extend(hash);
            }
            _ => sender.runs.push(Run {
                first: no,
                last: no,
                hashes: hash.to_vec(),
            }),
        }
    }
    sender.map_or(Ok(()), |sender| sender.store(writer))
}

/// Tells a new partition what the one before it knows.
pub(super) fn carry(old: &Connection, new: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let cutoff = now.as_nanos().saturating_sub(nanoseconds(WINDOW));
    let mut statement = old.prepare(SEALED_BOOTS)?;
    let mut rows = statement.query([cutoff, CARRIED])?;
    let mut store = new.prepare(STORE_BOOT)?;
    while let Some(row) = rows.next()? {
        let values: [Value; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        store.query_row(values, |_| Ok(()))?;
    }
    let mut statement = old.prepare(UNSEALED_BOOTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let boot = row.get_ref(0)?.as_str()?;
        let numbers = Numbers::read(old, boot)?;
        numbers.store(new, boot, row.get(1)?, &received(old, boot)?)?;
    }
    Ok(())
}

/// Which record numbers of the run have arrived.
pub(super) fn received(reader: &Connection, boot: &str) -> rusqlite::Result<Received> {
    let mut received = received_sealed(reader, boot)?;
    let mut statement = reader.prepare_cached(RECEIVED_UNSEALED)?;
    let mut rows = statement.query([boot])?;
    while let Some(row) = rows.next()? {
        received.insert_row(row.get(0)?, row.get(1)?);
    }
    Ok(received)
}

/// The same from sealed batches.
fn received_sealed(reader: &Connection, boot: &str) -> rusqlite::Result<Received> {
    let mut statement = reader.prepare_cached(RECEIVED)?;
    let bytes: Option<Option<Vec<u8>>> = statement.query_row([boot], |row| row.get(0)).optional()?;
    Ok(bytes
        .flatten()
        .map_or_else(Received::default, |bytes| Received::from_bytes(&bytes)))
}

/// Runs with holes, and runs that may get some from what is not sealed.
pub(super) fn unsettled(reader: &Connection, most: usize) -> rusqlite::Result<Vec<String>> {
    let mut statement = reader.prepare(UNSETTLED)?;
    let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
    rows.collect()
}

/// What one sender's batches add to the ledger.
struct Sender {
    boot: String,
    numbers: Numbers,
    received: Received,
    runs: Vec<Run>,
    seen: i64,
}

/// Batches numbered without a hole.
struct Run {
    first: i64,
    last: i64,
    hashes: Vec<u8>,
}

impl Sender {
    fn store(self, writer: &Connection) -> rusqlite::Result<()> {
        let boot = self
            .numbers
            .store(writer, &self.boot, self.seen, &self.received)?;
        let mut statement = writer.prepare_cached(STORE_SENT)?;
        for run in self.runs {
            statement.execute(params![boot, run.first, run.last, run.hashes])?;
        }
        Ok(())
    }
}

impl Numbers {
    /// Everything the partition knows of the sender.
    fn read(reader: &Connection, boot: &str) -> rusqlite::Result<Numbers> {
        let mut numbers = Numbers::sealed(reader, boot)?;
        let mut statement = reader.prepare_cached(UNSEALED)?;
        let mut rows = statement.query([boot])?;
        while let Some(row) = rows.next()? {
            numbers.insert(row.get::<_, i64>(0)?.cast_unsigned());
        }
        Ok(numbers)
    }

    /// What it knows from sealed batches.
    fn sealed(reader: &Connection, boot: &str) -> rusqlite::Result<Numbers> {
        let mut statement = reader.prepare_cached(BOOT)?;
        let known = statement.query_row([boot], |row| {
            let above: Option<Vec<u8>> = row.get(1)?;
            Ok(Numbers {
                contiguous: row.get::<_, i64>(0)?.cast_unsigned(),
                above: above.map(|bytes| {
                    let (numbers, _) = bytes.as_chunks();
                    numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
                }),
            })
        });
        Ok(known.optional()?.unwrap_or(Numbers {
            contiguous: 0,
            above: Some(BTreeSet::new()),
        }))
    }

    fn store(
        &self,
        writer: &Connection,
        boot: &str,
        seen: i64,
        received: &Received,
    ) -> rusqlite::Result<i64> {
        let above: Option<Vec<u8>> = self
            .above
            .as_ref()
            .map(|above| above.iter().flat_map(|no| no.to_le_bytes()).collect());
        writer.prepare_cached(STORE_BOOT)?.query_row(
            params![
                boot,
                self.contiguous.cast_signed(),
                above,
                seen,
                received.to_bytes()
            ],
            |row| row.get(0),
        )
    }

    fn known(&self, no: u64) -> Known {
        if (1..=self.contiguous).contains(&no) {
            return Known::Yes;
        }
        match &self.above {
            Some(above) if above.contains(&no) => Known::Yes,
            Some(_) => Known::No,
            None => Known::Perhaps,
        }
    }

    fn insert(&mut self, no: u64) {
        let Some(above) = &mut self.above else { return };
        if no > self.contiguous || no == 0 {
            above.insert(no);
        }
        while above.remove(&(self.contiguous + 1)) {
            self.contiguous += 1;
        }
        if above.len() > EXCEPTIONS {
            self.above = None;
        }
    }
}

pub(super) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Numbers {
        Numbers {
            contiguous: 0,
            above: Some(BTreeSet::new()),
        }
    }

    #[test]
    fn knows_exactly_the_numbers_it_was_given_in_any_order() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut numbers = empty();
            let mut given = BTreeSet::new();
            for _ in 0..random.usize(0..40) {
                let no = random.u64(0..30);
                given.insert(no);
                numbers.insert(no);
            }
            for no in 0..40 {
                let expected = if given.contains(&no) {
                    Known::Yes
                } else {
                    Known::No
                };
                assert_eq!(numbers.known(no), expected, "{no} of {given:?}");
            }
        }
    }

    #[test]
    fn numbers_without_holes_cost_no_memory_and_too_many_holes_a_bounded_one() {
        let mut numbers = empty();
        for no in (1..=EXCEPTIONS as u64).rev() {
            numbers.insert(no);
        }
        assert_eq!(numbers.above.as_ref().map(BTreeSet::len), Some(0));
        for no in 1..=2 * EXCEPTIONS as u64 {
            numbers.insert(1_000_000 + 2 * no);
        }
        assert_eq!(numbers.above, None);
        assert_eq!(numbers.known(7), Known::Yes);
        assert_eq!(numbers.known(1_000_003), Known::Perhaps);
    }
}
