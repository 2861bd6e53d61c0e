//! Syncing of files, in a thread of its own: a busy disk may take seconds for it, which is longer than the buffer has room
//! for what is logged meanwhile, and nobody would see that Redis is back.
//!
//! Promises: files are synced in the order in which that was asked for; a failure is told once; where there is no thread
//! to be had, whoever asks waits.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use crate::reentry;

#[derive(Debug)]
pub(super) struct Syncer {
    sync: fn(&File) -> io::Result<()>,
    /// Started when it is needed for the first time.
    thread: Option<(mpsc::Sender<File>, JoinHandle<()>)>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Files that are not synced yet.
    left: usize,
    failure: Option<io::Error>,
}

impl Syncer {
    /// `sync` does it; it may take its time.
    pub(super) fn new(sync: fn(&File) -> io::Result<()>) -> Syncer {
        Syncer {
            sync,
            thread: None,
            progress: Arc::default(),
        }
    }

    /// Has everything synced that was written to the file so far.
    pub(super) fn begin(&mut self, file: &File) {
        if self.thread.is_none() {
            self.thread = start(self.sync, self.progress.clone()).ok();
        }
        self.progress.lock().left += 1;
        if let Some((files, _)) = &self.thread
            && let Ok(file) = file.try_clone()
            && files.send(file).is_ok()
        {
            return;
        }
        self.progress.done((self.sync)(file));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.progress.lock().left > 0
    }

    /// What went wrong since this was asked last.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.progress.lock().failure.take()
    }

    /// Waits for all that was begun.
    pub(super) fn wait(&self) {
        let mut state = self.progress.lock();
        while state.left > 0 {
            state = self
                .progress
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some((files, thread)) = self.thread.take() {
            drop(files);
            // It cannot panic: it calls the system and counts.
            let _ = thread.join();
        }
    }
}

fn start(
    sync: fn(&File) -> io::Result<()>,
    progress: Arc<Progress>,
) -> io::Result<(mpsc::Sender<File>, JoinHandle<()>)> {
    let (files, asked) = mpsc::channel::<File>();
    let thread = thread::Builder::new()
        .name("log-layer-sync".to_owned())
        .spawn(move || {
            reentry::become_shipper();
            for file in asked {
                progress.done(sync(&file));
            }
        })?;
    Ok((files, thread))
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, outcome: io::Result<()>) {
        let mut state = self.lock();
        state.left -= 1;
        if let Err(error) = outcome {
            state.failure.get_or_insert(error);
        }
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_disk_that_takes_its_time_holds_up_only_who_waits_for_it() {
        static DISK: Barrier = Barrier::new(2);
        let mut syncer = Syncer::new(|_| {
            DISK.wait();
            Ok(())
        });
        let file = tempfile::tempfile().unwrap();
        (0..3).for_each(|_| syncer.begin(&file));
        for _ in 0..3 {
            assert!(syncer.is_busy());
            DISK.wait();
        }
        syncer.wait();
        assert!(!syncer.is_busy() && syncer.failure().is_none());
    }

    #[test]
    fn a_failure_is_told_once() {
        let mut syncer = Syncer::new(|_| Err(io::Error::other("no")));
        syncer.begin(&tempfile::tempfile().unwrap());
        syncer.wait();
        assert_eq!(syncer.failure().unwrap().to_string(), "no");
        assert!(syncer.failure().is_none());
    }
}
