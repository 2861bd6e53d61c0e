//! What logging costs the program's own threads: once they are warm, no memory from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: everything is left to the system's allocator; the counter is a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn log(number: u64) {
    info!(number, latency_ms = 3.5, ok = true, path = "/live/7", shown = %number, "channel {} opened", number);
}

#[test]
fn a_warm_thread_logs_without_allocating_whether_its_records_are_taken_or_refused() {
    let (layer, guard) = log_layer::builder("allocations")
        .redis("redis://127.0.0.1:1")
        .build();
    tracing_subscriber::registry().with(layer).init();
    let _request = info_span!("request", path = "/live", user = 42).entered();
    let _query = info_span!("query", table = "channels").entered();
    // The longest of them: the thread's own buffer grows with what is logged.
    log(40_000);
    let before = COUNT.get();
    (1..50).for_each(log);
    assert_eq!(COUNT.get() - before, 0, "within a segment");

    // Until the buffer is full, each segment is a new one, for nothing is given back.
    let before = COUNT.get();
    (0..40_000).for_each(log);
    let allocations = COUNT.get() - before;
    assert!(guard.stats().dropped_total() > 0);
    assert!(allocations < 2_000, "{allocations} while the buffer filled");

    log(0);
    let before = COUNT.get();
    (0..1_000).for_each(log);
    assert_eq!(COUNT.get() - before, 0, "while everything is refused");
    let stats = guard.stats();
    assert_eq!(
        stats.accepted + stats.dropped_total(),
        1 + 49 + 40_000 + 1 + 1_000
    );
}
