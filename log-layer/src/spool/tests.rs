//! What a spool keeps, and what is left of it when the disk is not what it was.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::ranges::Ranges;

const SOURCE: &str = r#"{"service":"s"}"#;

fn orders(directory: &TempDir, bytes: u64) -> SpoolOrders {
    SpoolOrders {
        directory: directory.path().to_owned(),
        bytes,
        write_ahead: false,
    }
}

fn spool(directory: &TempDir, boot: &str) -> Spool {
    create(&orders(directory, 64 << 20), "a service/..", boot, SOURCE).unwrap()
}

fn adopted(directory: &TempDir) -> Option<Adoption> {
    adopt(directory.path(), "a service/..", &mut Default::default()).map(Result::unwrap)
}

/// The numbers and texts that wait.
fn waiting(spool: &mut Spool) -> Vec<(u64, String)> {
    std::iter::from_fn(|| spool.next().unwrap())
        .map(|found| {
            let Kept { no, records, text } = found.batch.unwrap();
            assert_eq!(u64::from(records), no * 10);
            (no, text)
        })
        .collect()
}

fn text(no: u64) -> String {
    format!("batch {no} 登录 {}", "x".repeat(no as usize * 100))
}

fn put(spool: &mut Spool, no: u64) {
    spool.put(no, no as u32 * 10, &text(no)).unwrap();
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, String)> {
    numbers.into_iter().map(|no| (no, text(no))).collect()
}

fn files(spool: &Spool) -> usize {
    let files = fs::read_dir(&spool.folder).unwrap();
    let is_segment = |name: &str| name.ends_with(".log");
    files
        .filter(|entry| is_segment(entry.as_ref().unwrap().file_name().to_str().unwrap()))
        .count()
}

#[test]
fn batches_come_back_in_order_and_nothing_stays_of_what_is_settled() {
    let directory = TempDir::new().unwrap();
    let mut spool = spool(&directory, "one");
    for no in 1..=5 {
        put(&mut spool, no);
        spool.wait(no);
    }
    assert_eq!(waiting(&mut spool), numbered(1..=5));
    (1..=5).for_each(|no| spool.done(no));
    assert!(spool.is_empty());
    let folder = spool.folder().to_owned();
    spool.close();
    assert!(!folder.exists());
}

#[test]
fn what_waits_takes_memory_for_its_segment_and_none_for_itself() {
    let directory = TempDir::new().unwrap();
    let mut spool = spool(&directory, "one");
    let numbers = 1..=3000;
    for no in numbers.clone() {
        spool.put(no, 1, &"x".repeat(4000)).unwrap();
        spool.wait(no);
    }
    assert!(spool.held.is_empty());
    assert_eq!(files(&spool), 3);
    assert_eq!(spool.segments.ranges_of_waiting(), 3);
    for no in numbers {
        let found = spool.next().unwrap().unwrap();
        assert_eq!(found.batch.unwrap().no, no);
        spool.done(no);
    }
    assert!(spool.is_empty());
}

/// A half of a batch is sealed long after those that were logged later.
#[test]
fn what_comes_to_wait_behind_the_place_that_was_read_last_comes_back_too() {
    let directory = TempDir::new().unwrap();
    let mut spool = spool(&directory, "one");
    (1..=4).for_each(|no| put(&mut spool, no));
    spool.wait(2);
    spool.wait(3);
    assert_eq!(waiting(&mut spool), numbered([2, 3]));
    spool.wait(1);
    spool.wait(4);
    assert_eq!(waiting(&mut spool), numbered([1, 4]));
}

#[test]
fn the_next_run_finds_what_is_not_settled_and_only_when_the_process_has_ended() {
    let directory = TempDir::new().unwrap();
    let mut first = spool(&directory, "one");
    (1..=6).for_each(|no| put(&mut first, no));
    first.done(2);
    first.done(5);
    assert!(adopted(&directory).is_none(), "its process lives");
    first.close();

    let mut found = adopted(&directory).unwrap();
    assert_eq!((found.damaged, found.source.as_str()), (0, SOURCE));
    assert!(adopted(&directory).is_none(), "it has an owner again");
    assert_eq!(waiting(&mut found.spool), numbered([1, 3, 4, 6]));
    [1, 3].into_iter().for_each(|no| found.spool.done(no));
    drop(found);
    let mut again = adopted(&directory).unwrap();
    assert_eq!(waiting(&mut again.spool), numbered([4, 6]));
    [4, 6].into_iter().for_each(|no| again.spool.done(no));
    again.spool.close();
    assert!(adopted(&directory).is_none());
}

#[test]
fn services_do_not_see_each_others_folders() {
    let directory = TempDir::new().unwrap();
    let mut one = spool(&directory, "one");
    put(&mut one, 1);
    drop(one);
    assert!(adopt(directory.path(), "a service", &mut Default::default()).is_none());
    assert!(adopt(directory.path(), "", &mut Default::default()).is_none());
    assert!(adopted(&directory).is_some());
}

