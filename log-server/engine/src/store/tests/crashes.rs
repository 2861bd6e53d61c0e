//! A child process dies at a named place; what it had acknowledged is then found once, and what it had not can be sent
//! again without being doubled.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::files::*;
use super::*;
use crate::store::crash::{TIMES, VARIABLE};

const DATA: &str = "LOG_SERVER_CRASH_DATA";
const SIGABRT: i32 = 6;
const BATCHES: u64 = 40;

/// Every place that the child passes while it appends, seals, merges, rolls and deletes.
const PLACES: [&str; 20] = [
    "append.before-commit",
    "append.committed",
    "seal.inserted",
    "seal.before-commit",
    "seal.committed",
    "seal.published",
    "superseded.deleted",
    "rewrite.inserted",
    "rewrite.before-commit",
    "rewrite.committed",
    "rewrite.published",
    "roll.made",
    "roll.renamed",
    "roll.opened",
    "delete.before-unlink",
    "remove.one-file-gone",
    "delete.unlinked",
    "levels.noted",
    "migrate.before-commit",
    "migrate.committed",
];

fn text(no: u64) -> String {
    format!(r#"{{"level":"debug","message":"{no} debug"}},{{"level":"error","message":"{no} error"}}"#)
}

/// Debug records are deleted soon; whole partitions when the test wants to see them go.
fn options(place: &str) -> Options {
    let mut options = Options {
        partition_bytes: 200_000,
        ..eager()
    };
    let moment = Some(Duration::from_millis(1));
    if place.starts_with("delete.") || place.starts_with("remove.") {
        options.partition_bytes = 0;
        options.keep.levels = [moment; Level::ALL.len()];
    } else {
        options.keep.levels[Level::Debug as usize] = moment;
    }
    options
}

/// What the child does until it dies: appends batches one by one and says which were acknowledged.
#[test]
fn a_child_works_until_it_dies() {
    let (Ok(data), Ok(place)) = (std::env::var(DATA), std::env::var(VARIABLE)) else {
        // Run among the other tests there is nothing to die of.
        assert!(std::env::var(DATA).is_err());
        return;
    };
    // Only added to: a file that is written anew is empty for a moment, in which it says that nothing was acknowledged.
    let mut acknowledged = std::fs::File::create(std::path::Path::new(&data).join("acknowledged")).unwrap();
    let store = Store::open_by(std::path::Path::new(&data), options(&place), Clock::believed()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for no in 1..=BATCHES {
        runtime.block_on(store.append(batch("b", no, &text(no)))).unwrap();
        acknowledged.write_all(format!("{no}\n").as_bytes()).unwrap();
        if no % 4 == 0 {
            until_sealed(&store);
        }
    }
    // Whatever is left to do in the background comes past the place.
    until(&store, "the end", |_| false);
}

/// Runs a child that dies at the place for the `times`th time; returns what it had acknowledged.
fn dies(data: &TempDir, place: &str, times: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "store::tests::crashes::a_child_works_until_it_dies"])
        .envs([
            (DATA, data.path().to_str().unwrap()),
            (VARIABLE, place),
            (TIMES, &times.to_string()),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = child.status().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "{place}: {status}");
    let acknowledged = std::fs::read_to_string(data.path().join("acknowledged")).unwrap_or_default();
    // A line that was being written was not acknowledged to anybody.
    let whole = acknowledged.rfind('\n').map_or("", |end| &acknowledged[..end]);
    whole.lines().last().map_or(0, |last| last.parse().unwrap())
}

/// `false` for records that retention may have deleted.
fn must_be_there(place: &str, level: &str) -> bool {
    level == "error" && !place.starts_with("delete.") && !place.starts_with("remove.")
}

fn check_place(place: &str, times: usize) {
    let data = TempDir::new().unwrap();
    if place.starts_with("migrate.") {
        std::fs::create_dir(data.path().join("logs")).unwrap();
        schema::create_format(&data.path().join("logs/2026-01-02T03-04-05Z.db"), 1);
    }
    let acknowledged = dies(&data, place, times);
    if partitions(&data).is_empty() {
        // It died while the first one was being made.
        assert_eq!((place, acknowledged), ("roll.made", 0));
    } else {
        check_sound_after(&data, place);
    }
    let store = open(&data, eager());
    let count = |found: &BTreeMap<RecordId, String>, message: &str| {
        found.values().filter(|found| *found == message).count()
    };
    let found = everything(&store);
    for no in 1..=acknowledged {
        for level in ["debug", "error"] {
            let times = count(&found, &format!("{no} {level}"));
            assert!(
                times == 1 || (times == 0 && !must_be_there(place, level)),
                "{place}: {no} {level}: {times}"
            );
        }
    }
    // Who got no answer sends again, and so does who lost it.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for no in 1..=BATCHES {
        let outcome = runtime.block_on(store.append(batch("b", no, &text(no)))).unwrap();
        assert!(
            no > acknowledged || outcome == Appended::Duplicate,
            "{place}: {no}"
        );
    }
    until_sealed(&store);
    let found = everything(&store);
    for no in 1..=BATCHES {
        for level in ["debug", "error"] {
            let times = count(&found, &format!("{no} {level}"));
            let may_be_gone = no <= acknowledged + 1 && !must_be_there(place, level);
            assert!(
                times == 1 || (times == 0 && may_be_gone),
                "{place}: {no} {level}: {times} after all was sent again"
            );
        }
    }
    store.close();
    check_sound(&data);
}

/// A file that was not brought up to date yet is sound, but not to a check.
#[track_caller]
fn check_sound_after(data: &TempDir, place: &str) {
    let checked = check(data.path(), |_| {}).unwrap();
    let expected = usize::from(place == "migrate.before-commit");
    assert_eq!(
        checked.problems.len(),
        expected,
        "{place}: {:?}",
        checked.problems
    );
}

#[test]
fn a_crash_at_any_place_loses_nothing_and_doubles_nothing() {
    std::thread::scope(|scope| {
        // Two at a time: each waits for the disk more than it computes.
        for places in PLACES.chunks(PLACES.len() / 2) {
            scope.spawn(move || places.iter().for_each(|place| check_place(place, 1)));
        }
    });
}

#[test]
fn a_crash_after_some_work_loses_nothing_and_doubles_nothing() {
    for place in [
        "append.committed",
        "seal.committed",
        "rewrite.committed",
        "roll.opened",
        "superseded.deleted",
    ] {
        check_place(place, 3);
    }
}

#[test]
fn a_crash_in_a_backup_leaves_no_backup() {
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.append(batch("b", 1, &text(1)))).unwrap();
    let copy = data.path().join("copy");
    std::fs::create_dir(data.path().join("copy.partial")).unwrap();
    let refused = backup(data.path(), &copy, |_| {}).unwrap_err().to_string();
    assert!(refused.contains("copy.partial") && !copy.exists(), "{refused}");
}
