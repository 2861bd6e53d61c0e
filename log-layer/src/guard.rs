//! The guard: what the program holds while it logs, and drops when it ends.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::LevelFilter;

use crate::delivery::Delivery;
use crate::dropped::DropReason;
use crate::levels::{Levels, everywhere};
use crate::reentry;
use crate::stats::{FlushReport, Stats};
use crate::stderr;

/// Keeps delivery running. Dropping it delivers what is buffered, for at most the flush timeout, and stops.
///
/// Hold it in `main` for as long as anything may be logged; what is logged later is counted as dropped.
#[derive(Debug)]
#[must_use = "dropping the guard delivers what is buffered and stops"]
pub struct Guard {
    delivery: Arc<Delivery>,
    levels: Levels,
    flush_timeout: Duration,
    problems: Vec<String>,
}

impl Guard {
    pub(crate) fn new(
        delivery: Arc<Delivery>,
        levels: Levels,
        flush_timeout: Duration,
        problems: Vec<String>,
    ) -> Guard {
        for problem in &problems {
            stderr::line(problem);
        }
        Guard {
            delivery,
            levels,
            flush_timeout,
            problems,
        }
    }

    /// Waits until everything logged before this call is stored by the server or given up, at most for `timeout`.
    ///
    /// It blocks the calling thread and may be called anywhere, also in asynchronous code: the shipper has a thread of its
    /// own. Logging goes on meanwhile.
    pub fn flush(&self, timeout: Duration) -> FlushReport {
        if reentry::on_shipper() || !self.delivery.is_running() {
            return self.delivery.report();
        }
        self.delivery.flush(timeout)
    }

    /// [`flush`](Guard::flush) for asynchronous code that has other things to do meanwhile. It waits for as long as it
    /// takes: wrap it in your runtime's timeout. Dropping the future ends only the waiting.
    pub async fn flush_async(&self) -> FlushReport {
        if reentry::on_shipper() || !self.delivery.is_running() {
            return self.delivery.report();
        }
        self.delivery.flush_async().await
    }

    /// Changes the mildest level of events to ship while the program runs, as
    /// [`Builder::level`](crate::Builder::level) did at its start. A layer that is not
    /// [enabled](crate::Builder::enabled) stays off.
    pub fn set_level(&self, level: impl Into<LevelFilter>) {
        self.levels.set_user(everywhere(level.into()));
    }

    /// Refuses what is logged from now on, flushes for at most `timeout`, puts on disk what is not delivered by then, if
    /// there is a [`spool`](crate::Builder::spool), and stops. Later calls only report.
    pub fn shutdown(&self, timeout: Duration) -> FlushReport {
        self.delivery.close(DropReason::AfterShutdown);
        self.flush(timeout);
        self.delivery.stop(None);
        self.delivery.report()
    }

    /// Lets delivery go on until the process ends, which then waits up to a second for the last records as it does at
    /// [`exit`](std::process::exit): for a program with no place to keep a guard.
    pub fn detach(self) {
        std::mem::forget(self);
    }

    /// Counts since the layer was built.
    pub fn stats(&self) -> Stats {
        self.delivery.stats()
    }

    /// What was wrong with the configuration; empty if nothing was. Each was printed on stderr once.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(crate) fn add_problem(&mut self, problem: String) {
        stderr::line(&problem);
        self.problems.push(problem);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.delivery.is_running() {
            return;
        }
        let report = self.shutdown(self.flush_timeout);
        let lost = report.still_buffered + report.dropped;
        if lost == 0 {
            return;
        }
        let stats = self.stats();
        let mut line = format!("{lost} records were not delivered");
        let mut part = |text: std::fmt::Arguments<'_>| {
            line.write_fmt(text).expect("a String takes every character");
        };
        if report.still_buffered > 0 {
            part(format_args!(", {} still buffered", report.still_buffered));
        }
        for dropped in stats.dropped() {
            part(format_args!(
                ", {} {} ({})",
                dropped.count, dropped.level, dropped.reason
            ));
        }
        if let Some(error) = &stats.last_error {
            part(format_args!("; the last error was: {error}"));
        }
        stderr::line(&line);
    }
}
