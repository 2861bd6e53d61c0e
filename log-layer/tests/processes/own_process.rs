//! A test that needs a process of its own runs its own binary again, for itself alone.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Set in such a process, to where it finds Redis.
pub(crate) const REDIS: &str = "LOG_LAYER_REDIS_URL";

/// Whether this is such a process.
pub(crate) fn is_it() -> bool {
    std::env::var(REDIS).is_ok()
}

/// The test of this name, to be run again with Redis at `url` and these settings.
pub(crate) fn again(test: &str, url: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(REDIS, url)
        // Longer than any test: only a flush sends what is not the first record.
        .env("LOG_LAYER_LINGER_MS", "600000")
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    heed_interrupts(&mut command);
    command
}

/// What is started in the background of a shell, tests too, is started with interrupts ignored.
#[expect(unsafe_code, reason = "the standard library has no word for signals")]
fn heed_interrupts(command: &mut Command) {
    let heed = || {
        // SAFETY: the default is always a handler.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: between fork and exec it only sets a signal's handler, which is allowed there.
    unsafe { command.pre_exec(heed) };
}

/// Killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
