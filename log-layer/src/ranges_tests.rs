//! Ranges beside a set of numbers. In a file of its own because the buffer's models include ranges without their test.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::ranges::Ranges;

proptest! {
    #[test]
    fn they_hold_what_a_set_of_numbers_would_and_nothing_touches(
        steps in prop::collection::vec((any::<bool>(), 0..40_u64, 0..9_u64), 0..60)
    ) {
        let (mut ranges, mut numbers) = (Ranges::default(), BTreeSet::new());
        for (insert, start, len) in steps {
            if insert {
                ranges.insert(start..start + len);
                numbers.extend(start..start + len);
            } else {
                ranges.remove(start..start + len);
                numbers.retain(|number| !(start..start + len).contains(number));
            }
            prop_assert!(ranges.iter().flatten().eq(numbers.iter().copied()));
            prop_assert!(ranges.iter().is_sorted_by(|one, next| one.end < next.start), "{ranges:?}");
            prop_assert_eq!((ranges.count(), ranges.is_empty()), (numbers.len() as u64, numbers.is_empty()));
            prop_assert_eq!(ranges.first(), numbers.first().copied());
            prop_assert!((0..50).all(|number| ranges.contains(number) == numbers.contains(&number)));
        }
    }
}
