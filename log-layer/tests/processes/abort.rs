//! A program in which panics abort. The layer must have been built that way too, so this builds an example anew.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use crate::collector::Collector;
use crate::redis::Place;

#[test]
fn where_panics_abort_the_panic_and_what_came_before_it_arrive() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = std::env::current_exe().unwrap();
    let target = test
        .ancestors()
        .nth(3)
        .expect("tests are built in <target>/<profile>/deps");
    let folder = target.join("abort");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--offline", "--example", "last_words"])
        // Quick to build: it is run once.
        .args([
            "--config",
            "profile.dev.panic='abort'",
            "--config",
            "profile.dev.opt-level=0",
        ])
        .args(["--config", "profile.dev.package.'*'.opt-level=0"])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(package)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );

    let redis = Place::new().start();
    let collector = Collector::start(&redis.url());
    let output = Command::new(folder.join("debug/examples/last_words"))
        .env("LOG_LAYER_REDIS_URL", redis.url())
        .env("LOG_LAYER_LINGER_MS", "600000")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    let records = collector.records();
    assert_eq!(records.len(), 101);
    let last = records[100]["message"].as_str().unwrap();
    assert!(last.ends_with("the last of them"), "{last}");
}
