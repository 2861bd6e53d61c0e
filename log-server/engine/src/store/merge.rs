//! Which small blocks are to be merged: fewer blocks compress better and are searched faster, but rewriting costs.
//!
//! In the live partition a record is rewritten once for every eightfold growth of its block, four or five times in all.
//! A partition that is finished is merged as far as it goes.

use std::ops::Range;

use super::block::{BYTES_MOST, ROWS_MOST};

/// Neighbours of about the same size that are worth a merge.
const ENOUGH: usize = 8;

/// A block that may be merged with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Its records; [`usize::MAX`] if it must not be touched.
    pub(super) rows: usize,
    /// Bytes of their texts; 0 if that is not known.
    pub(super) bytes: usize,
}

/// The blocks to merge next, at least two; together they have at most [`ROWS_MOST`] rows and, as far as that is known,
/// [`BYTES_MOST`] of text.
pub(super) fn plan(blocks: &[Size], finished: bool) -> Option<Range<usize>> {
    for start in 0..blocks.len() {
        let mut end = start;
        let (mut total, mut bytes) = (0_usize, 0);
        while end < blocks.len()
            && blocks[end].rows.saturating_add(total) <= ROWS_MOST
            && (end == start || blocks[end].bytes + bytes <= BYTES_MOST)
            && (finished || size(blocks[end].rows) == size(blocks[start].rows))
        {
            total += blocks[end].rows;
            bytes += blocks[end].bytes;
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
        let sizes = rows.iter().map(|rows| small(*rows)).collect::<Vec<_>>();
        assert_eq!(plan(&sizes, finished), expected, "{rows:?}, finished: {finished}");
    }

    fn small(rows: usize) -> Size {
        Size { rows, bytes: 0 }
    }

    #[test]
    fn no_block_gets_more_text_than_memory_has_room_for() {
        let sized = |bytes: &[usize]| {
            let sizes = bytes.iter().map(|bytes| Size {
                rows: 10,
                bytes: *bytes,
            });
            plan(&sizes.collect::<Vec<_>>(), true)
        };
        let most = BYTES_MOST;
        assert_eq!(sized(&[most / 2, most / 2, 1]), Some(0..2));
        assert_eq!(sized(&[most, most / 2, most / 2]), Some(1..3));
        assert_eq!(sized(&[most, most * 2, most]), None);
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
                rows.push(small(new));
                while let Some(group) = plan(&rows, false) {
                    let merged: usize = rows[group.clone()].iter().map(|one| one.rows).sum();
                    assert!(merged <= ROWS_MOST);
                    rewritten += merged;
                    rows.splice(group, [small(merged)]);
                }
            }
            assert!(rewritten <= 6 * given, "{rewritten} of {given}");
            while let Some(group) = plan(&rows, true) {
                let merged: usize = rows[group.clone()].iter().map(|one| one.rows).sum();
                rows.splice(group, [small(merged)]);
            }
            assert!(
                rows.len() <= 2 * given / ROWS_MOST + 2,
                "{} blocks for {given}",
                rows.len()
            );
        }
    }
}
