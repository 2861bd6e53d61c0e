//! The batch itself: who sent it, which one it is, and the list of records.

use std::sync::Arc;

use super::callsites::CallSites;
use super::source::read_source;
use super::{Reader, Seen};
use crate::batch::{BatchError, BorrowedBatch, Dropped, Rejected};
use crate::json::Stop;
use crate::limits;
use crate::outline::{Mark, Outline};
use crate::record::BorrowedRecord;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// Reads a batch. `arrived` is the time of records that bring none.
///
/// # Errors
/// When nothing of it can be used.
pub(crate) fn read(json: &str, arrived: Timestamp) -> Result<BorrowedBatch<'_>, BatchError> {
    let (found, source) = found(Reader::new(json), json, arrived)?;
    Ok(BorrowedBatch {
        no: found.no.filter(|_| source.boot.is_some()),
        source: Arc::new(source),
        sent: found.sent.map(Timestamp::from_nanos),
        dropped: found.dropped,
        records: found.records.kept,
        rejected: found.records.rejected,
    })
}

/// Reads a batch and keeps nothing of what its records say.
///
/// # Errors
/// As above.
pub(crate) fn outline(json: &str, arrived: Timestamp) -> Result<Outline, BatchError> {
    let reader = Reader {
        keeps: false,
        ..Reader::new(json)
    };
    let (found, source) = found(reader, json, arrived)?;
    Ok(Outline {
        no: found.no.filter(|_| source.boot.is_some()),
        source: Arc::new(source),
        dropped: found.dropped,
        records: found.records.marks,
        rejected: found.records.rejected,
    })
}

/// What the batch says, if it can be used, and who sent it.
fn found<'a>(
    mut reader: Reader<'a>,
    json: &'a str,
    arrived: Timestamp,
) -> Result<(Found<'a>, Source), BatchError> {
    let found = reader
        .batch(arrived)
        .map_err(|stop| BatchError::Malformed(stop.reason(json)))?;
    if let Some(version) = found.version
        && version != "1"
    {
        return Err(BatchError::Version {
            found: version.chars().take(20).collect(),
        });
    }
    let records = &found.records;
    if records.count > limits::BATCH_RECORDS {
        return Err(BatchError::TooManyRecords {
            records: records.count,
        });
    }
    let source = read_source(found.source)?;
    if records.bytes > limits::BATCH_BYTES {
        return Err(BatchError::TooLarge { bytes: records.bytes });
    }
    Ok((found, source))
}

/// What the batch says, before it is known whether it can be used.
#[derive(Default)]
struct Found<'a> {
    version: Option<&'a str>,
    source: &'a str,
    no: Option<u64>,
    sent: Option<i64>,
    dropped: Vec<Dropped>,
    records: Records<'a>,
}

