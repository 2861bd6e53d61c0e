//! Losses become records that a search finds: what a sender says it had to refuse, and numbers that never arrived.
//!
//! Such a record has the sender's service and the flag `lost`, the level `warn` and the fields `count`, `reason`, `boot`
//! and, for a gap, `first_seq` and `last_seq`. What a batch declares is stored before the batch is answered, under a
//! number made of the batch's own: a resent batch declares nothing twice. Which numbers have arrived, were told missing
//! and told closed stands in the store, so no restart hides a gap or tells of it twice. A gap that is filled later gets a second
//! record, with the reason `gap_closed`, so `count` over the one less `count` over the other is what is missing.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log_record::{Batch, Source, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::query::{Field, Filter, Pattern, Test};
use crate::store::{Budget, Direction, Incoming, Search, Store, StoreError, TimeRange};

use super::gaps::{Gap, Gaps, Past};
use super::notice::{GAP, GAP_CLOSED, OWN, declared, own_boot, told};

/// How often it is looked whether gaps have become overdue.
const LOOK: Duration = Duration::from_secs(5);
/// Runs that are gone on with at a start; the rest when they send again.
const RESUMED: usize = 2_000;
/// How long it may take to find out whose run it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches what arrives.
#[derive(Clone)]
pub(crate) struct Losses {
    store: Store,
    gaps: Arc<Mutex<Gaps>>,
}

impl Losses {
    pub(crate) fn new(store: Store) -> Losses {
        Losses {
            store,
            gaps: Arc::default(),
        }
    }

    /// Stores what `batch` declares as lost, and what its arrival makes good. To be called once the batch is stored,
    /// and before it is answered.
    ///
    /// # Errors
    /// When a record could not be stored; the sender must send the batch again.
    pub(super) async fn take_note(&self, batch: &Note) -> Result<(), StoreError> {
        if let Some(declared) = &batch.declared {
            append(&self.store, declared.clone(), None).await?;
        }
        let (Some(numbers), Some(boot)) = (batch.numbers.clone(), &batch.source.boot) else {
            return Ok(());
        };
        if !self.gaps().knows(boot) {
            self.resume(&batch.source).await?;
        }
        let closed = self.gaps().arrived(&batch.source, numbers, Instant::now());
        self.tell_closed(closed).await
    }

    /// Tells of gaps until `stop`, also of those that an earlier run of the server saw.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        if let Err(error) = self.resume_all().await {
            tracing::warn!(%error, "gaps that were there before the start are told of when their senders send again");
        }
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            self.tell_overdue(Instant::now()).await;
        }
    }

    async fn tell_overdue(&self, now: Instant) {
        let overdue = self.gaps().overdue(now);
        for gap in overdue {
            if let Err(error) = self.tell(&gap).await {
                tracing::warn!(%error, ?gap, "a gap could not be recorded; it is tried again");
                self.gaps().untold(&gap);
            }
        }
    }

    /// Goes on with what is stored of a sender's run.
    async fn resume(&self, source: &Arc<Source>) -> Result<(), StoreError> {
        let Some(boot) = source.boot.clone() else {
            return Ok(());
        };
        let past = self.of_store(move |store| past(store, &boot)).await?;
        let closed = self.gaps().resume(source, &past, Instant::now());
        self.tell_closed(closed).await
    }

    /// Goes on with every run in which something is missing: its sender may not send again.
    async fn resume_all(&self) -> Result<(), StoreError> {
        let runs = self.of_store(|store| store.unsettled_runs(RESUMED)).await?;
        for boot in runs {
            if boot.starts_with(OWN) || self.gaps().knows(&boot) {
                continue;
            }
            let found = self.of_store(move |store| {
                if past(store, &boot)?.received.holes().is_empty() {
                    return Ok(None);
                }
                sender(store, &boot)
            });
            // Without records of it, whose they were cannot be told any more.
            if let Some(source) = found.await? {
                self.resume(&source).await?;
            }
        }
        Ok(())
    }

    async fn tell_closed(&self, closed: Vec<Gap>) -> Result<(), StoreError> {
        for gap in closed {
            let told = self.tell(&gap).await;
            if told.is_err()
                && let Some(boot) = &gap.source.boot
            {
                // What is stored of the run says what remains to be told.
                self.gaps().forget(boot);
            }
            told?;
        }
        Ok(())
    }

    async fn tell(&self, gap: &Gap) -> Result<(), StoreError> {
        append(&self.store, told(gap), Some(gap.numbers.clone())).await
    }

    async fn of_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&store)).await;
        asked.unwrap_or_else(|ended| Err(StoreError::Failed(ended.to_string())))
    }

    fn gaps(&self) -> MutexGuard<'_, Gaps> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What must be known of a batch after it went into the store.
