//! What handing a record over to the shipper costs a thread: the layer's buffer, which copies it into memory that threads
//! share, against a bounded queue of boxed bytes. The same records, the same bound, and a shipper that looks as often.
//! `cargo bench -p layer-benches --bench hand_over`; nothing else should run beside it. What came of it stands where the
//! buffer is described.

#[expect(dead_code, reason = "the layer uses more of it")]
#[path = "../src/buffer/mod.rs"]
mod buffer;
#[expect(dead_code, reason = "the layer uses more of it")]
#[path = "../src/dropped.rs"]
mod dropped;
mod mode;
#[expect(dead_code, reason = "the layer uses more of it")]
#[path = "../src/ranges.rs"]
mod ranges;
#[path = "../models/site.rs"]
mod site;
#[expect(dead_code, reason = "the layer uses more of it")]
#[path = "../src/stats.rs"]
mod stats;
#[path = "../src/sync.rs"]
mod sync;
mod times;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use buffer::{Buffer, Head, Limits, Settled};
use crossbeam_queue::ArrayQueue;
use mode::Mode;
use quanta::Clock;
use site::METADATA;
use times::Times;
use tracing_core::Level;

const THREADS: [usize; 4] = [1, 4, 16, 64];

/// The layer's defaults.
const BOUND: usize = 8 << 20;
const BATCH: usize = 512 << 10;

/// Five fields in two spans.
const BODY: [u8; 320] = [7; 320];

/// What the buffer counts for a record besides its body.
const OVERHEAD: usize = 128;

/// How often the shipper looks, whether it is called or not.
const LOOK: Duration = Duration::from_millis(5);

fn main() {
    // `cargo test --benches` asks for a list, and there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    for mode in Mode::ALL.into_iter().filter(|mode| mode.is_wanted()) {
        println!("\n## {mode}\n");
        println!("| threads | through | p50 ns | p99 ns | p99.9 ns | interrupted per ms |");
        println!("|---|---|---|---|---|---|");
        for threads in THREADS {
            report(threads, "the buffer", &measure::<Buffer>(mode, threads));
            report(threads, "a queue of boxes", &measure::<Boxes>(mode, threads));
        }
    }
}

fn report(threads: usize, through: &str, times: &Times) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| times.at(part));
    let interruptions = times.interruptions();
    println!("| {threads} | {through} | {p50:.0} | {p99:.0} | {p999:.0} | {interruptions:.1} |");
}

/// A way from the threads that log to the one that ships.
trait HandOver: Sync {
    fn new() -> Self;
    fn push(&self, head: Head, body: &[u8]);
    /// Takes everything, and forgets it.
    fn drain(&self);
}

impl HandOver for Buffer {
    fn new() -> Buffer {
        Buffer::new(Limits {
            buffer_bytes: BOUND,
            batch_bytes: BATCH,
            batch_records: 1000,
            record_bytes: 256 << 10,
        })
    }

    fn push(&self, head: Head, body: &[u8]) {
        if !self.refuses(Level::INFO) {
            Buffer::push(self, head, body);
        }
    }

    fn drain(&self) {
        while let Some(chunk) = self.take(true) {
            self.settle(Settled {
                seqs: &chunk.seqs().into(),
                stored: chunk.heads.len() as u64,
                spooled: 0,
                declared: 0,
                cost: chunk.cost(),
            });
            self.recycle(chunk.bytes);
        }
    }
}

/// As many boxes as records of two hundred bytes would fill the bound.
struct Boxes {
    queue: ArrayQueue<(Head, Box<[u8]>)>,
    used: AtomicUsize,
    refused: AtomicUsize,
}

impl HandOver for Boxes {
    fn new() -> Boxes {
        Boxes {
            queue: ArrayQueue::new(BOUND / 200),
            used: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    fn push(&self, head: Head, body: &[u8]) {
        let cost = body.len() + OVERHEAD;
        let fits = self.used.fetch_add(cost, Relaxed) + cost <= BOUND / 5 * 4;
        if !fits || self.queue.push((head, body.into())).is_err() {
            self.used.fetch_sub(cost, Relaxed);
            self.refused.fetch_add(1, Relaxed);
        }
    }

    fn drain(&self) {
        while let Some((_, body)) = self.queue.pop() {
            self.used.fetch_sub(body.len() + OVERHEAD, Relaxed);
        }
    }
}

fn measure<H: HandOver>(mode: Mode, threads: usize) -> Times {
    let (way, done, barrier) = (H::new(), AtomicBool::new(false), Barrier::new(threads));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                way.drain();
                thread::sleep(LOOK);
            }
        });
        let log = || {
            let (clock, mut times) = (Clock::new(), vec![0; mode.events()]);
            barrier.wait();
            for (number, time) in times.iter_mut().enumerate() {
                let start = clock.raw();
                way.push(Head::new(SystemTime::UNIX_EPOCH, &METADATA, 0), &BODY);
                let end = clock.raw();
                *time = u32::try_from(clock.delta_as_nanos(start, end)).unwrap_or(u32::MAX);
                if let Some(pause) = mode.pause(number + 1) {
                    thread::sleep(pause);
                }
            }
            times
        };
        let logging: Vec<_> = (0..threads).map(|_| scope.spawn(log)).collect();
        let times = logging.into_iter().flat_map(|thread| thread.join().unwrap());
        let times = times.collect();
        done.store(true, Relaxed);
        Times::new(times)
    })
}
