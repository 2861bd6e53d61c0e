//! A block finds what looking at its records one by one finds, and gives them back as they were.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::memory::Memory;
use super::*;
use crate::query::tests::random;
use crate::query::{Filter, Scratch};
use crate::store::{CountOf, Parts, RecordId, StoredBatch, TimeRange};
use std::sync::Arc;

pub(super) fn batches() -> impl Strategy<Value = Vec<Arc<StoredBatch>>> {
    let record = (random::record(), 0..60_i64).prop_map(|(record, time)| LogRecord {
        time: Timestamp::from_nanos(time),
        ..record
    });
    let records = proptest::collection::vec(record, 0..40);
    let batch = (records, random::source()).prop_map(|(records, source)| (records, Arc::new(source)));
    proptest::collection::vec(batch, 1..5).prop_map(|batches| {
        let batch = |(id, (records, source))| {
            Arc::new(StoredBatch {
                id,
                source,
                first: 0,
                records,
            })
        };
        (3..).step_by(2).zip(batches).map(batch).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn blocks_find_what_looking_finds_and_give_it_back(
        batches in batches(),
        filters in proptest::collection::vec(random::filter(), 1..12),
        record in any::<prop::sample::Index>(),
        field in random::field(),
        from in -3_i64..60,
        length in 0_i64..90,
    ) {
        let sealed = seal(batches.clone()).unwrap();
        let memory = Memory::of(sealed.columns.clone());
        let loaded = Loaded::new(&memory);
        let all: Vec<_> = batches.iter().flat_map(|batch| {
            batch.records.iter().enumerate().map(|(place, record)| (RecordId::new(batch.id, place), &batch.source, record))
        }).collect();
        prop_assert_eq!(sealed.summary.rows as usize, all.len());

        let again = unseal(&sealed.summary, &memory).unwrap();
        prop_assert!(again.iter().map(|batch| (batch.id, batch.first, &batch.source, &batch.records)).eq(
            batches.iter().filter(|batch| !batch.records.is_empty()).map(|batch| (batch.id, 0, &batch.source, &batch.records))
        ));
        let mut block = Block::open(&sealed.summary, &loaded).unwrap();
        let rows: Vec<usize> = (0..all.len()).collect();
        let back = block.records(&rows, &Parts::All).unwrap();
        for (stored, (id, source, record)) in back.iter().zip(&all) {
            prop_assert_eq!(stored.id, *id);
            prop_assert_eq!(&stored.source, *source);
            prop_assert_eq!(&stored.record, *record);
            prop_assert_eq!(block.row_of(*id).map(|row| all[row].0), Some(*id));
        }
        let range = TimeRange { from: Timestamp::from_nanos(from), to: Timestamp::from_nanos(from + length) };
        // A part of some message, which is counted without looking for its rows.
        let message = if all.is_empty() { "" } else { &*record.get(&all).2.message };
        let part: String = message.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
        let of_message = crate::query::parse(&format!("message:\"{part}\"")).unwrap().filter;
        for filter in filters.iter().chain([&of_message, &Filter::All]) {
            for range in [TimeRange::ALL, range] {
                let mut scratch = Scratch::default();
                let expected: Vec<usize> = rows.iter().copied().filter(|row| {
                    let (_, source, record) = all[*row];
                    range.holds(record.time) && filter.matches(record, source, &mut scratch)
                }).collect();
                let mut block = Block::open(&sealed.summary, &loaded).unwrap();
                let found: Vec<usize> = block.select(filter, range).unwrap().iter().collect();
                prop_assert_eq!(&found, &expected, "{:?}", filter);
                // No file has a block without rows.
                if !all.is_empty() {
                    let count = block.count_found(filter, range).unwrap();
                    prop_assert!(count.is_none_or(|count| count == expected.len() as u64), "{:?}: {:?}", filter, count);
                    let is_counted = *filter == Filter::All || (*filter == of_message && !part.is_empty());
                    prop_assert!(count.is_some() || range != TimeRange::ALL || !is_counted, "{:?}", filter);
                }
                if !expected.is_empty() {
                    prop_assert!(may_match(&sealed.summary, &loaded, filter).unwrap(), "{:?}", filter);
                }
                let mut counted = BTreeMap::<String, u64>::new();
                let rows_found = block.select(filter, range).unwrap();
                block.count(&CountOf::Values(&field), &rows_found, &mut |text, n| *counted.entry(text.to_owned()).or_default() += n).unwrap();
                let mut looked = BTreeMap::<String, u64>::new();
                for row in &found {
                    let (_, source, record) = all[*row];
                    field.each_value(record, source, &mut scratch, &mut |text| *looked.entry(text.to_owned()).or_default() += 1);
                }
                prop_assert_eq!(counted, looked, "{:?}", field);
                let some = block.records(&found, &Parts::All).unwrap();
                for (stored, row) in some.iter().zip(&found) {
                    prop_assert_eq!(&stored.record, all[*row].2);
                }
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic_or_a_wrong_record(
        batches in batches(),
        filter in random::filter(),
        column in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let sealed = seal(batches.clone()).unwrap();
        let column = column.index(sealed.columns.len());
        let mut memory = Memory::of(sealed.columns);
        let (bytes, _) = memory.columns.values_mut().nth(column).unwrap();
        if !bytes.is_empty() {
            let byte = byte.index(bytes.len());
            bytes[byte] ^= 1 << bit;
        }
        let loaded = Loaded::new(&memory);
        let read = || -> Result<(), Damaged> {
            let mut block = Block::open(&sealed.summary, &loaded)?;
            let found: Vec<usize> = block.select(&filter, TimeRange::ALL)?.iter().collect();
            let mut scratch = Scratch::default();
            for stored in block.records(&found, &Parts::All)? {
                assert!(filter.matches(&stored.record, &stored.source, &mut scratch));
            }
            Ok(())
        };
        // An error, or right because the damaged column was not needed.
        let _ = read();
    }
}

/// The only batch of a block.
fn batch_of(records: impl IntoIterator<Item = LogRecord>) -> Arc<StoredBatch> {
    Arc::new(StoredBatch {
        id: 1,
        source: Arc::default(),
        first: 0,
        records: records.into_iter().collect(),
    })
}

/// Which rows these are need not be known.
#[test]
fn what_only_one_column_has_is_counted_without_its_rows() {
    let record = |n: usize| LogRecord {
        message: format!("order rd_9f{n} of shop {}", n % 7).into(),
        fields: vec![(
            "path".into(),
            log_record::Value::Text(format!("/live/{}", n % 5).into()),
        )],
        ..probe::probe()
    };
    let batch = StoredBatch {
        id: 1,
        source: Arc::new(log_record::Source {
            service: "till".into(),
            ..log_record::Source::default()
        }),
        first: 0,
        records: (0..3_000).map(record).collect(),
    };
    let sealed = seal([Arc::new(batch)]).unwrap();
    let memory = Memory::of(sealed.columns);
    let loaded = Loaded::new(&memory);
    let mut block = Block::open(&sealed.summary, &loaded).unwrap();
    let mut count = |q: &str| {
        let filter = crate::query::parse(q).unwrap().filter;
        block.count_found(&filter, TimeRange::ALL).unwrap()
    };
    assert_eq!(count("rd_9f"), Some(3_000));
    assert_eq!((count("rd_9f12"), count("nowhere")), (Some(111), Some(0)));
    assert_eq!((count("/live/3"), count("order")), (Some(600), Some(3_000)));
    // In both columns, in a text that all rows share, and no needle.
    assert_eq!(
        (count("e"), count("till"), count("-order")),
        (Some(3_000), None, None)
    );
}

#[test]
fn who_verifies_finds_a_flipped_bit_wherever_it_is() {
    let record = |n: usize| LogRecord {
        message: format!("request {n} took {}ms", n * n).into(),
        ..probe::probe()
    };
    let batch = batch_of((0..20_000).map(record));
    let mut memory = Memory::of(seal([batch]).unwrap().columns);
    verify(&memory).unwrap();
    let numbers: Vec<u32> = memory.columns.keys().copied().collect();
    let mut random = fastrand::Rng::with_seed(2);
    for number in numbers {
        for _ in 0..8 {
            let (bytes, _) = memory.columns.get_mut(&number).unwrap();
            let (at, bit) = (random.usize(..bytes.len()), 1 << random.u8(..8));
            bytes[at] ^= bit;
            assert!(verify(&memory).is_err(), "byte {at} of column {number}");
            memory.columns.get_mut(&number).unwrap().0[at] ^= bit;
        }
    }
    verify(&memory).unwrap();
}

/// One record of many is a few pieces of the columns.
#[test]
fn one_record_is_read_without_the_others() {
    let record = |n: usize| LogRecord {
        time: Timestamp::from_nanos(fastrand::Rng::with_seed(n as u64).i64(..)),
        message: format!("user {n} of {}", n * 7_919 % 50_021).into(),
        trace_id: Some(
            format!(
                "{:032x}",
                (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            )
            .into(),
        ),
        ..probe::probe()
    };
    let batch = batch_of((0..ROWS_MOST).map(record));
    let sealed = seal([batch.clone()]).unwrap();
    let memory = Memory::of(sealed.columns);
    let all: usize = memory.columns.values().map(|(bytes, _)| bytes.len()).sum();
    let loaded = Loaded::new(&memory);
    let mut block = Block::open(&sealed.summary, &loaded).unwrap();
    let read = block.records(&[40_000], &Parts::All).unwrap();
    assert_eq!(read[0].record, batch.records[40_000]);
    assert!(
        memory.read.get() < all / 5,
        "{} of {all} bytes",
        memory.read.get()
    );
}

#[test]
fn words_that_are_nowhere_cost_one_small_column() {
    let record = |n: usize| LogRecord {
        message: format!("request {n} of user u{} completed in {n} ms", n % 50).into(),
        ..probe::probe()
    };
    let batch = batch_of((0..5_000).map(record));
    let sealed = seal([batch]).unwrap();
    let memory = Memory::of(sealed.columns.clone());
    let loaded = Loaded::new(&memory);
    let may = |query: &str| {
        may_match(
            &sealed.summary,
            &loaded,
            &crate::query::parse(query).unwrap().filter,
        )
        .unwrap()
    };
    assert!(
        !may("zebrafinch") && !may("service:payment") && !may("level:error") && !may("message:/failed \\d/")
    );
    assert!(may("completed") && may("-zebrafinch") && may("42") && may("level:info"));
    assert!(memory.read.get() < 2_000);
}

#[test]
fn a_service_that_makes_up_names_does_not_make_a_million_columns() {
    let record = |n: usize| LogRecord {
        fields: (0..3)
            .map(|m| (format!("name{n}x{m}").into(), log_record::Value::Int(m)))
            .collect(),
        ..probe::probe()
    };
    let batch = batch_of((0..3_000).map(record));
    let sealed = seal([batch.clone()]).unwrap();
    assert!(sealed.columns.len() < 4_100, "{}", sealed.columns.len());
    let memory = Memory::of(sealed.columns.clone());
    let loaded = Loaded::new(&memory);
    let mut block = Block::open(&sealed.summary, &loaded).unwrap();
    let rows: Vec<usize> = (0..3_000).collect();
    let back = block.records(&rows, &Parts::All).unwrap();
    assert!(back.iter().map(|stored| &stored.record).eq(&batch.records));
    let found = block
        .select(
            &crate::query::parse("name2900x2:2").unwrap().filter,
            TimeRange::ALL,
        )
        .unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [2_900]);
}

/// With one shape all codes are 0, which passed for one of no shapes.
#[test]
fn a_block_whose_records_have_no_shape_is_damaged() {
    let record = LogRecord {
        message: "as ever".into(),
        ..probe::probe()
    };
    let batch = batch_of(vec![record; 3]);
    let mut sealed = seal([batch]).unwrap();
    let memory = Memory::of(sealed.columns.clone());
    let mut column = Vec::new();
    {
        let loaded = Loaded::new(&memory);
        let mut head = head::Head::read(loaded.column(HEAD).unwrap(), &loaded, 3).unwrap();
        head.shapes.clear();
        head.callsites.all().unwrap();
        head.put(&mut column);
    }
    sealed.columns[0] = (HEAD, column);
    let memory = Memory::of(sealed.columns);
    let loaded = Loaded::new(&memory);
    let mut block = Block::open(&sealed.summary, &loaded).unwrap();
    assert!(block.records(&[0, 2], &Parts::All).is_err());
    assert!(
        block
            .count(&CountOf::Names, &Rows::all(3), &mut |_, _| {})
            .is_err()
    );
}
