//! Losses become records that a search finds: what a sender says it had to refuse, and numbers that never arrived.
//!
//! Such a record has the sender's service and the flag `lost`, the level `warn` and the fields `count`, `reason`, `boot`
//! and, for a gap, `first_seq` and `last_seq`. What a batch declares is stored before the batch is answered, under a
//! number made of the batch's own: a resent batch declares nothing twice. A gap that is filled later gets a second
//! record, with the reason `gap_closed`, so `count` over the one less `count` over the other is what is missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log_record::{Batch, CallSite, Flag, Flags, Kind, Level, LogRecord, Source, Timestamp, Value};
use tokio_util::sync::CancellationToken;

use crate::store::{Incoming, Store, StoreError};

use super::gaps::{Gap, Gaps};

/// How often it is looked whether gaps have become overdue.
const LOOK: Duration = Duration::from_secs(5);
/// Runs of the server's own, one per kind of loss and sender's run: `log-server:dropped:<boot>`.
const BOOT: &str = "log-server";
/// Losses that one batch may declare; a sender has a handful of reasons and five levels.
const DECLARED: usize = 100;

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
            append(&self.store, declared.clone()).await?;
        }
        let Some(numbers) = batch.numbers.clone() else {
            return Ok(());
        };
        let closed = {
            let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
            gaps.arrived(&batch.source, numbers, Instant::now())
        };
        for gap in closed {
            append(&self.store, told(&gap)).await?;
        }
        Ok(())
    }

    /// Tells of gaps until `stop`.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let overdue = {
                let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
                gaps.overdue(Instant::now())
            };
            for gap in overdue {
                if let Err(error) = append(&self.store, told(&gap)).await {
                    tracing::warn!(%error, ?gap, "a gap could not be recorded");
                }
            }
        }
    }
}

/// What must be known of a batch after it went into the store.
pub(super) struct Note {
    source: Arc<Source>,
    declared: Option<Batch>,
    numbers: Option<std::ops::RangeInclusive<u64>>,
}

impl Note {
    pub(super) fn of(batch: &Batch) -> Note {
        let numbers = || batch.records.iter().filter_map(|record| record.seq);
        Note {
            source: batch.source.clone(),
            declared: declared(batch),
            numbers: numbers()
                .min()
                .zip(numbers().max())
                .map(|(first, last)| first..=last),
        }
    }
}

