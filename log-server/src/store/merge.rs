//! Which small blocks are to be merged: fewer blocks compress better and are searched faster, but rewriting costs.
//!
//! In the live partition a record is rewritten once for every eightfold growth of its block, four or five times in all.
//! A partition that is finished is merged as far as it goes.

use std::ops::Range;

use super::block::ROWS_MOST;

/// Neighbours of about the same size that are worth a merge.
const ENOUGH: usize = 8;

/// The blocks to merge next, given the rows of each ([`usize::MAX`] for one that must not be touched); the result has at least two and at most [`ROWS_MOST`] rows.
pub(super) fn plan(rows: &[usize], finished: bool) -> Option<Range<usize>> {
    for start in 0..rows.len() {
        let mut end = start;
        let mut total = 0;
        while end < rows.len()
            && rows[end].saturating_add(total) <= ROWS_MOST
            && (finished || size(rows[end]) == size(rows[start]))
        {
            total += rows[end];
            end += 1;
        }
        // Fewer that fill a block are worth it too: they will not be touched again.
        let enough = finished || end - start >= ENOUGH || total > ROWS_MOST / 2;
        if end - start >= 2 && enough {
            return Some(start..end);
        }
    }
    None
}

/// Blocks of one size differ less than eightfold.
fn size(rows: usize) -> u32 {
    rows.max(1).ilog(ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[usize], finished: bool, expected: Option<Range<usize>>) {
        assert_eq!(plan(rows, finished), expected, "{rows:?}, finished: {finished}");
    }

    #[test]
    fn a_live_partition_is_merged_when_enough_of_a_size_stand_side_by_side() {
        check(&[], false, None);
        check(&[10; 7], false, None);
        check(&[10; 8], false, Some(0..8));
        check(&[600, 10, 10, 10, 10, 10, 10, 10, 10], false, Some(1..9));
        check(&[10, 10, 10, 10, 600, 10, 10, 10, 10], false, None);
        check(&[40_000, 40_000], false, None);
        check(&[20_000, 20_000], false, Some(0..2));
    }

    #[test]
    fn a_finished_partition_is_merged_as_far_as_it_goes() {
        check(&[10], true, None);
        check(&[10, 600], true, Some(0..2));
        check(&[65_536, 10, 65_530, 7], true, None);
        check(&[65_536, 10, 20, 65_536], true, Some(1..3));
    }

    #[test]
    fn merging_ends_and_rewrites_each_record_only_a_few_times() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20 {
            let (mut rows, mut given, mut rewritten) = (Vec::new(), 0, 0);
            for _ in 0..2_000 {
                let new = random.usize(1..2_000);
                given += new;
                rows.push(new);
                while let Some(group) = plan(&rows, false) {
                    let merged: usize = rows[group.clone()].iter().sum();
                    assert!(merged <= ROWS_MOST);
                    rewritten += merged;
                    rows.splice(group, [merged]);
                }
            }
            assert!(rewritten <= 6 * given, "{rewritten} of {given}");
            while let Some(group) = plan(&rows, true) {
                let merged: usize = rows[group.clone()].iter().sum();
                rows.splice(group, [merged]);
            }
            assert!(
                rows.len() <= 2 * given / ROWS_MOST + 2,
                "{} blocks for {given}",
                rows.len()
            );
        }
    }
}
