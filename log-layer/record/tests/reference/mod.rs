//! A second reader of batches, slow and plain: serde finds the parts and keeps them as text until their type is known.
//! The crate's reader must agree with it about everything that is sent.

mod record;
mod text;
mod value;

use std::sync::Arc;

use log_record::{
    Batch, BatchError, CallSite, Dropped, Flags, Kind, Rejected, Source, Timestamp, Value, limits,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::value::{read_fields, read_map, read_value};

/// Reads a batch. `arrived` is the time of records that bring none.
pub(crate) fn parse(json: &str, arrived: Timestamp) -> Result<Batch, BatchError> {
    let wire: Wire<'_> =
        serde_json::from_str(json).map_err(|error| BatchError::Malformed(error.to_string()))?;
    if let Some(version) = wire.v.map(RawValue::get)
        && version != "1"
    {
        return Err(BatchError::Version {
            found: version.chars().take(20).collect(),
        });
    }
    if wire.records.len() > limits::BATCH_RECORDS {
        return Err(BatchError::TooManyRecords {
            records: wire.records.len(),
        });
    }
    let source = read_source(wire.source)?;
    let mut callsites: Vec<_> = wire.callsites.into_iter().flatten().map(read_callsite).collect();
    let dictionary = callsites.len();
    let mut batch = Batch {
        no: wire.no.filter(|_| source.boot.is_some()),
        source: Arc::new(source),
        sent: wire.sent.map(Timestamp::from_nanos),
        dropped: wire.dropped.into_iter().flatten().map(read_dropped).collect(),
        records: Vec::with_capacity(wire.records.len()),
        rejected: Vec::new(),
    };
    // Over-long records are cut, so only their share within the limit counts.
    let mut bytes = 0;
    for (index, raw) in wire.records.iter().enumerate() {
        bytes += raw.get().len().min(limits::RECORD_BYTES);
        match record::read(raw, &mut callsites, dictionary, arrived) {
            Ok(record) => batch.records.push(record),
            Err(why) => batch.rejected.push(Rejected { index, why }),
        }
    }
    if bytes > limits::BATCH_BYTES {
        return Err(BatchError::TooLarge { bytes });
    }
    Ok(batch)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    source: &'a RawValue,
    no: Option<u64>,
    sent: Option<i64>,
    dropped: Option<Vec<WireDropped>>,
    callsites: Option<Vec<WireCallSite<'a>>>,
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireDropped {
    level: String,
    reason: String,
    count: u64,
    from: i64,
    to: i64,
}

#[derive(Deserialize)]
struct WireCallSite<'a> {
    #[serde(borrow)]
    target: Option<&'a RawValue>,
    file: Option<&'a RawValue>,
    line: Option<u32>,
    level: String,
    kind: Option<String>,
}

fn read_source(raw: &RawValue) -> Result<Source, BatchError> {
    let malformed = |why: &str| BatchError::Malformed(why.to_owned());
    let entries = read_map(raw).ok_or_else(|| malformed("`source` is not an object"))?;
    let mut source = Source::default();
    for (name, value) in entries {
        let label = || {
            let mut flags = Flags::default();
            let mut label = match read_value(value, 0, &mut flags) {
                Value::Text(text) => text.into_owned(),
                // `"host": null` is a host that is not known.
                Value::Null => return None,
                other => serde_json::to_string(&other).expect("values serialise without I/O"),
            };
            // A name has no use for more, and it stands in every row of the page.
            text::cut(&mut label, limits::LABEL_BYTES);
            (!label.is_empty()).then(|| Arc::from(label))
        };
        match name.get() {
            "\"service\"" => source.service = label().unwrap_or_default(),
            "\"instance\"" => source.instance = label(),
            "\"boot\"" => source.boot = label(),
            "\"host\"" => source.host = label(),
            "\"version\"" => source.version = label(),
            "\"attrs\"" => {
                let attrs = read_map(value).ok_or_else(|| malformed("`source.attrs` is not an object"))?;
                source.attrs = read_fields(attrs, 0, &mut Flags::default());
            }
            // Unknown keys are kept out but never rejected.
            _ => {}
        }
    }
    if source.service.is_empty() {
        return Err(malformed(
            "`source.service` must name the service, for example {\"service\": \"webapi\"}",
        ));
    }
    Ok(source)
}

fn read_callsite(wire: WireCallSite<'_>) -> Arc<CallSite> {
    let label = |raw: &RawValue| -> Arc<str> {
        let mut label = text::unquote(raw.get(), &mut Flags::default());
        // A call-site's names come from a compiler; a longer one is an attack or a mistake.
        text::cut(&mut label, limits::LABEL_BYTES);
        label.into()
    };
    Arc::new(CallSite {
        target: wire.target.map(label).unwrap_or_default(),
        file: wire.file.map(label),
        line: wire.line,
        level: wire.level.parse().unwrap_or_default(),
        kind: if wire.kind.as_deref() == Some("span") {
            Kind::Span
        } else {
            Kind::Event
        },
    })
}

fn read_dropped(wire: WireDropped) -> Dropped {
    let mut reason = wire.reason;
    // A reason is one word; a longer one is cut rather than refused, for its count matters more.
    text::cut(&mut reason, limits::NAME_BYTES);
    Dropped {
        level: wire.level.parse().unwrap_or_default(),
        reason,
        count: wire.count,
        from: Timestamp::from_nanos(wire.from),
        to: Timestamp::from_nanos(wire.to),
    }
}