pub(super) struct Note {
    source: Arc<Source>,
    declared: Option<Batch>,
    numbers: Option<RangeInclusive<u64>>,
}

impl Note {
    pub(super) fn of(incoming: &Incoming) -> Note {
        Note {
            source: incoming.source.clone(),
            declared: declared(incoming),
            numbers: incoming.numbers.clone(),
        }
    }
}

/// What is stored of a sender's run. The records that tell of its gaps are batches of the server's own runs, and stand
/// for the numbers they tell of.
fn past(store: &Store, boot: &str) -> Result<Past, StoreError> {
    Ok(Past {
        received: store.received(boot)?,
        told: store.received(&own_boot(GAP, boot))?,
        closed: store.received(&own_boot(GAP_CLOSED, boot))?,
    })
}

/// Whose run it is, as its newest record says.
fn sender(store: &Store, boot: &str) -> Result<Option<Arc<Source>>, StoreError> {
    let page = store.search(&Search {
        filter: &Filter::Field {
            field: Field::Boot,
            test: Test::Is(Pattern::new(&[boot])),
        },
        range: TimeRange::ALL,
        after: None,
        direction: Direction::Older,
        limit: 1,
        budget: &Budget::until(Instant::now() + PATIENCE),
    })?;
    let found = page.records.into_iter().map(|found| found.source);
    // The language compares without case.
    Ok(found.last().filter(|source| source.boot.as_deref() == Some(boot)))
}

