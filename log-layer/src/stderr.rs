//! The layer's own voice: one line on stderr, for what cannot be said anywhere else.

use std::io::{self, Write as _};

pub(crate) fn line(text: &str) {
    // `eprintln!` would panic where stderr is closed; then there is nobody left to tell.
    let _ = writeln!(io::stderr(), "log-layer: {text}");
}
