//! Memory that was freed stays at hand for the next block of a search, and goes back to the system when it is not needed any
//! more. glibc alone gives back too early, and then keeps what a burst of records or a large search had needed, for each
//! thread apart, as long as the process lives: tens of megabytes beside the thirteen of a server at rest.

use std::convert::Infallible;
use std::time::Duration;

/// It takes milliseconds, and what is given back too early must be asked for again.
const ROUND: Duration = Duration::from_secs(60);

/// Has memory that is freed kept for what needs it next, and gives it back now and then, for ever.
pub(crate) async fn give_back() -> Infallible {
    keep();
    loop {
        tokio::time::sleep(ROUND).await;
        trim();
    }
}

/// What is freed at an end of the heap stays for who asks next up to so much, and pieces up to so much come from the heap:
/// a search asks for the same again for every block, and memory that comes from the system is cleared first.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: (i32, i32) = (16 << 20, 4 << 20);

/// Memory that is freed stays at hand until it is given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "only the C library knows what it keeps")]
fn keep() {
    // SAFETY: it takes no pointer, and may be called by any thread at any time.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT.0);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT.1);
    }
}

/// Other allocators are asked nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "only the C library knows what it keeps")]
fn trim() {
    // SAFETY: it takes no pointer, may be called by any thread at any time, and touches only memory that was freed.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_lies_between_things_that_stay_is_given_back() {
        const BOXES: usize = 400_000;
        let all: Vec<Box<[u8; 512]>> = (0..BOXES).map(|_| Box::new([1; 512])).collect();
        let mut stay = Vec::new();
        for (index, one) in all.into_iter().enumerate() {
            if index % 64 == 0 {
                stay.push(one);
            }
        }
        let before = resident();
        trim();
        let after = resident();
        // Of 200 MB, and others work beside this test.
        assert!(after + 100_000 < before, "{before} kB before, {after} after");
        assert_eq!(stay.len(), BOXES / 64);
    }
}