async fn append(store: &Store, batch: Batch) -> Result<(), StoreError> {
    let (text, arrived) = (batch.to_json().into_boxed_str(), Timestamp::now());
    // As it will be read back: a sender's odd times are mended alike.
    let batch = Batch::parse(&text, arrived).expect("a batch that was written can be read");
    match store.append(Incoming { batch, text, arrived }).await {
        // Another batch of that number declared something else; the first one counts.
        Ok(_) | Err(StoreError::Reused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the batch says was refused, as a batch of records.
fn declared(batch: &Batch) -> Option<Batch> {
    if batch.dropped.is_empty() {
        return None;
    }
    let record = |dropped: &log_record::Dropped| {
        let fields = vec![
            ("count".to_owned(), Value::UInt(dropped.count)),
            ("reason".to_owned(), Value::Text(dropped.reason.clone())),
            (
                "lost_level".to_owned(),
                Value::Text(dropped.level.as_str().to_owned()),
            ),
            ("from".to_owned(), Value::Text(dropped.from.to_string())),
        ];
        lost(
            dropped.count,
            &dropped.reason,
            dropped.to,
            Level::Warn,
            fields,
            &batch.source,
        )
    };
    let records = batch.dropped.iter().take(DECLARED).map(record).collect();
    Some(own_batch("dropped", &batch.source, batch.no, records))
}

/// The record that tells of a gap, or that it is closed.
fn told(gap: &Gap) -> Batch {
    let (first, last) = (*gap.numbers.start(), *gap.numbers.end());
    let count = (last - first).saturating_add(1);
    let (reason, level) = if gap.closed {
        ("gap_closed", Level::Info)
    } else {
        ("gap", Level::Warn)
    };
    let fields = vec![
        ("count".to_owned(), Value::UInt(count)),
        ("reason".to_owned(), Value::Text(reason.to_owned())),
        ("first_seq".to_owned(), Value::UInt(first)),
        ("last_seq".to_owned(), Value::UInt(last)),
    ];
    let record = lost(count, reason, Timestamp::now(), level, fields, &gap.source);
    own_batch(reason, &gap.source, Some(first.saturating_add(1)), vec![record])
}

fn lost(
    count: u64,
    reason: &str,
    time: Timestamp,
    level: Level,
    mut fields: log_record::Fields,
    source: &Source,
) -> LogRecord {
    let mut flags = Flags::default();
    flags.set(Flag::Lost);
    if let Some(boot) = &source.boot {
        fields.push(("boot".to_owned(), Value::Text(boot.to_string())));
    }
    let records = if count == 1 { "record" } else { "records" };
    let message = match reason {
        "gap" => format!("{count} {records} lost: never arrived"),
        "gap_closed" => format!("{count} {records} arrived late"),
        _ => format!("{count} {records} lost: {reason}"),
    };
    LogRecord {
        seq: None,
        time,
        callsite: Arc::new(CallSite {
            target: "log-server".into(),
            file: None,
            line: None,
            level,
            kind: Kind::Event,
        }),
        message,
        fields,
        spans: Vec::new(),
        trace_id: None,
        span_id: None,
        thread: None,
        flags,
    }
}

fn own_batch(kind: &str, source: &Source, no: Option<u64>, records: Vec<LogRecord>) -> Batch {
    let boot = source
        .boot
        .as_ref()
        .map(|boot| Arc::from(format!("{BOOT}:{kind}:{boot}")));
    Batch {
        no: no.filter(|_| boot.is_some()),
        source: Arc::new(Source {
            boot,
            ..source.clone()
        }),
        sent: None,
        dropped: Vec::new(),
        records,
        rejected: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the store gets is what it reads back: numbers may change their type, nothing else.
    #[test]
    fn what_is_declared_becomes_records_that_survive_being_written() {
        let json = r#"{"source":{"service":"s","boot":"b","host":"h"},"no":7,"records":[],
            "dropped":[{"level":"debug","reason":"full","count":132,"from":1790000000000000005,"to":1790000000000000009},
                       {"level":"error","reason":"rate_limited","count":1,"from":1790000000000000006,"to":1790000000000000006}]}"#;
        let batch = Batch::parse(json, Timestamp::from_nanos(1)).unwrap();
        let declared = declared(&batch).unwrap();
        let again = Batch::parse(&declared.to_json(), Timestamp::from_nanos(2)).unwrap();
        assert_eq!(
            (again.source.boot.as_deref(), again.no),
            (Some("log-server:dropped:b"), Some(7))
        );
        assert_eq!(
            (&*again.source.service, again.source.host.as_deref()),
            ("s", Some("h"))
        );
        let shown: Vec<_> = again
            .records
            .iter()
            .map(|record| {
                (
                    record.message.as_str(),
                    record.time.as_nanos(),
                    record.flags.has(Flag::Lost),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("132 records lost: full", 1_790_000_000_000_000_009, true),
                ("1 record lost: rate_limited", 1_790_000_000_000_000_006, true)
            ]
        );
        assert_eq!(again.records[0].fields[0], ("count".to_owned(), Value::Int(132)));
    }

    #[test]
    fn nothing_declared_is_nothing_stored() {
        let batch = Batch::parse(
            r#"{"source":{"service":"s"},"records":[]}"#,
            Timestamp::from_nanos(1),
        )
        .unwrap();
        assert!(declared(&batch).is_none());
    }

    #[tokio::test]
    async fn a_resent_batch_declares_nothing_twice_and_late_numbers_close_their_gap() {
        let data = tempfile::TempDir::new().unwrap();
        let store = Store::open(data.path()).unwrap();
        let losses = Losses::new(store.clone());
        let note = |seqs: [u64; 2]| {
            let json = format!(
                r#"{{"source":{{"service":"s","boot":"b"}},"no":{},"records":[{{"seq":{}}},{{"seq":{}}}],
                "dropped":[{{"level":"info","reason":"full","count":3,"from":5,"to":9}}]}}"#,
                seqs[0], seqs[0], seqs[1]
            );
            Note::of(&Batch::parse(&json, Timestamp::from_nanos(1)).unwrap())
        };
        for seqs in [[1, 2], [1, 2], [9, 10]] {
            losses.take_note(&note(seqs)).await.unwrap();
        }
        let overdue = losses
            .gaps
            .lock()
            .unwrap()
            .overdue(Instant::now() + super::super::gaps::GRACE);
        for gap in overdue {
            append(&store, told(&gap)).await.unwrap();
        }
        losses.take_note(&note([3, 5])).await.unwrap();
        let page = store
            .search(&crate::store::Search {
                filter: &crate::query::parse("flags:lost service:s fields.boot:b")
                    .unwrap()
                    .filter,
                range: crate::store::TimeRange::ALL,
                after: None,
                direction: crate::store::Direction::Older,
                limit: 10,
                budget: &crate::store::Budget::until(Instant::now() + Duration::from_secs(60)),
            })
            .unwrap();
        let mut messages: Vec<_> = page
            .records
            .into_iter()
            .map(|found| found.record.message)
            .collect();
        messages.sort();
        assert_eq!(
            messages,
            [
                "3 records arrived late",
                "3 records lost: full",
                "3 records lost: full",
                "3 records lost: full",
                "6 records lost: never arrived"
            ]
        );
    }
}
