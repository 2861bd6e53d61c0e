//! Which parts of a record are wanted.

use crate::query::{Field, strip_name};

/// What a scan shows of records. Time, level, call-site and sender are always there; what is not wanted is left empty,
/// and costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Everything.
    All,
    /// Only what these fields see.
    Of(Vec<Field>),
    /// Only the names of the record's fields; their values are null.
    Names,
}

impl Parts {
    fn any(&self, wants: impl Fn(&Field) -> bool) -> bool {
        match self {
            Parts::All => true,
            Parts::Of(fields) => fields.iter().any(wants),
            Parts::Names => false,
        }
    }

    pub(super) fn has_message(&self) -> bool {
        self.any(|field| *field == Field::Message)
    }

    pub(super) fn has_seq(&self) -> bool {
        self.any(|field| *field == Field::Seq)
    }

    pub(super) fn has_trace_id(&self) -> bool {
        self.any(|field| *field == Field::TraceId)
    }

    pub(super) fn has_span_id(&self) -> bool {
        self.any(|field| *field == Field::SpanId)
    }

    pub(super) fn has_thread(&self) -> bool {
        self.any(|field| *field == Field::Thread)
    }

    /// Whether any field of the record itself is wanted.
    pub(super) fn has_fields(&self) -> bool {
        *self == Parts::Names || self.any(|field| matches!(field, Field::Own(_)))
    }

    pub(super) fn has_spans(&self) -> bool {
        self.any(|field| matches!(field, Field::Spans | Field::Span(_)))
    }

    /// Whether the record's field `name`, or something in it, is wanted.
    pub(super) fn has_field(&self, name: &str) -> bool {
        self.any(|field| matches!(field, Field::Own(wanted) if strip_name(&wanted.0, name).is_some()))
    }

    /// Whether a span's field `name`, or something in it, is wanted.
    pub(super) fn has_span_field(&self, name: &str) -> bool {
        self.any(|field| matches!(field, Field::Span(wanted) if strip_name(&wanted.0, name).is_some()))
    }
}
