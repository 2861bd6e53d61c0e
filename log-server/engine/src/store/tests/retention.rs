//! What need not be kept is deleted, and nothing else.

use super::files::*;
use super::*;

const A_MOMENT: Option<Duration> = Some(Duration::from_millis(1));

fn keeping(keep: Keep) -> Options {
    Options { keep, ..restless() }
}

#[tokio::test]
async fn the_byte_budget_is_kept_by_deleting_the_oldest() {
    const BUDGET: u64 = 24_000_000;
    let data = TempDir::new().unwrap();
    let keep = Keep {
        bytes: Some(BUDGET),
        ..Keep::default()
    };
    let options = Options { keep, ..eager() };
    let store = open(&data, options);
    let mut random = fastrand::Rng::with_seed(1);
    let mut no = 0;
    while store.statistics().deleted_partitions < 3 {
        let noise: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(200_000)
            .collect();
        no += 1;
        stored(
            &store,
            batch("b", no, &format!(r#"{{"message":"{no} {noise}"}}"#)),
        )
        .await;
        if no % 10 == 0 {
            // Not faster than it is sealed, or one file may take the whole budget and be deleted as a whole.
            until_sealed(&store);
            until(&store, "the budget", |statistics| statistics.bytes <= BUDGET);
        }
    }
    until(&store, "only the oldest to be gone, and counted", |statistics| {
        let found = everything(&store);
        let first = found
            .first_key_value()
            .map_or(0, |(id, _)| id.batch().unsigned_abs());
        eprintln!("first {first}, found {}, sent {no}", found.len());
        first > 1 && statistics.deleted_records == first - 1 && found.len() as u64 == no + 1 - first
    });
    // What was deleted is still not stored a second time.
    assert_eq!(
        stored(&store, batch("b", 1, r#"{"message":"1"}"#)).await,
        Appended::Duplicate
    );
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn a_partition_is_readable_for_who_has_it_when_it_is_deleted() {
    let data = TempDir::new().unwrap();
    let store = open(&data, restless());
    stored(&store, batch("b", 1, r#"{"message":"old"}"#)).await;
    until(&store, "a second partition", |statistics| {
        statistics.partitions == 2
    });
    until_sealed(&store);
    let snapshot = store.inner.contents.snapshot(TimeRange::ALL);
    let [block] = &*snapshot.blocks else {
        panic!("one block")
    };
    assert_eq!(block.batches().unwrap().len(), 1);
    let oldest = partitions(&data).remove(0);
    directory::remove(&oldest).unwrap();
    assert_eq!(block.batches().unwrap()[0].records[0].message, "old");
    assert_eq!(store.statistics().damaged, []);
}

#[tokio::test]
async fn levels_whose_time_is_up_are_taken_out_and_the_others_keep_their_ids() {
    let data = TempDir::new().unwrap();
    let store = open(&data, restless());
    let known = fill(&store, &mut fastrand::Rng::with_seed(9), 40).await;
    until_sealed(&store);
    let before = everything(&store);
    store.close();
    let mut keep = Keep::default();
    keep.levels[Level::Debug as usize] = A_MOMENT;
    let store = open(&data, keeping(keep.clone()));
    // The newest partition is not finished before something follows.
    stored(&store, batch("last", 1, r#"{"message":"the last"}"#)).await;
    let debug = known.iter().filter(|one| one.3 == "debug").count() as u64;
    until(&store, "debug records to be deleted", |statistics| {
        statistics.deleted_records == debug
    });
    for reopened in [false, true] {
        let store = if reopened {
            open(&data, keeping(keep.clone()))
        } else {
            store.clone()
        };
        let mut after = everything(&store);
        after.retain(|_, message| message != "the last");
        let kept = known.iter().filter(|one| one.3 != "debug");
        assert_eq!(after.len(), kept.clone().count());
        assert!(after.iter().all(|(id, message)| before.get(id) == Some(message)));
        for (id, message) in &before {
            let found = store.record(*id).unwrap().map(|found| found.record.message);
            assert_eq!(
                found.as_deref(),
                after.get(id).map(String::as_str),
                "{id} {message}"
            );
        }
        for (_, _, message, _) in kept {
            assert!(after.values().any(|found| found == message), "{message}");
        }
        store.close();
        check_sound(&data);
    }
}

#[tokio::test]
async fn a_partition_of_which_nothing_is_kept_is_deleted_whole() {
    let data = TempDir::new().unwrap();
    let keep = Keep {
        levels: [A_MOMENT; Level::ALL.len()],
        bytes: None,
    };
    let store = open(&data, keeping(keep));
    for no in 1..=5 {
        stored(&store, batch("b", no, r#"{"message":"m"}"#)).await;
        until(&store, "the record to be deleted", |statistics| {
            statistics.deleted_records == no
        });
    }
    assert!(messages(&store, "").is_empty());
    assert_eq!(partitions(&data).len(), 1);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn a_clock_that_is_not_believed_deletes_nothing() {
    let data = TempDir::new().unwrap();
    let keep = Keep {
        levels: [A_MOMENT; Level::ALL.len()],
        bytes: None,
    };
    let store = Store::open_with(data.path(), keeping(keep)).unwrap();
    for no in 1..=3 {
        stored(&store, batch("b", no, r#"{"message":"m"}"#)).await;
        let rolled = |statistics: &Statistics| statistics.partitions as u64 > no;
        until(&store, "a further partition", rolled);
    }
    until_sealed(&store);
    assert_eq!(
        (messages(&store, "").len(), store.statistics().deleted_partitions),
        (3, 0)
    );
}
