//! The records that tell of losses, as batches that the store keeps like any other.

use std::sync::Arc;

use log_record::{Batch, CallSite, Flag, Flags, Kind, Level, LogRecord, Source, Timestamp, Value};

use crate::store::Incoming;

use super::gaps::Gap;

/// What the server's own runs begin with; there is one per kind of loss and sender's run: `log-server:dropped:<boot>`.
pub(super) const OWN: &str = "log-server:";
/// Kinds of losses: what a sender refused; what never arrived; what was told lost, and arrived after all.
const DROPPED: &str = "dropped";
pub(super) const GAP: &str = "gap";
pub(super) const GAP_CLOSED: &str = "gap_closed";
/// Losses that one batch may declare; a sender has a handful of reasons and five levels.
const DECLARED: usize = 100;

/// What the batch says was refused, as a batch of records.
pub(super) fn declared(batch: &Incoming) -> Option<Batch> {
    if batch.dropped.is_empty() {
        return None;
    }
    let record = |dropped: &log_record::Dropped| {
        let fields = vec![
            ("count".into(), Value::UInt(dropped.count)),
            ("reason".into(), Value::Text(dropped.reason.clone().into())),
            ("lost_level".into(), Value::Text(dropped.level.as_str().into())),
            ("from".into(), Value::Text(dropped.from.to_string().into())),
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
    Some(own_batch(DROPPED, &batch.source, batch.no, records))
}

/// The record that tells of a gap, or that it is closed.
pub(super) fn told(gap: &Gap) -> Batch {
    let (first, last) = (*gap.numbers.start(), *gap.numbers.end());
    let count = (last - first).saturating_add(1);
    let (reason, level) = if gap.closed {
        (GAP_CLOSED, Level::Info)
    } else {
        (GAP, Level::Warn)
    };
    let fields = vec![
        ("count".into(), Value::UInt(count)),
        ("reason".into(), Value::Text(reason.to_owned().into())),
        ("first_seq".into(), Value::UInt(first)),
        ("last_seq".into(), Value::UInt(last)),
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
        fields.push(("boot".into(), Value::Text(boot.to_string().into())));
    }
    let records = if count == 1 { "record" } else { "records" };
    let message = match reason {
        GAP => format!("{count} {records} lost: never arrived"),
        GAP_CLOSED => format!("{count} {records} arrived late"),
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
        message: message.into(),
        fields,
        spans: Vec::new(),
        trace_id: None,
        span_id: None,
        thread: None,
        flags,
    }
}

/// The server's own run for this kind of loss of a sender's run.
pub(super) fn own_boot(kind: &str, boot: &str) -> String {
    format!("{OWN}{kind}:{boot}")
}

fn own_batch(kind: &str, source: &Source, no: Option<u64>, records: Vec<LogRecord>) -> Batch {
    let boot = source.boot.as_ref().map(|boot| Arc::from(own_boot(kind, boot)));
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
        let batch = Incoming::read(json, Timestamp::from_nanos(1)).unwrap();
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
                    &*record.message,
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
        assert_eq!(again.records[0].fields[0], ("count".into(), Value::Int(132)));
    }

    #[test]
    fn nothing_declared_is_nothing_stored() {
        let batch = Incoming::read(
            r#"{"source":{"service":"s"},"records":[]}"#,
            Timestamp::from_nanos(1),
        )
        .unwrap();
        assert!(declared(&batch).is_none());
    }
}
