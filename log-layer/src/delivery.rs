//! The way out of one process: its buffer and its shipper. A forked child gets its own, with a boot of its own, when it
//! first logs: the parent's shipper does not run in it, and the parent's records are the parent's to send.
//!
//! Promises: what a child inherits is never locked, sent or freed by it, for another thread may have been in the middle
//! of changing it. In a process that does not fork all this is one comparison for each event.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::buffer::Buffer;
use crate::dropped::DropReason;
use crate::fork;
use crate::reentry;
use crate::shipper::{self, Orders};

/// Shared by the layer, the guard and whoever watches for the end.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// None where nothing is delivered.
    orders: Option<Orders>,
    first: Run,
}

/// What one process has.
#[derive(Debug)]
struct Run {
    /// How many forks lie between the first process and this one.
    generation: u32,
    buffer: Arc<Buffer>,
    /// None once it was stopped, or if it never ran.
    shipper: Mutex<Option<JoinHandle<()>>>,
    /// That of a forked child, in the child.
    next: OnceLock<Box<Run>>,
}

impl Delivery {
    /// Starts the shipper if there are orders, and says what is wrong with them.
    pub(crate) fn start(orders: Option<Orders>, buffer: Buffer) -> (Delivery, Vec<String>) {
        fork::watch();
        let (first, problems) = Run::start(orders.as_ref(), buffer, fork::generation());
        (Delivery { orders, first }, problems)
    }

    /// Whether there is anything in this process that a flush could wait for.
    pub(crate) fn is_running(&self) -> bool {
        self.running().is_some_and(|run| run.shipper().is_some())
    }

    /// Ends the shipper, which leaves to the spool what it could not deliver, and waits for it, at most until then.
    pub(crate) fn stop(&self, deadline: Option<Instant>) {
        let Some(run) = self.running() else { return };
        run.buffer.stop();
        let Some(shipper) = run.shipper().take() else {
            return;
        };
        if reentry::on_shipper() {
            return;
        }
        while let Some(deadline) = deadline
            && !shipper.is_finished()
        {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // A panic that ended it was printed by the panic hook, and what it left is in the report.
        let _ = shipper.join();
    }

    /// Whether what is not delivered is kept for the next run.
    pub(crate) fn spools(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.spool.is_some())
    }

    /// What this process has, if it has anything.
    fn running(&self) -> Option<&Run> {
        let mut run = &self.first;
        while run.generation != fork::generation() {
            run = run.next.get()?;
        }
        Some(run)
    }

    #[cold]
    fn after_fork(&self) -> &Run {
        let mut run = &self.first;
        while run.generation != fork::generation() {
            run = run.next.get_or_init(|| {
                let buffer = Buffer::new(self.first.buffer.limits());
                // There is nobody to tell of problems but stderr, where the first process has told of the same.
                let (run, _) = Run::start(self.orders.as_ref(), buffer, fork::generation());
                Box::new(run)
            });
        }
        run
    }
}

/// This process's buffer.
impl Deref for Delivery {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        if self.first.generation == fork::generation() {
            &self.first.buffer
        } else {
            &self.after_fork().buffer
        }
    }
}

impl Run {
    fn start(orders: Option<&Orders>, buffer: Buffer, generation: u32) -> (Run, Vec<String>) {
        let buffer = Arc::new(buffer);
        let mut problems = Vec::new();
        let shipper = orders.and_then(|orders| match shipper::start(orders.clone(), buffer.clone()) {
            Ok((shipper, problem)) => {
                problems.extend(problem);
                Some(shipper)
            }
            Err(problem) => {
                buffer.close(DropReason::Misconfigured);
                problems.push(format!("nothing will be delivered: {problem}"));
                None
            }
        });
        let run = Run {
            generation,
            buffer,
            shipper: Mutex::new(shipper),
            next: OnceLock::new(),
        };
        (run, problems)
    }

    fn shipper(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.shipper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // Inherited: never freed.
            std::mem::forget(self.buffer.clone());
        }
    }
}
