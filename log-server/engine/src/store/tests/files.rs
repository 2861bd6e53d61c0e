//! Records move from the tail into blocks, into larger blocks, into older partitions, and stay where they are found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

/// Everything is sealed at once.
pub(super) fn eager() -> Options {
    Options {
        seal_age: Duration::ZERO,
        ..Options::default()
    }
}

/// Everything is sealed at once, and a new partition is begun whenever the live one has something.
pub(super) fn restless() -> Options {
    Options {
        partition_bytes: 0,
        ..eager()
    }
}

pub(super) fn open(data: &TempDir, options: Options) -> Store {
    Store::open_by(data.path(), options, Clock::believed()).unwrap()
}

/// Waits until something holds of the store.
#[track_caller]
pub(super) fn until(store: &Store, what: &str, mut holds: impl FnMut(&Statistics) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let statistics = store.statistics();
        if holds(&statistics) {
            return;
        }
        assert_eq!(store.failure(), None);
        assert!(Instant::now() < deadline, "waited for {what}: {statistics:?}");
        if let Some(threads) = lock(&store.inner.threads).as_ref() {
            // The sealer would look by itself only twice a second. One that was told already needs no second word.
            let _ = threads.nudge.try_send(());
        }
        std::thread::sleep(Duration::from_millis(5)); // polling
    }
}

#[track_caller]
pub(super) fn until_sealed(store: &Store) {
    until(store, "everything to be sealed", |statistics| {
        statistics.unsealed == 0
    });
}

