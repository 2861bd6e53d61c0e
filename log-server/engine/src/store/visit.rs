//! Visiting units one after the other on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::StoreError;

/// Few queries run at once, and each may use this many threads: more than this does not make them faster, for memory
/// is read faster than decoded by few.
const WORKERS_MOST: usize = 4;
/// So many are visited before further threads are started: most answers are complete by then.
const ALONE: usize = 2;

/// Visits `units` in order until one is refused; returns the first that was not visited.
///
/// `visit` answers whether it has visited the unit. Each thread has an accumulator of its own, made by `new`.
pub(super) fn visit<U: Sync, A: Send>(
    units: &[U],
    new: impl Fn() -> A + Sync,
    visit: impl Fn(&U, &mut A) -> Result<bool, StoreError> + Sync,
) -> Result<(usize, Vec<A>), StoreError> {
    let next = AtomicUsize::new(0);
    let end = AtomicUsize::new(units.len());
    let accumulators = Mutex::new(Vec::new());
    let work = |most: usize| -> Result<(), StoreError> {
        let mut accumulator = new();
        let mut outcome = Ok(());
        for _ in 0..most {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = units.get(index).filter(|_| index < end.load(Ordering::Relaxed)) else {
                break;
            };
            match visit(unit, &mut accumulator) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => outcome = Err(error),
            }
            end.fetch_min(index, Ordering::Relaxed);
            break;
        }
        accumulators
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(accumulator);
        outcome
    };
    work(ALONE)?;
    let left = end.load(Ordering::Relaxed).saturating_sub(ALONE);
    if left > 0 {
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..workers().min(left))
                .map(|_| scope.spawn(|| work(usize::MAX)))
                .collect();
            let mut outcome = work(usize::MAX);
            for helper in helpers {
                let helped = helper
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                outcome = outcome.and(helped);
            }
            outcome
        })?;
    }
    let accumulators = accumulators.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((end.into_inner(), accumulators))
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_before_the_first_refused_is_visited_once() {
        for refused in [0, 1, 2, 3, 50, 1_000] {
            let units: Vec<usize> = (0..200).collect();
            let visited = |unit: &usize, seen: &mut Vec<usize>| {
                if *unit >= refused {
                    return Ok(false);
                }
                seen.push(*unit);
                Ok(true)
            };
            let (end, seen) = visit(&units, Vec::new, visited).unwrap();
            assert_eq!(end, refused.min(200));
            let mut seen = seen.concat();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..end));
        }
    }

    #[test]
    fn an_error_ends_the_visit() {
        let failing = |unit: &usize, _: &mut ()| match unit {
            7 => Err(StoreError::Closed),
            _ => Ok(true),
        };
        assert!(visit(&(0..100).collect::<Vec<_>>(), || (), failing).is_err());
    }
}
