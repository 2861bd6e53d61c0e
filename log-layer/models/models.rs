//! The layer's buffer in every order in which its threads can meet, as far as three of them are interrupted where they
//! need not be. There is no clock: whoever waits for a call that never comes waits for ever, and the model says so.

#[path = "../src/buffer/mod.rs"]
mod buffer;
#[path = "../src/dropped.rs"]
mod dropped;
#[path = "../src/ranges.rs"]
mod ranges;
mod site;
#[path = "../src/stats.rs"]
mod stats;
mod sync;

use std::time::{Duration, SystemTime};

use buffer::{Buffer, Chunk, Head, Limits, Settled};
use dropped::DropReason;
use loom::sync::Arc;
use loom::thread;
use site::METADATA;

/// A long time that the model does not wait for.
const LONG: Duration = Duration::from_secs(3600);

/// Room for many records.
const WIDE: usize = 1 << 20;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    // Every model ends long before; a slow machine may leave some orders out rather than hold up the suite.
    builder.max_duration = Some(Duration::from_secs(20));
    builder.check(model);
}

fn buffer(buffer_bytes: usize) -> Arc<Buffer> {
    Arc::new(Buffer::new(Limits {
        buffer_bytes,
        batch_bytes: buffer_bytes,
        batch_records: 100,
        record_bytes: 4096,
    }))
}

/// A record whose body is one letter.
fn push(buffer: &Buffer, body: &str) {
    buffer.push(Head::new(SystemTime::UNIX_EPOCH, &METADATA, 0), body.as_bytes());
}

/// The server has stored it.
fn settle(buffer: &Buffer, chunk: &Chunk) {
    buffer.settle(Settled {
        seqs: &chunk.seqs().into(),
        stored: chunk.heads.len() as u64,
        spooled: 0,
        declared: 0,
        cost: chunk.cost(),
    });
}

/// A thread that leaves its records at the place of that number.
fn logs(buffer: &Arc<Buffer>, place: usize, bodies: &'static [&'static str]) -> thread::JoinHandle<()> {
    let buffer = buffer.clone();
    thread::spawn(move || {
        sync::number_this_thread(place);
        bodies.iter().for_each(|body| push(&buffer, body));
    })
}

/// A shipper that does nothing unless it is called, until it is stopped.
fn shipper(buffer: &Arc<Buffer>) -> thread::JoinHandle<()> {
    let buffer = buffer.clone();
    thread::spawn(move || {
        while !buffer.is_stopped() {
            buffer.wake.wait();
            while let Some(chunk) = buffer.take(false) {
                settle(&buffer, &chunk);
            }
        }
    })
}

#[test]
fn a_flush_waits_for_what_was_logged_before_it_and_calls_the_shipper() {
    explore(|| {
        let buffer = buffer(WIDE);
        let shipper = shipper(&buffer);
        let other = logs(&buffer, 1, &["b"]);
        push(&buffer, "a");
        assert!(buffer.flush(LONG).stored >= 1);
        other.join().unwrap();
        assert_eq!(buffer.flush(LONG).stored, 2);
        buffer.stop();
        shipper.join().unwrap();
        assert_eq!(buffer.stats().buffered_bytes, 0);
    });
}

#[test]
fn the_first_record_after_a_pause_wakes_the_shipper() {
    explore(|| {
        let buffer = buffer(WIDE);
        let logging = logs(&buffer, 1, &["a"]);
        let chunk = loop {
            if let Some(chunk) = buffer.take(true) {
                break chunk;
            }
            if buffer.doze() {
                buffer.wake.wait();
            }
        };
        assert_eq!(chunk.bytes, b"a");
        settle(&buffer, &chunk);
        logging.join().unwrap();
    });
}

#[test]
fn records_are_numbered_without_a_gap_and_those_of_one_thread_in_order() {
    explore(|| {
        let buffer = buffer(WIDE);
        let threads = [logs(&buffer, 0, &["a", "b"]), logs(&buffer, 1, &["c"])];
        let mut taken = Vec::new();
        let mut next = 1;
        let mut take = |taken: &mut Vec<u8>| {
            while let Some(chunk) = buffer.take(true) {
                assert_eq!(chunk.first_seq, next);
                next += chunk.heads.len() as u64;
                taken.extend(&chunk.bytes);
                settle(&buffer, &chunk);
            }
        };
        take(&mut taken);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        take(&mut taken);
        let order = |letter: u8| taken.iter().position(|taken| *taken == letter);
        assert_eq!(taken.len(), 3, "each once: {taken:?}");
        assert!(order(b'a') < order(b'b') && order(b'c').is_some(), "{taken:?}");
    });
}

#[test]
fn what_is_logged_during_a_shutdown_is_stored_or_counted() {
    explore(|| {
        let buffer = buffer(WIDE);
        let shipper = shipper(&buffer);
        let logging = logs(&buffer, 1, &["a"]);
        buffer.close(DropReason::AfterShutdown);
        let report = buffer.flush(LONG);
        buffer.stop();
        shipper.join().unwrap();
        logging.join().unwrap();
        let stats = buffer.stats();
        assert_eq!(stats.accepted + stats.dropped_total(), 1);
        assert_eq!(report.stored, stats.accepted, "what was accepted was flushed");
    });
}

#[test]
fn two_threads_never_take_more_than_there_is_room_for_and_refusals_are_counted() {
    explore(|| {
        // Room for one record of its level, and not for two.
        let buffer = buffer(300);
        let threads = [logs(&buffer, 0, &["a"]), logs(&buffer, 1, &["b"])];
        assert!(buffer.stats().buffered_bytes <= 300);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let stats = buffer.stats();
        assert!(stats.buffered_bytes <= 300, "{stats:?}");
        assert_eq!((stats.accepted, stats.dropped_total()), (1, 1));
        assert_eq!(stats.refused_by_call_site()[0].1, 1);
    });
}