/// `numbers`: those of the sender's run that it tells of.
async fn append(store: &Store, batch: Batch, numbers: Option<RangeInclusive<u64>>) -> Result<(), StoreError> {
    let incoming = Incoming::read(&batch.to_json(), Timestamp::now());
    let incoming = Incoming {
        numbers,
        ..incoming.expect("a batch that was written can be read")
    };
    match store.append(incoming).await {
        // Another batch of that number declared something else; the first one counts.
        Ok(_) | Err(StoreError::Reused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::super::gaps::GRACE;
    use super::*;
    use crate::query;

    /// Stores a batch of the run `b` with these numbers as the RPC side does, and takes note of it.
    async fn deliver(losses: &Losses, [first, last]: [u64; 2]) {
        let json = format!(
            r#"{{"source":{{"service":"s","boot":"b"}},"no":{first},"records":[{{"seq":{first}}},{{"seq":{last}}}],
            "dropped":[{{"level":"info","reason":"full","count":3,"from":5,"to":9}}]}}"#
        );
        let incoming = Incoming::read(&json, Timestamp::from_nanos(1)).unwrap();
        let note = Note::of(&incoming);
        losses.store.append(incoming).await.unwrap();
        losses.take_note(&note).await.unwrap();
    }

    /// What was told, in order of the alphabet.
    fn told(store: &Store, q: &str) -> Vec<String> {
        let filter = query::parse(&format!("flags:lost service:s fields.boot:b {q}"));
        let page = store.search(&Search {
            filter: &filter.unwrap().filter,
            range: TimeRange::ALL,
            after: None,
            direction: Direction::Older,
            limit: 100,
            budget: &Budget::until(Instant::now() + PATIENCE),
        });
        let records = page.unwrap().records;
        let messages = records.into_iter().map(|found| found.record.message.into_owned());
        let mut messages: Vec<_> = messages.collect();
        messages.sort();
        messages
    }

    #[tokio::test]
    async fn a_resent_batch_declares_nothing_twice_and_late_numbers_close_their_gap() {
        let data = tempfile::TempDir::new().unwrap();
        let losses = Losses::new(Store::open(data.path()).unwrap());
        for numbers in [[1, 2], [1, 2], [9, 10]] {
            deliver(&losses, numbers).await;
        }
        losses.tell_overdue(Instant::now() + GRACE).await;
        deliver(&losses, [3, 5]).await;
        assert_eq!(
            told(&losses.store, ""),
            [
                "3 records arrived late",
                "3 records lost: full",
                "3 records lost: full",
                "3 records lost: full",
                "6 records lost: never arrived"
            ]
        );
    }

    /// What one life of the server does before it is killed.
    #[derive(Debug, Clone, Copy)]
    enum Life {
        /// These numbers arrive.
        Takes([u64; 2]),
        /// It starts, and the grace passes.
        Waits,
    }

    const DATA: &str = "LOG_SERVER_GAP_DATA";
    const LIFE: &str = "LOG_SERVER_GAP_LIFE";

    const LIVES: [(Life, &[&str]); 9] = [
        (Life::Takes([1, 2]), &[]),
        // The server was away, and so was whatever had 3 to 8.
        (Life::Takes([9, 10]), &[]),
        (Life::Waits, &["6 records lost: never arrived"]),
        (Life::Waits, &["6 records lost: never arrived"]),
        (
            Life::Takes([4, 5]),
            &["2 records arrived late", "6 records lost: never arrived"],
        ),
        (
            Life::Waits,
            &["2 records arrived late", "6 records lost: never arrived"],
        ),
        (
            Life::Takes([4, 5]),
            &["2 records arrived late", "6 records lost: never arrived"],
        ),
        (
            Life::Takes([12, 13]),
            &["2 records arrived late", "6 records lost: never arrived"],
        ),
        (
            Life::Waits,
            &[
                "1 record lost: never arrived",
                "2 records arrived late",
                "6 records lost: never arrived",
            ],
        ),
    ];

    /// What the child does until it is killed.
    #[tokio::test]
    async fn a_child_lives_until_it_is_killed() {
        let (Ok(data), Ok(life)) = (std::env::var(DATA), std::env::var(LIFE)) else {
            // Run among the other tests there is nothing to live for.
            assert!(std::env::var(DATA).is_err());
            return;
        };
        let data = Path::new(&data);
        let losses = Losses::new(Store::open(data).unwrap());
        match LIVES[life.parse::<usize>().unwrap()].0 {
            Life::Takes(numbers) => deliver(&losses, numbers).await,
            Life::Waits => {
                losses.resume_all().await.unwrap();
                losses.tell_overdue(Instant::now() + GRACE).await;
            }
        }
        std::fs::write(data.join(&life), "").unwrap();
        std::future::pending().await
    }

    #[test]
    fn a_gap_over_a_restart_is_told_once_and_closed_once_whenever_the_server_is_killed() {
        let data = tempfile::TempDir::new().unwrap();
        for (number, (life, expected)) in LIVES.iter().enumerate() {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child
                .args([
                    "--exact",
                    "ingest::losses::tests::a_child_lives_until_it_is_killed",
                ])
                .envs([(DATA, data.path().to_str().unwrap()), (LIFE, &number.to_string())])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = child.spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(120);
            while !data.path().join(number.to_string()).exists() {
                assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
                std::thread::sleep(Duration::from_millis(5)); // polling
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let store = Store::open(data.path()).unwrap();
            assert_eq!(told(&store, "-reason:full"), *expected, "{number} {life:?}");
            store.close();
        }
    }
}