/// Every record by its id, over pages of an odd size; a record found twice is a failure.
pub(super) fn everything(store: &Store) -> BTreeMap<RecordId, String> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = page(store, "", TimeRange::ALL, after, 777);
        for one in page.records {
            let again = found.insert(one.id, one.record.message.into_owned());
            assert_eq!(again, None, "record {} was found twice", one.id);
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[track_caller]
pub(super) fn check_sound(data: &TempDir) {
    let checked = check(data.path(), |_| {}).unwrap();
    assert_eq!(checked.problems, []);
}

pub(super) fn partitions(data: &TempDir) -> Vec<PathBuf> {
    Directory::read(data.path()).partitions().unwrap()
}

#[tokio::test]
async fn records_enough_for_a_block_are_sealed_in_a_pause() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    let records = [r#"{"message":"m"}"#; 4_500].join(",");
    stored(&store, batch("b", 1, &records)).await;
    stored(&store, batch("b", 2, &records)).await;
    until(&store, "a block", |statistics| statistics.unsealed == 0);
    stored(&store, batch("b", 3, &records)).await;
    assert_eq!(store.statistics().unsealed, 4_500, "they wait for more");
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn records_keep_their_ids_wherever_they_move() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    let known = fill(&store, &mut fastrand::Rng::with_seed(5), 60).await;
    let first = everything(&store);
    assert_eq!(first.len(), known.len());
    store.close();
    // Sealed into blocks, and merged.
    let store = open(&data, eager());
    until_sealed(&store);
    assert_eq!(everything(&store), first);
    stored(&store, batch("later", 1, r#"{"message":"later"}"#)).await;
    until_sealed(&store);
    store.close();
    check_sound(&data);
    // Left behind in an older partition.
    let store = open(&data, restless());
    until(&store, "a second partition", |statistics| {
        statistics.partitions == 2
    });
    stored(&store, batch("later", 2, r#"{"message":"latest"}"#)).await;
    until(&store, "a third partition", |statistics| {
        statistics.partitions == 3
    });
    until_sealed(&store);
    store.close();
    check_sound(&data);
    let store = open(&data, Options::default());
    let mut found = everything(&store);
    for (id, message) in &found {
        assert_eq!(&store.record(*id).unwrap().unwrap().record.message, message);
    }
    let newest: Vec<String> = found.split_off(&RecordId::new(61, 0)).into_values().collect();
    assert_eq!(newest, ["later", "latest"]);
    assert_eq!(found, first);
    let (batches, more) = store.since(RecordId::last_of(58), 100).unwrap();
    let ids: Vec<i64> = batches
        .iter()
        .map(|batch| batch.id)
        .filter(|id| *id > 60)
        .collect();
    assert_eq!((ids, more), (vec![61, 62], false));
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_beside_sealing_merging_and_rolling_see_every_record_once() {
    const BATCHES: u64 = 400;
    let data = TempDir::new().unwrap();
    let options = Options {
        partition_bytes: 400_000,
        ..eager()
    };
    let store = open(&data, options);
    let appending = {
        let store = store.clone();
        tokio::spawn(async move {
            for no in 1..=BATCHES {
                let records: Vec<String> = (0..5)
                    .map(|place| format!(r#"{{"message":"{no}.{place}"}}"#))
                    .collect();
                stored(&store, batch("b", no, &records.join(","))).await;
            }
        })
    };
    let mut looks = 0;
    while !appending.is_finished() || store.statistics().unsealed > 0 {
        let before = store.newest().borrow().batch();
        let found = tokio::task::block_in_place(|| everything(&store));
        for no in 1..=before {
            let records = found.range(RecordId::new(no, 0)..=RecordId::last_of(no)).count();
            assert_eq!(records, 5, "batch {no} of {before}, look {looks}");
        }
        looks += 1;
    }
    appending.await.unwrap();
    assert_eq!(everything(&store).len() as u64, BATCHES * 5);
    assert!(looks > 1);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn what_a_snapshot_has_is_readable_as_long_as_it_lives_and_deleted_afterwards() {
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    for no in 1..=6 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
        until_sealed(&store);
    }
    let old = store.inner.contents.snapshot(TimeRange::ALL);
    assert_eq!((old.blocks.len(), old.tail.len()), (6, 0));
    for no in 7..=8 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
        until_sealed(&store);
    }
    until(&store, "the blocks to be merged", |statistics| {
        statistics.blocks == 1
    });
    let (path, count) = (
        partitions(&data).remove(0),
        |path: &PathBuf, table: &str| -> i64 {
            let reader = schema::open_reader(path).unwrap();
            reader
                .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap()
        },
    );
    let old_messages: Vec<String> = old
        .blocks
        .iter()
        .flat_map(|block| block.batches().unwrap())
        .map(|batch| batch.records[0].message.to_string())
        .collect();
    assert_eq!(old_messages, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(count(&path, "replaced"), 8);
    drop(old);
    until(&store, "replaced blocks to be deleted", |_| {
        count(&path, "replaced") == 0
    });
    until(&store, "sealed batches to be deleted", |_| {
        count(&path, "batches") == 0
    });
    assert_eq!(messages(&store, "").len(), 8);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn blocks_with_much_text_are_merged_only_as_far_as_memory_has_room() {
    const BATCHES: u64 = 40;
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    let text = "x".repeat(250_000);
    for no in 1..=BATCHES {
        let records: Vec<String> = (0..10)
            .map(|place| format!(r#"{{"message":"{no}.{place} {text}"}}"#))
            .collect();
        stored(&store, batch("b", no, &records.join(","))).await;
        until_sealed(&store);
    }
    store.close();
    let store = open(&data, restless());
    until(&store, "an older partition that is merged", |statistics| {
        statistics.partitions == 2 && statistics.blocks == 2
    });
    let snapshot = store.inner.contents.snapshot(TimeRange::ALL);
    let mut texts = Vec::new();
    for block in &snapshot.blocks {
        let batches = block.batches().unwrap();
        texts.push(batches.iter().map(StoredBatch::text_bytes).sum::<usize>());
    }
    assert!(texts.iter().all(|bytes| *bytes <= block::BYTES_MOST), "{texts:?}");
    assert_eq!(everything(&store).len() as u64, BATCHES * 10);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn repeats_are_known_wherever_their_first_is() {
    let data = TempDir::new().unwrap();
    let text = |no: u64| format!(r#"{{"message":"{no}"}}"#);
    let mut store = open(&data, restless());
    for no in (1..=20).filter(|no| no % 7 != 0) {
        stored(&store, batch("b", no, &text(no))).await;
        if no % 5 == 0 {
            until_sealed(&store);
        }
        if no == 10 {
            store.close();
            store = open(&data, restless());
        }
    }
    until(&store, "some partitions", |statistics| statistics.partitions > 2);
    until_sealed(&store);
    for reopened in [false, true] {
        if reopened {
            store.close();
            store = open(&data, Options::default());
        }
        for no in (1..=20).filter(|no| no % 7 != 0) {
            assert_eq!(
                stored(&store, batch("b", no, &text(no))).await,
                Appended::Duplicate,
                "{no}"
            );
            let other = store.append(batch("b", no, &text(no + 1))).await;
            assert!(matches!(other, Err(StoreError::Reused { .. })), "{no}: {other:?}");
        }
    }
    for no in [7, 14, 21] {
        assert_eq!(stored(&store, batch("b", no, &text(no))).await, Appended::Stored);
    }
    assert_eq!(messages(&store, "").len(), 21);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn a_sender_that_numbers_by_the_clock_is_not_doubled_either() {
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    let numbers: Vec<u64> = (0..1_500).map(|no| 1_790_000_000_000 + no * 17).collect();
    let text = r#"{"message":"m"}"#;
    for together in numbers.chunks(50) {
        let appends = together.iter().map(|no| store.append(batch("clock", *no, text)));
        for outcome in futures_util::future::join_all(appends).await {
            assert_eq!(outcome.unwrap(), Appended::Stored);
        }
    }
    until_sealed(&store);
    store.close();
    let store = open(&data, eager());
    for no in numbers.iter().step_by(100) {
        assert_eq!(
            stored(&store, batch("clock", *no, text)).await,
            Appended::Duplicate
        );
        assert_eq!(
            stored(&store, batch("clock", no + 1, text)).await,
            Appended::Stored
        );
    }
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn who_only_reads_sees_one_moment_whatever_the_server_does() {
    let data = TempDir::new().unwrap();
    let store = open(&data, restless());
    for no in 1..=4 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
        until_sealed(&store);
    }
    let reader = Store::open_to_read(data.path()).unwrap();
    let seen = everything(&reader);
    assert_eq!(seen.len(), 4);
    for no in 5..=8 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
        until_sealed(&store);
    }
    until(&store, "more partitions", |statistics| statistics.partitions > 4);
    assert_eq!(everything(&reader), seen);
    assert_eq!(everything(&store).len(), 8);
}

/// How many records there are by a column, from groups and from records as they come.
fn grouped(store: &Store, q: &str, by: Option<&query::Column>) -> BTreeMap<Option<String>, u64> {
    let filter = query::parse(q).unwrap().filter;
    let budget = budget();
    let scan = Scan {
        filter: &filter,
        range: TimeRange::ALL,
        parts: Parts::All,
        budget: &budget,
    };
    let (counts, _) = store
        .group(
            &scan,
            by,
            BTreeMap::<Option<String>, u64>::new,
            |counts, seen| match seen {
                Seen::Group(value, count) => *counts.entry(value.map(str::to_owned)).or_default() += count,
                Seen::Record(record, source) => {
                    let mut values = std::collections::BTreeSet::new();
                    if let Some(by) = by {
                        by.each_value(record, source, &mut query::Scratch::default(), &mut |value| {
                            values.insert(Some(value.to_owned()));
                        });
                    }
                    if values.is_empty() {
                        values.insert(None);
                    }
                    for value in values {
                        *counts.entry(value).or_default() += 1;
                    }
                }
            },
        )
        .unwrap();
    let mut all = BTreeMap::new();
    for (value, count) in counts.into_iter().flatten() {
        *all.entry(value).or_default() += count;
    }
    all
}

#[tokio::test]
async fn sealed_records_fall_into_the_same_groups_as_unsealed_ones() {
    let (tail, sealed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (tail, sealed) = (open(&tail, Options::default()), open(&sealed, eager()));
    let fields = [
        r#""path":"/a","n":1"#,
        r#""path":"/b","n":2.5"#,
        r#""Path":"/a","n":"1""#,
        r#""path":["/a","/c","/a"],"n":true"#,
        r#""path":"","other":1"#,
        r#""path":"/x","PATH":"/x""#,
        "",
    ];
    for (no, fields) in (1..).zip(fields.iter().cycle().take(40)) {
        let level = ["info", "error"][no as usize % 2];
        let record = format!(r#"{{"level":"{level}","message":"m {no}","fields":{{{fields}}}}}"#);
        for store in [&tail, &sealed] {
            stored(store, batch("b", no, &record)).await;
        }
        if no.is_multiple_of(9) {
            until_sealed(&sealed);
        }
    }
    until_sealed(&sealed);
    for q in ["", "level:error", "path:*", "n:*", "-path:*", "message:nothing"] {
        for name in [
            None,
            Some("path"),
            Some("n"),
            Some("level"),
            Some("service"),
            Some("message"),
            Some("seq"),
        ] {
            let by = name.map(query::Column::named);
            let expected = grouped(&tail, q, by.as_ref());
            assert_eq!(grouped(&sealed, q, by.as_ref()), expected, "{q:?} by {name:?}");
        }
    }
}
