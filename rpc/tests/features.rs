//! The table of what this crate can do names tests, and there are tests of these names.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every test of this crate, as `module::name`.
fn tests() -> HashSet<String> {
    let mut found = HashSet::new();
    let mut folders: Vec<PathBuf> = ["tests", "src"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (module, text) = (path.file_stem().unwrap(), fs::read_to_string(&path).unwrap());
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                    let name = rest.split('(').next().unwrap();
                    found.insert(format!("{}::{name}", module.to_str().unwrap()));
                }
                is_test = line == "#[test]" || line.starts_with("#[tokio::test");
            }
        }
    }
    found
}

#[test]
fn every_feature_is_shown_by_a_test_that_exists() {
    let page = include_str!("../docs/features.md");
    let lines = page.lines().skip_while(|line| !line.starts_with("|---"));
    let (tests, mut features) = (tests(), 0);
    for line in lines.skip(1) {
        let shown = line.trim_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test shows this: {line}");
        for name in names {
            let test = name.replace("::tests::", "::");
            assert!(tests.contains(&test), "there is no test {name}");
        }
        features += 1;
    }
    assert!(features > 20, "{features} features were read");
}