#[derive(Default)]
struct Records<'a> {
    kept: Vec<BorrowedRecord<'a>>,
    /// In their place, if nothing is kept.
    marks: Vec<Mark>,
    rejected: Vec<Rejected>,
    count: usize,
    /// Over-long records are cut, so only their share within the limit counts.
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn batch(&mut self, arrived: Timestamp) -> Result<Found<'a>, Stop> {
        self.expect(b'{', "the batch is not an object")?;
        let start = self.json.place();
        let mut found = Found::default();
        let mut callsites = CallSites::default();
        let (mut source, mut records, mut late_callsites) = (None, None, false);
        let mut seen = Seen::default();
        let mut next = self.json.first_name()?;
        while let Some(name) = next {
            let name = self.exact(name)?;
            let place = self.json.place();
            let known = ["v", "source", "no", "sent", "dropped", "callsites", "records"];
            if let Some(number) = (0..)
                .zip(known)
                .find_map(|(number, known)| (known == name).then_some(number))
            {
                seen.once(number, &name, place)?;
            }
            match &*name {
                "v" if self.json.null()? => {}
                "v" => found.version = Some(self.json.skip()?),
                "source" => source = Some(self.json.skip()?),
                "no" => {
                    let what = "`no` is not an unsigned integer";
                    found.no = self.optional_number(what, |number| number.as_u64())?;
                }
                "sent" => {
                    let what = "`sent` is not a count of nanoseconds";
                    found.sent = self.optional_number(what, |number| number.as_i64())?;
                }
                "dropped" => found.dropped = self.dropped_list()?,
                "callsites" => {
                    callsites = self.callsites()?;
                    late_callsites = records.is_some();
                }
                "records" => {
                    found.records = self.records(&mut callsites, arrived)?;
                    records = Some(place);
                }
                // Unknown keys are kept out but never rejected.
                _ => {
                    self.json.skip()?;
                }
            }
            next = self.json.next_name()?;
        }
        self.json.end()?;
        found.source = source.ok_or_else(|| Stop::shape("missing field `source`", start))?;
        let records = records.ok_or_else(|| Stop::shape("missing field `records`", start))?;
        if late_callsites {
            // Nobody writes them in this order; whoever does pays for reading the records twice.
            self.json.back_to(records);
            found.records = self.records(&mut callsites, arrived)?;
        }
        Ok(found)
    }

    fn records(&mut self, callsites: &mut CallSites, arrived: Timestamp) -> Result<Records<'a>, Stop> {
        self.expect(b'[', "`records` is not a list")?;
        let mut records = Records::default();
        let mut more = self.json.first_item()?;
        while more {
            let start = self.json.place();
            let within = records.count < limits::BATCH_RECORDS && records.bytes <= limits::BATCH_BYTES;
            if within {
                match self.record(callsites, arrived) {
                    Ok(record) if self.keeps => records.kept.push(record),
                    Ok(BorrowedRecord { time, seq, .. }) => records.marks.push(Mark { time, seq }),
                    Err(Stop::Syntax) => return Err(Stop::Syntax),
                    Err(Stop::Shape(shape)) => {
                        self.open_fields.clear();
                        self.open_spans.clear();
                        self.json.back_to(start);
                        let text = self.json.skip()?;
                        records.rejected.push(Rejected {
                            index: records.count,
                            why: shape.reason_within(text, start),
                        });
                    }
                }
            } else {
                // It will be refused for its size, which remains to be told.
                self.json.skip()?;
            }
            records.count += 1;
            let length = self.json.since(start).len();
            records.bytes += length.min(limits::RECORD_BYTES);
            if records.count == 1 {
                // Records of a batch are of a size, mostly.
                let expected = self.json.length() / length;
                let expected = expected.min(limits::BATCH_RECORDS);
                if self.keeps {
                    records.kept.reserve(expected);
                } else {
                    records.marks.reserve(expected);
                }
            }
            more = self.json.next_item()?;
        }
        Ok(records)
    }

    fn dropped_list(&mut self) -> Result<Vec<Dropped>, Stop> {
        let mut list = Vec::new();
        if self.json.null()? {
            return Ok(list);
        }
        self.expect(b'[', "`dropped` is not a list")?;
        let mut more = self.json.first_item()?;
        while more {
            list.push(self.dropped()?);
            more = self.json.next_item()?;
        }
        Ok(list)
    }

    fn dropped(&mut self) -> Result<Dropped, Stop> {
        self.expect(b'{', "what was dropped is not an object")?;
        let start = self.json.place();
        let (mut level, mut reason, mut count, mut from, mut to) = (None, None, None, None, None);
        let mut seen = Seen::default();
        let mut next = self.json.first_name()?;
        while let Some(name) = next {
            let name = self.exact(name)?;
            let place = self.json.place();
            match &*name {
                "level" => {
                    seen.once(0, &name, place)?;
                    level = Some(self.word("`level` is not a word")?);
                }
                "reason" => {
                    seen.once(1, &name, place)?;
                    reason = Some(self.word("`reason` is not a word")?);
                }
                "count" => {
                    seen.once(2, &name, place)?;
                    count =
                        self.optional_number("`count` is not an unsigned integer", |number| number.as_u64())?;
                }
                "from" => {
                    seen.once(3, &name, place)?;
                    from = self
                        .optional_number("`from` is not a count of nanoseconds", |number| number.as_i64())?;
                }
                "to" => {
                    seen.once(4, &name, place)?;
                    to =
                        self.optional_number("`to` is not a count of nanoseconds", |number| number.as_i64())?;
                }
                _ => {
                    self.json.skip()?;
                }
            }
            next = self.json.next_name()?;
        }
        let (Some(level), Some(mut reason), Some(count), Some(from), Some(to)) =
            (level, reason, count, from, to)
        else {
            return Err(Stop::shape(
                "what was dropped needs `level`, `reason`, `count`, `from` and `to`",
                start,
            ));
        };
        // A reason is one word; a longer one is cut rather than refused, for its count matters more.
        crate::text::cut(&mut reason, limits::NAME_BYTES);
        Ok(Dropped {
            level: level.parse().unwrap_or_default(),
            reason: reason.into_owned(),
            count,
            from: Timestamp::from_nanos(from),
            to: Timestamp::from_nanos(to),
        })
    }
}
