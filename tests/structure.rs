//! The rules of the house, read off the tree.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files under `folder` with one of these endings, with their text.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !["target", "node_modules", ".git"].contains(&&*name) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let shown = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "nothing under {folder} ends in {endings:?}");
    found
}

/// No file under `folder` has any of these words, except where allowed.
#[track_caller]
fn check_absent(folder: &str, words: &[&str], allowed: &[&str]) {
    for (path, text) in files(folder, &[".rs"]) {
        if allowed.iter().any(|part| path.contains(part)) {
            continue;
        }
        for word in words {
            let line = text
                .lines()
                .position(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(
                line.is_none(),
                "{path}:{}: {word:?} does not belong here",
                line.unwrap() + 1
            );
        }
    }
}

fn manifest(folder: &str) -> String {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    // What tests need is another matter.
    text.split("[dev-dependencies]").next().unwrap().to_owned()
}

#[test]
fn crates_depend_only_downwards() {
    for (folder, never) in [
        (
            "rpc",
            &[
                "log-record",
                "log-layer",
                "log-server",
                "tracing-subscriber",
                "web",
            ][..],
        ),
        (
            "log-layer/record",
            &["rpc", "log-layer", "log-server", "tracing", "tokio", "redis"],
        ),
        ("log-layer", &["log-server", "web", "rusqlite", "axum"]),
        (
            "log-server/engine",
            &[
                "rpc",
                "log-layer",
                "log-service",
                "log-server",
                "web",
                "axum",
                "redis",
                "clap",
            ],
        ),
        (
            "log-server/service",
            &["log-layer", "log-server", "examples", "rusqlite"],
        ),
        ("log-server", &["log-layer", "examples", "rusqlite"]),
        ("web", &["rpc", "log-server", "log-layer", "axum", "tokio"]),
        ("examples", &["log-server", "log-record", "rusqlite"]),
    ] {
        let manifest = manifest(folder);
        for name in never {
            let depends = manifest
                .lines()
                .any(|line| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} =")));
            assert!(!depends, "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn each_concern_has_one_place() {
    check_absent(
        "log-server/engine/src/query",
        &["rusqlite", "tokio", "axum", "std::fs", "std::net", "SELECT "],
        &["/tests/"],
    );
    check_absent("log-server/engine/src", &["rusqlite"], &["src/store/"]);
    check_absent(
        "log-server/service/src",
        &["StatusCode::"],
        &["http/error.rs", "http/health.rs", "http/page.rs"],
    );
    check_absent("log-server/service/src/http", &["redis"], &[]);
    check_absent("rpc/src", &["asyncredisrpc:"], &["src/keys.rs"]);
    check_absent("rpc/src", &["LogRecord", "log_record", "log_layer"], &[]);
}

#[test]
fn files_are_short_and_named_by_a_noun() {
    for (path, text) in files("", &[".rs", ".js", ".css", ".sh", ".py"]) {
        let name = path.rsplit('/').next().unwrap();
        assert!(
            text.lines().count() <= 450,
            "{path} has {} lines and wants a better cut",
            text.lines().count()
        );
        for empty in ["utils.", "helpers.", "common.", "misc.", "types.", "manager."] {
            assert!(
                !name.starts_with(empty),
                "{path} says nothing about what is in it"
            );
        }
    }
}

#[test]
fn modules_say_what_they_are_for() {
    for (path, text) in files("", &[".rs"]) {
        assert!(
            text.starts_with("//!") || text.starts_with("#!"),
            "{path} opens without saying what it is for"
        );
    }
}

#[test]
fn tests_wait_for_conditions_and_none_is_skipped() {
    let forbidden = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    for (path, text) in files("", &[".rs"]) {
        for word in forbidden {
            assert!(!text.contains(word), "{path}: {word}");
        }
        // A wait between two looks at a condition, or a handler that is slow on purpose, says so on its line.
        let is_test = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs");
        let sleeps = text.lines().filter(|line| line.contains(concat!("sleep", "(")));
        let unexplained: Vec<&str> = sleeps
            .filter(|line| !line.contains("polling") && !line.contains("slow"))
            .collect();
        assert!(!is_test || unexplained.is_empty(), "{path}: {unexplained:?}");
    }
}

#[test]
fn the_page_keeps_its_network_in_one_file_and_never_makes_markup_of_text() {
    for (path, text) in files("web/static", &[".js"]) {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ] {
            assert!(!text.contains(word), "{path}: {word}");
        }
        if !path.ends_with("/api.js") {
            for word in ["fetch(", "new EventSource", "XMLHttpRequest"] {
                assert!(
                    !text.contains(word),
                    "{path}: only api.js talks to the network, not {word}"
                );
            }
        }
    }
}

#[test]
fn links_of_documents_lead_to_files() {
    let mut checked = 0;
    // Links in what becomes documentation of a crate are names of items, and rustdoc looks at those.
    for (path, text) in files("", &["README.md", "FORMAT.md", "METRICS.md"]) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.map(|target| target.split('#').next().unwrap()) {
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{path}: {target} is not there");
            checked += 1;
        }
    }
    assert!(checked > 0, "there are links to files");
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "Makefile",
        ".ci",
        "rust-toolchain.toml",
        "clippy.toml",
        "rustfmt.toml",
        "deny.toml",
        ".gitignore",
        "rpc",
        "log-layer",
        "log-server",
        "web",
        "clients",
        "examples",
        "tests",
    ];
    let listed = std::process::Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output()
        .unwrap();
    for path in String::from_utf8(listed.stdout).unwrap().lines() {
        let top = path.split('/').next().unwrap();
        assert!(allowed.contains(&top), "{top} does not belong at the top level");
    }
}
