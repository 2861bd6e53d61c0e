//! Records for which a block has no columns left: their fields and spans as one JSON text.
//!
//! `[[[name, value] …], [[name of span, [[name, value] …]] …]]`

use log_record::{BorrowedRecord, Fields, Span, Value};
use serde_json::value::RawValue;

use super::bytes::{Damaged, damaged};

type Pairs<'j> = Vec<(String, &'j RawValue)>;

pub(super) fn write(record: &BorrowedRecord<'_>) -> String {
    let spans: Vec<_> = record
        .spans
        .iter()
        .map(|span| (&span.name, &span.fields))
        .collect();
    serde_json::to_string(&(&record.fields, spans)).expect("values serialise without I/O or failing keys")
}

pub(super) fn read(json: &str) -> Result<(Fields, Vec<Span>), Damaged> {
    const BROKEN: Damaged = damaged("a packed record cannot be read");
    let (own, spans): (Pairs<'_>, Vec<(String, Pairs<'_>)>) =
        serde_json::from_str(json).map_err(|_| BROKEN)?;
    let fields = |pairs: Pairs<'_>| {
        pairs
            .into_iter()
            .map(|(name, value)| Some((name.into(), Value::from_json(value.get())?)))
            .collect::<Option<Fields>>()
            .ok_or(BROKEN)
    };
    let spans = spans
        .into_iter()
        .map(|(name, pairs)| {
            Ok(Span {
                name: name.into(),
                fields: fields(pairs)?,
            })
        })
        .collect::<Result<_, Damaged>>()?;
    Ok((fields(own)?, spans))
}
