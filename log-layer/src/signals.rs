//! Signals that end the process, for programs that have no handler of their own: what is buffered is delivered first.
//!
//! Promises: the process still ends by the signal, with the status that it would have had; a forked child, in which the
//! thread that would do this does not run, is ended by them at once.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::exit;

static LISTENING: Once = Once::new();
static LISTENS: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Has the process deliver what its layers buffer, for at most `timeout`, before it ends by one of the signals. A signal
/// that is ignored or has a handler is left alone. Only the first call has a say.
///
/// # Errors
/// What prevents it.
pub(crate) fn listen(timeout: Duration) -> io::Result<()> {
    let mut outcome = Ok(());
    LISTENING.call_once(|| outcome = start(timeout));
    outcome
}

/// In a forked child: the signals do what they did before.
pub(crate) fn forget() {
    for (signal, listens) in SIGNALS.into_iter().zip(&LISTENS) {
        if listens.load(Relaxed) {
            set_default(signal);
        }
    }
}

fn start(timeout: Duration) -> io::Result<()> {
    let free = SIGNALS.map(is_default);
    let ours = SIGNALS.into_iter().zip(free).filter(|(_, free)| *free);
    let mut signals = Signals::new(ours.map(|(signal, _)| signal))?;
    for (listens, free) in LISTENS.iter().zip(free) {
        listens.store(free, Relaxed);
    }
    let wait = move || {
        for signal in signals.forever() {
            exit::deliver_and_say(timeout);
            // It does not return: the signal's default is to end the process.
            let _ = emulate_default_handler(signal);
        }
    };
    // Nobody waits for it: it ends with the process, or ends that.
    thread::Builder::new()
        .name("log-layer-signals".to_owned())
        .spawn(wait)
        .map(|_| ())
}

#[expect(unsafe_code, reason = "the standard library has no word for signals")]
fn is_default(signal: i32) -> bool {
    // SAFETY: all zeros is a `sigaction`, which the call fills in; without a new one it changes nothing.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_DFL
    }
}

#[expect(unsafe_code, reason = "the standard library has no word for signals")]
fn set_default(signal: i32) {
    // SAFETY: the default is always a handler, and a forked child may call this at any time.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
