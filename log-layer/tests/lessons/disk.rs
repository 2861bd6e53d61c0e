//! What a disk may do to a spool.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::info;

use crate::lesson::{Ended, Lesson, here, lesson, setting};
use crate::wait::until;

const LOGGED: u64 = 5000;

/// Two runs: one that leaves its records on disk, and one that delivers what is left of them.
fn body() {
    let logs = log_layer::init("lessons");
    match &*setting("RUN") {
        "leave" => (0..LOGGED).for_each(|number| info!(number, "counted")),
        "deliver" => {
            info!("the next run");
            until("nothing is left but its own", || {
                let home = Path::new(&setting("LOG_LAYER_SPOOL")).join("lessons");
                let runs = fs::read_dir(home).unwrap().flatten();
                let runs = runs.filter(|entry| entry.file_name() != "quarantine");
                (runs.count() == 1).then_some(())
            });
        }
        other => panic!("{other}"),
    }
    drop(logs);
}

fn run(test: &'static str, run: &str, spool: &Path) -> Lesson {
    lesson(test, body)
        .with("RUN", run)
        .with("LOG_LAYER_SPOOL", spool.to_str().unwrap())
        .with("LOG_LAYER_FLUSH_TIMEOUT_MS", "100")
        .with("LOG_LAYER_BATCH_RECORDS", "100")
}

/// The largest file under the folder.
fn segment(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let files = entries.map(|path| if path.is_dir() { segment(&path) } else { path });
    files
        .max_by_key(|path| path.metadata().map_or(0, |data| data.len()))
        .unwrap()
}

#[track_caller]
fn check(test: &'static str, damage: impl Fn(&mut Vec<u8>)) {
    let spool = tempfile::tempdir().unwrap();
    let leaving = run(test, "leave", spool.path());
    let mut process = leaving.start();
    assert!(until("it has ended", || process.0.try_wait().unwrap()).success());
    let path = segment(spool.path());
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();

    let ended = run(test, "deliver", spool.path())
        .with("LOG_LAYER_FLUSH_TIMEOUT_MS", "20000")
        .run();
    assert!(ended.status.success(), "{}", ended.stderr);
    let told = told(&ended);
    let arrived = ended
        .texts
        .iter()
        .map(|text| text.matches("\"counted\"").count() as u64)
        .sum::<u64>();
    // A damaged byte costs one batch of a hundred, and what was torn off is no more than that.
    assert!((LOGGED - 200..LOGGED).contains(&arrived), "{arrived}");
    assert!(told.contains("damaged bytes"), "{told}");
}

/// What the layer itself says in its records.
fn told(ended: &Ended) -> String {
    let records = crate::collector::batches(&ended.texts);
    let records = records
        .iter()
        .flat_map(|batch| batch["records"].as_array().unwrap());
    let messages = records.filter_map(|record| record["message"].as_str());
    messages
        .filter(|message| *message != "counted")
        .collect::<Vec<_>>()
        .join("\n")
}

/// vectordotdev/vector#17644, #18336
#[test]
fn a_file_that_is_cut_short_costs_its_last_batch() {
    check(here!(), |bytes| bytes.truncate(bytes.len() - 100));
}

/// vectordotdev/vector#17644
#[test]
fn a_byte_that_has_changed_costs_the_batch_it_is_in() {
    check(here!(), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
}

/// datalust/serilog-sinks-seq#28
#[test]
fn a_block_of_zeros_costs_the_batches_it_hit() {
    check(here!(), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 1000].fill(0);
    });
}

/// datalust/serilog-sinks-seq#91; that it is a folder of root's would not stop root.
#[test]
fn a_directory_that_cannot_be_used_is_told_and_everything_is_delivered() {
    let lesson = lesson(here!(), || {
        let logs = log_layer::init("lessons");
        assert_eq!(logs.problems().len(), 1, "{:?}", logs.problems());
        (0..100).for_each(|number| info!(number, "counted"));
        drop(logs);
    });
    let ended = lesson.with("LOG_LAYER_SPOOL", "/dev/null/spool").run();
    ended.all(100);
    assert!(
        ended.stderr.contains("nothing will be spooled"),
        "{}",
        ended.stderr
    );
}
