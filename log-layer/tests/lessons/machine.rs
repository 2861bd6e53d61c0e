//! What the system knows of this process, and how its limits are set.

#![expect(unsafe_code, reason = "the standard library has no word for it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::zeroed;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Bytes of memory in use.
pub(crate) fn resident() -> u64 {
    page_counts()[1] * 4096
}

/// Bytes of memory that are this process's own: no pages of its program, which others share and the system can drop.
pub(crate) fn own() -> u64 {
    let counts = page_counts();
    (counts[1] - counts[2]) * 4096
}

/// From now on no more address space than there is, and so much.
pub(crate) fn limit_address_space(more: u64) {
    let bytes = page_counts()[0] * 4096 + more;
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: it reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// As much as before.
pub(crate) fn unlimit_address_space() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: it reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Address space, memory in use, and the part of it that comes from files.
fn page_counts() -> Vec<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages
        .split(' ')
        .take(3)
        .map(|count| count.parse().unwrap())
        .collect()
}

/// Time that all threads of this process have been at work.
pub(crate) fn worked() -> Duration {
    // SAFETY: all zeros is a `rusage`, which the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .map(|time| {
            Duration::new(time.tv_sec.cast_unsigned(), 0)
                + Duration::from_micros(time.tv_usec.cast_unsigned())
        })
        .iter()
        .sum()
}

/// This thread, and those it starts, run on one processor.
pub(crate) fn use_one_processor() {
    // SAFETY: all zeros is an empty set, and each call is told its size.
    unsafe {
        let size = size_of::<libc::cpu_set_t>();
        let (mut allowed, mut one): (libc::cpu_set_t, libc::cpu_set_t) = (zeroed(), zeroed());
        assert_eq!(libc::sched_getaffinity(0, size, &raw mut allowed), 0);
        let first = (0..1024).find(|processor| libc::CPU_ISSET(*processor, &allowed));
        libc::CPU_SET(first.unwrap(), &mut one);
        assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
    }
}

/// As if whoever started the program had closed it.
pub(crate) fn close_stderr() {
    // SAFETY: it is a number; the standard library expects that it may be closed.
    unsafe { libc::close(2) };
}

/// Stops another process where it stands, or lets it go on.
pub(crate) fn signal(process: &str, signal: i32) {
    // SAFETY: two numbers.
    assert_eq!(unsafe { libc::kill(process.parse().unwrap(), signal) }, 0);
}

/// Bytes of memory that the program holds. What the allocator keeps for later, and for each thread, is in
/// [`resident`] alone.
pub(crate) fn held() -> usize {
    HELD.load(Relaxed)
}

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator; the counter is a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Relaxed);
        HELD.fetch_add(size, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}
