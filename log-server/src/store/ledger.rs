//! Which batches were stored before. Per run of a sender the numbers up to a high-water mark, and the exceptions above
//! it: senders number from 1 without holes, so the exceptions are few.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    boots: HashMap<Arc<str>, Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    /// Every number from 1 to this one was seen.
    contiguous: u64,
    /// Numbers above it that were seen.
    above: BTreeSet<u64>,
}

impl Ledger {
    pub(super) fn has(&self, boot: &str, no: u64) -> bool {
        self.boots
            .get(boot)
            .is_some_and(|numbers| (1..=numbers.contiguous).contains(&no) || numbers.above.contains(&no))
    }

    pub(super) fn insert(&mut self, boot: &Arc<str>, no: u64) {
        let numbers = self.boots.entry(boot.clone()).or_default();
        numbers.above.insert(no);
        while numbers.above.remove(&(numbers.contiguous + 1)) {
            numbers.contiguous += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_exactly_the_numbers_it_was_given_in_any_order() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut ledger = Ledger::default();
            let mut given = BTreeSet::new();
            for _ in 0..random.usize(0..40) {
                let no = random.u64(0..30);
                given.insert(no);
                ledger.insert(&"boot".into(), no);
            }
            for no in 0..40 {
                assert_eq!(ledger.has("boot", no), given.contains(&no), "{no} of {given:?}");
            }
            assert!(!ledger.has("another boot", 1));
        }
    }

    #[test]
    fn numbers_without_holes_cost_no_memory() {
        let mut ledger = Ledger::default();
        for no in (1..=100_000).rev() {
            ledger.insert(&"boot".into(), no);
        }
        assert!(ledger.boots["boot"].above.is_empty());
    }
}