#[test]
fn parts_of_an_unsealed_batch_are_found_until_it_is_sealed() {
    let directory = TempDir::new().unwrap();
    let mut one = spool(&directory, "one");
    let part = |before, records, callsites, list| Part {
        before,
        records,
        callsites,
        list,
    };
    one.part(7, &part(0, 2, b"{}", b"1,2")).unwrap();
    one.part(7, &part(2, 1, b"", b"3")).unwrap();
    // One got lost before this.
    one.part(7, &part(4, 1, b"{}", b"5")).unwrap();
    assert!(!one.is_empty());
    drop(one);
    let mut found = adopted(&directory).unwrap();
    let left = found.unsealed.remove(&7).unwrap();
    assert_eq!(
        (&left.callsites[..], &left.list[..], left.records),
        (&b"{}"[..], &b"1,2,3"[..], 3)
    );
    put(&mut found.spool, 7);
    drop(found);
    let found = adopted(&directory).unwrap();
    assert!(found.unsealed.is_empty());
    assert!(found.spool.has(7));
}

#[test]
fn segments_go_with_their_batches_and_the_limit_holds() {
    const BYTES: u64 = 20 << 20;
    let directory = TempDir::new().unwrap();
    let mut spool = create(&orders(&directory, BYTES), "s", "one", SOURCE).unwrap();
    let text = "x".repeat(1 << 20);
    let mut kept = 0;
    let refused = loop {
        match spool.put(kept + 1, 1, &text) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), kept), (io::ErrorKind::StorageFull, 19));
    assert!(spool.bytes() <= BYTES);
    assert!(!spool.has(kept + 1));
    let before = files(&spool);
    for no in 1..=kept {
        spool.done(no);
    }
    assert!(before > 4 && files(&spool) == 1, "{before} {}", files(&spool));
    spool.put(kept + 1, 1, &text).unwrap();
    spool.limit(0);
    assert!(spool.put(kept + 2, 1, &text).is_err());
}

#[test]
fn the_refused_are_put_aside_up_to_a_bound() {
    let directory = TempDir::new().unwrap();
    let spool = spool(&directory, "one");
    let path = spool.quarantine(1, "refused").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "refused");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        spool.folder().metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    let large = "x".repeat(10 << 20);
    spool.quarantine(2, &large).unwrap();
    assert!(spool.quarantine(3, &large).is_err());
    spool.close();
    assert!(path.exists());
    assert!(adopted(&directory).is_none(), "quarantine is nobody's run");
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("s"), "a file").unwrap();
    create(&orders(&directory, 1), "s", "one", SOURCE).unwrap_err();
}

#[test]
fn batches_that_were_damaged_meanwhile_are_named_when_the_others_of_their_segment_have_come() {
    let directory = TempDir::new().unwrap();
    let mut spool = spool(&directory, "one");
    for no in 1..=3 {
        put(&mut spool, no);
        spool.wait(no);
    }
    let segment = OpenOptions::new()
        .write(true)
        .open(spool.folder().join("1.log"))
        .unwrap();
    segment.write_at(b"?", 60).unwrap();
    for no in 2..=3 {
        let found = spool.next().unwrap().unwrap();
        assert_eq!((found.is_last, found.batch.unwrap().no), (false, no));
        spool.done(no);
    }
    let found = spool.next().unwrap().unwrap();
    assert_eq!(found.batch.unwrap_err().numbers, Ranges::from(1..2));
    assert!(found.is_last && spool.next().unwrap().is_none() && spool.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Bytes changed, zeroed or cut anywhere: the intact batches are found, once, and the damage is put aside.
    #[test]
    fn damage_costs_what_it_hits_and_nothing_else(
        place in any::<prop::sample::Index>(), len in 1..300_usize, how in 0..3,
    ) {
        let directory = TempDir::new().unwrap();
        let mut one = spool(&directory, "one");
        (1..=9).for_each(|no| put(&mut one, no));
        let path = one.folder().join("1.log");
        drop(one);
        let mut bytes = fs::read(&path).unwrap();
        let at = place.index(bytes.len());
        let end = (at + len).min(bytes.len());
        match how {
            0 => bytes[at..end].fill(0),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a),
            _ => bytes.truncate(at),
        }
        fs::write(&path, &bytes).unwrap();

        let mut found = adopted(&directory).unwrap();
        let intact = waiting(&mut found.spool);
        let expected = numbered(1..=9);
        prop_assert!(intact.iter().all(|batch| expected.contains(batch)));
        prop_assert!(how == 2 || intact.len() >= 7, "300 bytes hit three at most: {}", intact.len());
        let numbers: Vec<u64> = intact.iter().map(|(no, _)| *no).collect();
        prop_assert!(numbers.is_sorted_by(|one, next| one < next));
        let aside = fs::read_dir(found.spool.folder().with_file_name(QUARANTINE)).map_or(0, Iterator::count);
        prop_assert_eq!(aside, usize::from(found.damaged > 0));
        for no in numbers {
            found.spool.done(no);
        }
        found.spool.close();
        prop_assert!(adopted(&directory).is_none());
    }

    /// Any bytes as a segment: they are read to their end, and nothing comes of them.
    #[test]
    fn a_segment_of_any_bytes_is_put_aside(bytes in prop::collection::vec(any::<u8>(), 1..3000)) {
        let directory = TempDir::new().unwrap();
        let one = spool(&directory, "one");
        fs::write(one.folder().join("1.log"), &bytes).unwrap();
        drop(one);
        let mut found = adopted(&directory).unwrap();
        prop_assert_eq!(found.damaged, bytes.len());
        prop_assert!(found.spool.next().unwrap().is_none() && found.unsealed.is_empty());
    }
}
