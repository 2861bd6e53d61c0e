//! Planes of bytes: the lowest bytes of many numbers, then their second bytes, and so on.

use std::borrow::Cow;

use super::bytes::{Damaged, Reader, damaged};

/// Appends the numbers whose bytes are in the planes, of which there are one to eight, all of one length.
pub(super) fn weave(planes: &[Cow<'_, [u8]>], smallest: i64, numbers: &mut Vec<i64>) {
    OF[planes.len() - 1](planes, smallest, numbers);
}

/// The next plane of a chunk.
pub(super) fn plane<'a>(reader: &mut Reader<'a>, length: usize) -> Result<Cow<'a, [u8]>, Damaged> {
    let plane = reader.section()?.open()?;
    if plane.len() == length {
        Ok(plane)
    } else {
        Err(damaged("a plane has the wrong length"))
    }
}

/// Appends the numbers of so many planes.
type Weave = fn(&[Cow<'_, [u8]>], i64, &mut Vec<i64>);

/// By the number of planes, less one.
const OF: [Weave; 8] = [
    of::<1>, of::<2>, of::<3>, of::<4>, of::<5>, of::<6>, of::<7>, of::<8>,
];

/// The number of planes is known when this is compiled, which makes one pass over all of them as fast as one over each
/// would be.
fn of<const PLANES: usize>(planes: &[Cow<'_, [u8]>], smallest: i64, values: &mut Vec<i64>) {
    let length = planes[0].len();
    let planes: [&[u8]; PLANES] = std::array::from_fn(|byte| &planes[byte][..length]);
    values.extend((0..length).map(|index| {
        let mut number = 0;
        for (byte, plane) in planes.iter().enumerate() {
            number |= u64::from(plane[index]) << (8 * byte);
        }
        smallest.wrapping_add(number as i64)
    }));
}
