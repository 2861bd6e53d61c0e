//! Who sent the batch.

use std::sync::Arc;

use super::Reader;
use crate::batch::BatchError;
use crate::flags::Flags;
use crate::json::Stop;
use crate::source::Source;
use crate::value::{BorrowedValue, owned_fields};
use crate::{limits, text};

/// Reads the source from its JSON, which is known to be JSON.
///
/// # Errors
/// When it names no service or is of the wrong shape.
pub(super) fn read_source(json: &str) -> Result<Source, BatchError> {
    let source = Reader::new(json)
        .source()
        .map_err(|stop| BatchError::Malformed(stop.reason(json)))?;
    if source.service.is_empty() {
        let why = "`source.service` must name the service, for example {\"service\": \"webapi\"}";
        return Err(BatchError::Malformed(why.to_owned()));
    }
    Ok(source)
}

impl Reader<'_> {
    fn source(&mut self) -> Result<Source, Stop> {
        if self.json.peek() != Some(b'{') {
            return Err(Stop::shape("`source` is not an object", None));
        }
        let mut source = Source::default();
        let mut next = self.json.first_name()?;
        while let Some(name) = next {
            match name.raw() {
                "service" => source.service = self.name()?.unwrap_or_default(),
                "instance" => source.instance = self.name()?,
                "boot" => source.boot = self.name()?,
                "host" => source.host = self.name()?,
                "version" => source.version = self.name()?,
                "attrs" => {
                    if self.json.peek() != Some(b'{') {
                        return Err(Stop::shape("`source.attrs` is not an object", None));
                    }
                    source.attrs = owned_fields(self.fields(0, &mut Flags::default())?);
                }
                // Unknown keys are kept out but never rejected.
                _ => {
                    self.json.skip()?;
                }
            }
            next = self.json.next_name()?;
        }
        Ok(source)
    }

    /// A name that holds for all records of the batch; empty is as good as none.
    fn name(&mut self) -> Result<Option<Arc<str>>, Stop> {
        let mut name = match self.value(0, &mut Flags::default())? {
            BorrowedValue::Text(text) => text,
            // `"host": null` is a host that is not known.
            BorrowedValue::Null => return Ok(None),
            other @ (BorrowedValue::Bool(_)
            | BorrowedValue::Int(_)
            | BorrowedValue::UInt(_)
            | BorrowedValue::Float(_)
            | BorrowedValue::List(_)
            | BorrowedValue::Map(_)) => other.to_json().into(),
        };
        // A name has no use for more, and it stands in every row of the page.
        text::cut(&mut name, limits::LABEL_BYTES);
        Ok((!name.is_empty()).then(|| Arc::from(name)))
    }
}
