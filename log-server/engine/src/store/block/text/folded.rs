//! Templates or words without case, in which a needle is looked for once for all of them.

use memchr::memmem::Finder;

use super::END;
use crate::query::fold;

/// A text that has no case any more, made of pieces each of which was ended by [`END`].
pub(super) struct Folded {
    pub(super) text: String,
    /// Where each piece ends.
    pub(super) ends: Vec<usize>,
}

impl Folded {
    /// Pieces that end at `ends` in `arena`, each with an [`END`] behind it that is in no piece to be searched.
    pub(super) fn new(arena: &str, ends: &[usize]) -> Folded {
        let mut scratch = String::new();
        let mut text = String::with_capacity(arena.len());
        let mut folded_ends = Vec::with_capacity(ends.len());
        let mut start = 0;
        if arena.is_ascii() {
            text.push_str(arena);
            folded_ends.extend_from_slice(ends);
        } else {
            for end in ends {
                let piece = &arena[start..*end];
                if piece.is_ascii() {
                    text.push_str(piece);
                } else {
                    text.push_str(fold(piece, &mut scratch));
                }
                folded_ends.push(text.len());
                text.push(char::from(END));
                start = end + 1;
            }
        }
        // All at once, for most pieces are a few bytes; what is folded does not change.
        text.make_ascii_lowercase();
        Folded {
            text,
            ends: folded_ends,
        }
    }

    pub(super) fn piece(&self, index: usize) -> (usize, usize) {
        (
            index.checked_sub(1).map_or(0, |before| self.ends[before] + 1),
            self.ends[index],
        )
    }

    /// Shows each occurrence of `needle`, the first in each piece only if that is enough: piece, and where.
    pub(super) fn find(&self, needle: &str, once: bool, mut see: impl FnMut(usize, usize)) {
        let finder = Finder::new(needle);
        let mut from = 0;
        while let Some(found) = finder.find(&self.text.as_bytes()[from..]) {
            let at = from + found;
            let piece = self.ends.partition_point(|end| *end <= at);
            see(piece, at);
            from = if once { self.ends[piece] + 1 } else { at + 1 };
        }
    }
}
