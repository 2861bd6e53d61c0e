//! The Python handler's own tests, against this workspace's log server.

use std::path::Path;
use std::process::Command;

use e2e::binary;

#[test]
fn the_python_handler_keeps_its_promises() {
    let test = std::env::current_exe().unwrap();
    let target = test
        .ancestors()
        .nth(3)
        .expect("tests are built in <target>/<profile>/deps");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python");
    let output = Command::new(target.join("python/bin/python"))
        .args(["-m", "unittest", "discover", "--start-directory", "tests"])
        .current_dir(package)
        .env("PYTHONPATH", "src")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LOG_SERVER", binary("log-server"))
        .output()
        .expect("`make test` makes a Python with what it needs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
