//! Blocks that stay open for a while. Pages are asked for at the same places again and again, among the newest records
//! most of all, and nearly all of what a page costs is opening its block.
//!
//! What is decoded of a block borrows from what was read of it, so each stands on the stack of a thread of its own,
//! which is sent what is to be looked for. Promises: a block is read only while whoever looks holds it, so that its
//! columns are there; at most [`BLOCKS`] are open, each for as long as it is asked at least every [`IDLE`] and not more than
//! [`BYTES`] were read and unpacked for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::block::{self, Damaged, Loaded, Summary};
use super::blocks::Block;
use super::columns;
use super::partition::Partition;

/// As many as a page is looked for in before other threads help; more would cost memory for what is asked for seldom.
pub(super) const BLOCKS: usize = 2;
/// Who reads on is faster than that.
const IDLE: Duration = Duration::from_secs(30);
/// Memory takes some two times that at most: numbers take more room than the bytes that they are unpacked from.
const BYTES: usize = 12 << 20;

/// Answers whether the block may stay open.
type Look = Box<dyn FnOnce(&mut block::Block<'_>) -> bool + Send>;

#[derive(Default)]
pub(super) struct Kept {
    /// The one that was asked last is the last.
    open: Mutex<Vec<Open>>,
}

struct Open {
    /// Only to tell which it is.
    block: Weak<Block>,
    looks: SyncSender<Look>,
    thread: JoinHandle<()>,
}

impl Kept {
    /// What `look` sees in the block; nothing if it cannot stay open: who opens it for himself finds out why.
    pub(super) fn look<T: Send + 'static>(
        &self,
        block: &Arc<Block>,
        look: impl FnOnce(&mut block::Block<'_>) -> Result<T, Damaged> + Send + 'static,
    ) -> Option<Result<T, Damaged>> {
        let looks = self.open(block)?;
        let (answer, answered) = sync_channel(1);
        let look = move |block: &mut block::Block<'_>| {
            let seen = look(block);
            // What could not be read may be readable the next time, from its beginning.
            let stays = seen.is_ok();
            // There is no error: who asked waits below.
            let _ = answer.send(seen);
            stays
        };
        // Both fail when the thread has ended.
        looks.send(Box::new(look)).ok()?;
        answered.recv().ok()
    }

    fn open(&self, block: &Arc<Block>) -> Option<SyncSender<Look>> {
        let (looks, ended) = {
            let mut open = self.lock();
            let is_it = |one: &Open| one.block.as_ptr() == Arc::as_ptr(block) && !one.thread.is_finished();
            let one = match open.iter().position(is_it) {
                Some(place) => open.remove(place),
                None => Open::new(block)?,
            };
            let looks = one.looks.clone();
            open.push(one);
            let (ended, mut going): (Vec<_>, Vec<_>) =
                open.drain(..).partition(|one| one.thread.is_finished());
            let superfluous = going.len().saturating_sub(BLOCKS);
            let ended: Vec<Open> = ended.into_iter().chain(going.drain(..superfluous)).collect();
            open.extend(going);
            (looks, ended)
        };
        ended.into_iter().for_each(Open::close);
        Some(looks)
    }

    /// Closes all.
    pub(super) fn close(&self) {
        let open = std::mem::take(&mut *self.lock());
        open.into_iter().for_each(Open::close);
    }

    /// How many are open.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.close();
    }
}

impl Open {
    /// Nothing if there are no threads to be had.
    fn new(block: &Arc<Block>) -> Option<Open> {
        // Who asks holds the block and waits for the answer, so one look waits for each of them.
        let (looks, asked) = sync_channel(0);
        let (partition, id, summary) = (block.partition.clone(), block.id, block.summary);
        let thread = std::thread::Builder::new()
            .name("store-open-block".into())
            .spawn(move || keep(&partition, id, &summary, &asked));
        Some(Open {
            block: Arc::downgrade(block),
            looks,
            thread: thread.ok()?,
        })
    }

    fn close(self) {
        drop(self.looks);
        // A panic was reported when it happened; there is nothing to add.
        let _ = self.thread.join();
    }
}

/// Answers as long as there is somebody to ask.
fn keep(partition: &Partition, id: i64, summary: &Summary, asked: &Receiver<Look>) {
    let columns = columns::one_by_one(partition, id);
    let loaded = Loaded::new(&columns);
    let Ok(first) = asked.recv_timeout(IDLE) else {
        return;
    };
    let Ok(mut open) = block::Block::open(summary, &loaded) else {
        return;
    };
    let mut look = Some(first);
    while let Some(next) = look.take() {
        if !next(&mut open) || loaded.bytes() + block::unpacked_here() > BYTES {
            return;
        }
        look = asked.recv_timeout(IDLE).ok();
    }
}
