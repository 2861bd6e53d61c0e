//! Blocks that somebody made to do harm: their checksums fit, and nothing else need. A file that is opened may come from
//! anywhere, so reading such a block ends with an error or with some records, and with neither a panic nor all memory.
//!
//! For tests and the fuzzer: the same changes of a block, here at random, there guided by what they reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use log_record::{Batch, Timestamp};

use super::memory::Memory;
use super::{Block, Columns, Damaged, Loaded, SealedBlock, Summary, may_match, seal, unseal};
use crate::query::{self, Field, Filter};
use crate::store::{CountOf, Parts, StoredBatch, TimeRange};

/// Changes of one block; with more it is another one.
const EDITS: usize = 16;

/// Some of everything that has a column of its own.
const SAMPLE: &str = r#"{"source":{"service":"shop","boot":"b","host":"h","attrs":{"env":"prod"}},"no":7,
"callsites":[{"target":"shop::cart","file":"src/cart.rs","line":41,"level":"info"}],"records":[
{"seq":1,"ts":1790000000000000000,"callsite":0,"message":"order 17 of user 4 placed","fields":{"user_id":42,"latency_ms":3.5,"ok":true},"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","thread":"main"},
{"seq":2,"ts":1790000000000000900,"callsite":0,"message":"order 18 of user 5 placed","fields":{"user_id":43,"latency_ms":4.25,"ok":false},"spans":[{"name":"request","fields":{"path":"/live"}}]},
{"seq":3,"ts":1790000000500000000,"callsite":0,"message":"order 19 of user 5 placed","fields":{"user_id":-1,"latency_ms":1e300,"tags":["a","b"],"map":{"k":null}}},
{"seq":9,"ts":1789999999000000000,"level":"error","message":"登录失败 no route to 10.0.0.1:80","fields":{"user_id":"7","error":"x"}}]}"#;

/// Seals a batch of samples, changes the block's columns as `edits` say, and reads it with a query. Returns whether it
/// could be read.
///
/// Of an edit's four bytes the first chooses a column and what is done to it, two the place, and the last the byte that
/// is put there.
pub fn read_edited(q: &str, edits: &[u8]) -> bool {
    let batch = Batch::parse(SAMPLE, Timestamp::from_nanos(1)).expect("it was written here");
    let batch = StoredBatch {
        id: 1,
        source: batch.source,
        first: 0,
        records: batch.records,
    };
    let mut sealed = seal([Arc::new(batch)]).expect("it has records");
    let (edits, _) = edits.as_chunks();
    edits
        .iter()
        .take(EDITS)
        .for_each(|edit| change(&mut sealed, *edit));
    let filter = query::read(q).query.filter;
    let memory = Memory::of(sealed.columns);
    read(&sealed.summary, &memory, &filter, &Field::named("user_id")).is_ok()
}

fn change(sealed: &mut SealedBlock, [choice, low, high, byte]: [u8; 4]) {
    let column = usize::from(choice & 0x3f) % sealed.columns.len();
    let bytes = &mut sealed.columns[column].1;
    if !bytes.is_empty() {
        let place = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
        match choice >> 6 {
            0 | 1 => bytes[place] = byte,
            2 => bytes.insert(place, byte),
            _ if byte % 2 == 0 => bytes.truncate(place),
            _ => sealed.summary.rows = u32::from(byte) << (low % 25),
        }
    }
}

/// Reads it in every way there is.
fn read(summary: &Summary, columns: &dyn Columns, filter: &Filter, field: &Field) -> Result<(), Damaged> {
    let loaded = Loaded::new(columns);
    may_match(summary, &loaded, filter)?;
    let mut block = Block::open(summary, &loaded)?;
    let found = block.select(filter, TimeRange::ALL)?;
    let mut counts = BTreeMap::<String, u64>::new();
    block.count(&CountOf::Values(field), &found, &mut |text, n| {
        *counts.entry(text.to_owned()).or_default() += n;
    })?;
    let rows: Vec<usize> = found.iter().collect();
    block.records(&rows, &Parts::All)?;
    unseal(summary, columns)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::batches;
    use super::*;
    use crate::query::tests::random;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_columns_say_reading_them_ends_in_order(
            batches in batches(),
            filter in random::filter(),
            field in random::field(),
            edits in proptest::collection::vec(any::<[u8; 4]>(), 1..4),
        ) {
            let mut sealed = seal(batches).unwrap();
            edits.iter().for_each(|edit| change(&mut sealed, *edit));
            let memory = Memory::of(sealed.columns);
            for filter in [&filter, &Filter::All] {
                // An error, or records that look like some.
                let _ = read(&sealed.summary, &memory, filter, &field);
            }
        }
    }

    #[test]
    fn a_block_that_was_not_changed_is_read() {
        assert!(read_edited("order", &[]));
        assert!(!read_edited("order", &[0xc0, 0, 0, 0]));
    }

    /// Finds of the fuzzer.
    #[test]
    fn a_batch_of_no_sender_and_the_like_are_errors() {
        assert!(!read_edited("trace:4bf9* thread:main", &[0, 1, 0x49, 0]));
    }
}
