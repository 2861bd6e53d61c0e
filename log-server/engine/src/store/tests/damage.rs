//! Files that were damaged, cut off, replaced or deleted, disks that are full: what can be read is read, what is
//! missing is told, and nothing wrong is believed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use super::files::*;
use super::*;
use crate::store::writer::Change;

/// A store of five partitions with 200 records in each but the last; returns what is in it.
async fn made(data: &TempDir) -> BTreeMap<RecordId, String> {
    let store = open(data, restless());
    for no in 1..=4 {
        let records = (0..200).map(|place| format!(r#"{{"message":"order {no} {place}"}}"#));
        let records: Vec<String> = records.collect();
        stored(&store, batch("b", no, &records.join(","))).await;
        until(&store, "a further partition", |statistics| {
            statistics.partitions as u64 > no
        });
    }
    until_sealed(&store);
    let known = everything(&store);
    store.close();
    known
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

fn flip(path: &Path, position: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
}

fn pragma(path: &Path, pragma: &str) {
    rusqlite::Connection::open(path)
        .unwrap()
        .execute_batch(pragma)
        .unwrap();
}

/// After `harm` to the oldest partition the server starts, takes records and answers; the others are complete, what is
/// missing is told, and `check` finds it.
async fn check_survives(harm: impl Fn(&Path), expected: &str) {
    let data = TempDir::new().unwrap();
    let known = made(&data).await;
    harm(&partitions(&data)[0]);
    let store = open(&data, Options::default());
    let found = page(&store, "order", TimeRange::ALL, None, 10_000);
    assert_eq!(found.partial, Some(Partial::Damaged), "{expected}");
    assert_eq!(
        found.records.len(),
        known.range(RecordId::new(2, 0)..).count(),
        "{expected}"
    );
    assert!(found.records.iter().all(|one| {
        known
            .get(&one.id)
            .is_some_and(|known| *known == one.record.message)
    }));
    assert_eq!(
        stored(&store, batch("b", 5, r#"{"message":"new"}"#)).await,
        Appended::Stored
    );
    let repeated = store.append(batch("b", 4, "")).await;
    assert!(matches!(repeated, Err(StoreError::Reused { .. })), "{repeated:?}");
    assert_eq!(messages(&store, "new"), ["new"]);
    let damaged = store.statistics().damaged;
    assert!(
        damaged.len() == 1 && damaged[0].1.contains(expected),
        "{expected}: {damaged:?}"
    );
    store.close();
    let problems = check(data.path(), |_| {}).unwrap().problems;
    assert!(
        problems.iter().any(|problem| problem.what.contains(expected)),
        "{expected}: {problems:?}"
    );
}

#[tokio::test]
async fn an_older_partition_that_cannot_be_read_stops_nothing() {
    check_survives(
        |path| std::fs::write(path, "not a database, only some text").unwrap(),
        "not a database",
    )
    .await;
    check_survives(|path| cut(path, 0), "no records").await;
    check_survives(|path| cut(path, 5 * 16_384), "malformed").await;
    check_survives(
        |path| pragma(path, "PRAGMA user_version=99"),
        "newer log-server (format 99",
    )
    .await;
    check_survives(|path| pragma(path, "PRAGMA user_version=-1"), "format -1").await;
    check_survives(
        |path| pragma(path, "PRAGMA application_id=7"),
        "not written by log-server",
    )
    .await;
    check_survives(|path| pragma(path, "DROP TABLE columns"), "columns").await;
    check_survives(|path| pragma(path, "DELETE FROM columns"), "missing").await;
    check_survives(
        |path| pragma(path, "UPDATE columns SET data = zeroblob(length(data))"),
        "not what was stored",
    )
    .await;
}

#[tokio::test]
async fn a_flipped_bit_never_makes_a_record_say_something_else() {
    let data = TempDir::new().unwrap();
    let known = made(&data).await;
    let path = &partitions(&data)[0];
    let whole = std::fs::read(path).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let mut told = 0;
    // The header, which says what the file is, has tests of its own; most of so small a file is empty.
    let positions: Vec<usize> = (100..whole.len()).filter(|at| whole[*at] != 0).collect();
    for _ in 0..60 {
        flip(path, positions[random.usize(..positions.len())] as u64);
        let reader = Store::open_to_read(data.path()).unwrap();
        let found = page(&reader, "order", TimeRange::ALL, None, 10_000);
        assert!(found.records.iter().all(|one| {
            known
                .get(&one.id)
                .is_some_and(|known| *known == one.record.message)
        }));
        told += usize::from(found.partial.is_some());
        // Nothing that is missing goes unnoticed.
        let complete = found.records.len() == known.len();
        let problems = check(data.path(), |_| {}).unwrap().problems;
        assert!(complete || found.partial.is_some() || !problems.is_empty());
        drop(reader);
        std::fs::write(path, &whole).unwrap();
    }
    assert!(told > 0);
}

#[tokio::test]
async fn a_newest_partition_that_is_damaged_is_set_aside_and_a_new_one_begun() {
    let data = TempDir::new().unwrap();
    made(&data).await;
    let store = open(&data, Options::default());
    stored(&store, batch("b", 5, r#"{"message":"lost"}"#)).await;
    store.close();
    drop(store);
    let newest = partitions(&data).pop().unwrap();
    cut(&newest, 2 * 16_384);
    let store = open(&data, Options::default());
    assert_eq!(
        stored(&store, batch("c", 1, r#"{"message":"new"}"#)).await,
        Appended::Stored
    );
    let found = page(&store, "", TimeRange::ALL, None, 10_000);
    assert_eq!(
        (found.records.len(), found.partial),
        (801, Some(Partial::Damaged))
    );
    let id = found
        .records
        .iter()
        .find(|one| one.record.message == "new")
        .unwrap()
        .id;
    assert!(
        id.batch() > 1 << 32,
        "an id that the lost records cannot have had: {id}"
    );
    store.close();
    let store = open(&data, Options::default());
    assert_eq!(
        stored(&store, batch("c", 1, r#"{"message":"new"}"#)).await,
        Appended::Duplicate
    );
}

#[tokio::test]
async fn a_batch_that_is_damaged_before_it_is_sealed_is_set_aside() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    for no in 1..=3 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
    }
    store.close();
    pragma(
        &partitions(&data)[0],
        "UPDATE batches SET payload = x'00' WHERE id = 2",
    );
    let store = open(&data, eager());
    until_sealed(&store);
    assert_eq!(messages(&store, ""), ["3", "1"]);
    assert_eq!(store.statistics().damaged.len(), 1);
    store.close();
    let problems = check(data.path(), |_| {}).unwrap().problems;
    assert!(
        problems.len() == 1 && problems[0].what.contains("set_aside"),
        "{problems:?}"
    );
    let store = open(&data, eager());
    assert_eq!(
        page(&store, "", TimeRange::ALL, None, 10).partial,
        Some(Partial::Damaged)
    );
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_file_was_taken_away() {
    for replaced in [false, true] {
        let data = TempDir::new().unwrap();
        let store = open(&data, Options::default());
        stored(&store, batch("b", 1, r#"{"message":"m"}"#)).await;
        let path = partitions(&data).remove(0);
        let copy = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if replaced {
            std::fs::write(&path, copy).unwrap();
        }
        let refused = store.append(batch("b", 2, r#"{"message":"m"}"#)).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
        assert!(store.failed().await.contains("deleted, renamed or replaced"));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_records_and_goes_on_when_there_is_room() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    let limit = |pages: &'static str| {
        let (done, answer) = sync_channel(1);
        let write =
            Box::new(move |writer: &rusqlite::Connection| writer.query_row(pages, [], |row| row.get(0)));
        let requests = lock(&store.inner.writer).clone().unwrap();
        requests
            .try_send(Request::Change(Change { write, done }))
            .ok()
            .unwrap();
        answer.recv().unwrap().unwrap()
    };
    let records = |no: u64| format!(r#"{{"message":"{no} {}"}}"#, noise(1));
    stored(&store, batch("b", 1, &records(1))).await;
    // SQLite answers as it does when the disk has no room.
    limit("PRAGMA max_page_count=60");
    let mut acknowledged = 1;
    loop {
        match store
            .append(batch("b", acknowledged + 1, &records(acknowledged + 1)))
            .await
        {
            Ok(_) => acknowledged += 1,
            Err(StoreError::Full) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(
        (messages(&store, "").len() as u64, store.failure()),
        (acknowledged, None)
    );
    limit("PRAGMA max_page_count=100000");
    assert_eq!(
        stored(&store, batch("b", acknowledged + 1, &records(0))).await,
        Appended::Stored
    );
    store.close();
    check_sound(&data);
}

const LIMITED: &str = "LOG_SERVER_LIMITED_DATA";

/// 100 kB that do not get smaller.
fn noise(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(100_000)
        .collect()
}

/// What the child does: appends until a write fails, and says how much was acknowledged.
#[tokio::test]
async fn a_child_appends_until_its_files_may_not_grow() {
    let Ok(data) = std::env::var(LIMITED) else {
        // Run among the other tests there is no limit.
        return;
    };
    let store = Store::open(Path::new(&data)).unwrap();
    let mut acknowledged = 0;
    let records = |no: u64| format!(r#"{{"message":"{no} {}"}}"#, noise(no));
    let why = loop {
        match store
            .append(batch("b", acknowledged + 1, &records(acknowledged + 1)))
            .await
        {
            Ok(_) => acknowledged += 1,
            Err(StoreError::Failed(why)) => break why,
            Err(other) => panic!("{other}"),
        }
        assert!(acknowledged < 1_000, "there is no limit");
    };
    assert_eq!(store.failed().await, why);
    let again = store.append(batch("b", acknowledged + 1, &records(0))).await;
    assert!(matches!(again, Err(StoreError::Failed(_))), "{again:?}");
    // What was acknowledged is still found.
    assert_eq!(messages(&store, "").len() as u64, acknowledged);
    std::fs::write(Path::new(&data).join("acknowledged"), acknowledged.to_string()).unwrap();
}

#[tokio::test]
async fn a_write_that_fails_is_not_acknowledged_and_stops_the_store_until_it_is_opened_again() {
    let data = TempDir::new().unwrap();
    // The signal would end the process; ignored, a write beyond the limit is an I/O error.
    let script = r#"trap '' XFSZ; ulimit -f 4000; exec "$0" --exact "$1""#;
    let child = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg("store::tests::damage::a_child_appends_until_its_files_may_not_grow")
        .env(LIMITED, data.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let acknowledged: u64 = std::fs::read_to_string(data.path().join("acknowledged"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(acknowledged > 3, "{acknowledged}");
    let store = open(&data, eager());
    assert_eq!(messages(&store, "").len() as u64, acknowledged);
    for (no, expected) in [
        (acknowledged, Appended::Duplicate),
        (acknowledged + 1, Appended::Stored),
    ] {
        let records = format!(r#"{{"message":"{no} {}"}}"#, noise(no));
        assert_eq!(stored(&store, batch("b", no, &records)).await, expected);
    }
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn a_backup_is_a_store_with_everything_that_was_acknowledged_before_it() {
    let data = TempDir::new().unwrap();
    made(&data).await;
    let store = open(&data, Options::default());
    stored(&store, batch("b", 5, r#"{"message":"just now"}"#)).await;
    let copy = data.path().join("copy");
    let mut copied = 0;
    let checked = backup(data.path(), &copy, |step| {
        copied += u32::from(matches!(step, BackupStep::Copying { .. }))
    });
    assert_eq!(checked.unwrap().records, 801);
    assert!(copied >= 5, "{copied}");
    stored(&store, batch("b", 6, r#"{"message":"too late"}"#)).await;
    let served = Store::open(&copy).unwrap();
    let mut expected = everything(&store);
    expected.retain(|_, message| message != "too late");
    assert_eq!(everything(&served), expected);
    assert_eq!(
        stored(&served, batch("b", 5, r#"{"message":"just now"}"#)).await,
        Appended::Duplicate
    );
    let again = backup(data.path(), &copy, |_| {}).unwrap_err().to_string();
    assert!(again.contains("never overwrites"), "{again}");
}

#[tokio::test]
async fn a_backup_of_a_damaged_store_says_so() {
    let data = TempDir::new().unwrap();
    made(&data).await;
    pragma(
        &partitions(&data)[1],
        "UPDATE columns SET data = zeroblob(length(data))",
    );
    let copy = data.path().join("copy");
    let error = backup(data.path(), &copy, |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("not sound") && error.contains("copy.partial"),
        "{error}"
    );
    assert!(!copy.exists());
}
