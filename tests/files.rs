//! Log files that something else wrote, sent line by line by `replay`: every line is found exactly once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use e2e::{Process, Stack};
use tempfile::TempDir;

/// A piece of text that occurs in a file, and not in all of its lines.
const SUBSTRINGS: [(&str, &str); 9] = [
    ("Apache", "mod_jk child"),
    ("HDFS", "PacketResponder"),
    ("Linux", "authentication failure"),
    ("OpenSSH", "BREAK-IN"),
    ("OpenStack", "Instance destroyed"),
    ("Proxifier", "close, "),
    ("Spark", "Found block"),
    ("Zookeeper", "FastLeaderElection"),
    ("Made", "登录失败"),
];

/// Real log files where they are at hand beside the checkout, and one made here in any case.
fn files(directory: &Path) -> Vec<PathBuf> {
    let made = directory.join("Made.log");
    let lines: Vec<String> = (0..3_000)
        .map(|number| match number % 3 {
            0 => format!(
                "2026-01-02 03:04:05,{:03} WARN user {number} 登录失败",
                number % 1_000
            ),
            1 => format!("Jun 14 15:16:01 combo sshd[{number}]: check pass; user unknown"),
            _ => format!("\tat frame {number}, no head at all \u{1b}[31mred\u{1b}[0m"),
        })
        .collect();
    std::fs::write(&made, lines.join("\n")).unwrap();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/loghub");
    let mut files = vec![made];
    files.extend(
        std::fs::read_dir(beside)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path()),
    );
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files
}

fn service(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_lowercase()
}

/// Sends the files and waits until all of it is acknowledged.
async fn replay(stack: &Stack, files: &[PathBuf]) {
    let arguments: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let redis = stack.redis.url();
    let (code, said) = Process::run("replay", &arguments, &[("LOG_LAYER_REDIS_URL", &redis)]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_every_file_is_found_exactly_once() {
    let stack = Stack::start().await;
    let directory = TempDir::new().unwrap();
    let files = files(directory.path());
    replay(&stack, &files).await;
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let mut expected: BTreeMap<(u64, &str), u64> = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            *expected.entry((number, line)).or_default() += 1;
        }
        let records = stack.all(&format!("service:{}", service(path))).await;
        let mut found: BTreeMap<(u64, &str), u64> = BTreeMap::new();
        for record in &records {
            let number = record["fields"]["line_number"].as_u64().unwrap();
            *found
                .entry((number, record["message"].as_str().unwrap()))
                .or_default() += 1;
        }
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_substring_is_found_as_often_as_grep_finds_it() {
    let stack = Stack::start().await;
    let directory = TempDir::new().unwrap();
    let files = files(directory.path());
    replay(&stack, &files).await;
    for path in &files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, substring) = SUBSTRINGS
            .iter()
            .find(|(file, _)| *file == name)
            .expect("every file has one");
        let grep = std::process::Command::new("grep")
            .args(["-ciF", substring])
            .arg(path)
            .output()
            .unwrap();
        let expected: u64 = String::from_utf8(grep.stdout).unwrap().trim().parse().unwrap();
        assert!(expected > 0, "{substring} is in {name}");
        let found = stack
            .count(&format!("service:{} message:\"{substring}\"", service(path)))
            .await;
        assert_eq!(found, expected, "{substring} in {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_and_times_are_told_from_the_lines() {
    let stack = Stack::start().await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("app.log");
    std::fs::write(
        &path,
        "2026-01-02 03:04:05,678 WARN slow\n2026-01-02T03:04:06Z ERROR broken\nplain\n",
    )
    .unwrap();
    replay(&stack, &[path]).await;
    let warned = stack.all("level:warn").await;
    assert_eq!(warned[0]["time"], "2026-01-02T03:04:05.678000000Z");
    assert_eq!(
        stack.all("level:error").await[0]["time"],
        "2026-01-02T03:04:06.000000000Z"
    );
    assert_eq!(stack.count("level:info plain").await, 1);
}
