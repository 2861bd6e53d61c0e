//! A record's share of the memory: text beyond the limit is cut.

use crate::flags::Flag;
use crate::record::BorrowedRecord;
use crate::value::BorrowedFields;
use crate::{limits, text};

/// Cuts text beyond the record limit: fields and spans keep what fits, the message the rest.
pub(super) fn cut(record: &mut BorrowedRecord<'_>) {
    let named = |fields: &BorrowedFields<'_>| {
        fields
            .iter()
            .map(|(name, value)| name.len() + value.text_bytes())
            .sum::<usize>()
    };
    let around: usize = record
        .spans
        .iter()
        .map(|span| span.name.len() + named(&span.fields))
        .sum();
    if record.message.len() + named(&record.fields) + around <= limits::RECORD_BYTES {
        return;
    }
    let mut budget = limits::RECORD_BYTES;
    let message_share = record.message.len().min(limits::RECORD_BYTES / 2);
    budget -= message_share;
    let values = record
        .fields
        .iter_mut()
        .chain(record.spans.iter_mut().flat_map(|span| span.fields.iter_mut()));
    for (name, value) in values {
        budget = budget.saturating_sub(name.len());
        if value.cut(budget) {
            record.flags.set(Flag::Truncated);
        }
        budget = budget.saturating_sub(value.text_bytes());
    }
    if text::cut(&mut record.message, message_share + budget) {
        record.flags.set(Flag::Truncated);
    }
}
