//! Where the columns of a block are in the bytes that hold them all, and what they are to be compared with.
//!
//! Format: [`WITH_CHECKS`] · of each column its number, its length and the checksum of each of its pieces (4 bytes,
//! little-endian) · the xxh3 of all that. Up to format 5: of each column its number and its length, and the xxh3 of that.

use std::ops::Range;

use super::bytes::{Damaged, Reader, open_column, put_number, seal_column};
use super::column::{PIECE, Place, checks};

/// Begins a directory with checksums: one more than any column's number.
const WITH_CHECKS: u64 = 1 << 16;

/// A column's number, where it begins, and what else is known of it.
pub(in crate::store) struct Entry {
    pub(in crate::store) number: u32,
    pub(in crate::store) start: usize,
    pub(in crate::store) place: Place,
}

/// The directory of columns that stand one after the other.
pub(in crate::store) fn put(columns: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut directory = Vec::new();
    put_number(&mut directory, WITH_CHECKS);
    for (number, column) in columns {
        put_number(&mut directory, u64::from(*number));
        put_number(&mut directory, column.len() as u64);
        checks(column).for_each(|check| directory.extend_from_slice(&check.to_le_bytes()));
    }
    seal_column(directory)
}

/// A column with its checksum behind it, and the directory of such columns, as both were up to format 5.
#[cfg(test)]
pub(in crate::store) mod before {
    use super::*;

    pub(in crate::store) fn seal(number: u32, column: &[u8]) -> (u32, Vec<u8>) {
        (number, seal_column(column.to_vec()))
    }

    pub(in crate::store) fn put(columns: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut directory = Vec::new();
        for (number, column) in columns {
            put_number(&mut directory, u64::from(*number));
            put_number(&mut directory, column.len() as u64);
        }
        seal_column(directory)
    }
}

/// The columns, the first of which begins where `all` begins.
///
/// # Errors
/// When the directory is not what was written, or has columns that are not within `all`.
pub(in crate::store) fn read(directory: &[u8], all: Range<usize>) -> Result<Vec<Entry>, Damaged> {
    let directory = open_column(directory)?;
    let (mut reader, mut ahead) = (Reader::new(directory), Reader::new(directory));
    let has_checks = ahead.length() > 0 && ahead.number()? == WITH_CHECKS;
    if has_checks {
        reader = ahead;
    }
    let mut entries = Vec::new();
    let mut start = all.start;
    while reader.length() > 0 {
        let number = reader.count(u16::MAX.into())? as u32;
        let length = reader.count(all.end.saturating_sub(start))?;
        let mut check = |_| Ok::<u32, Damaged>(u32::from_le_bytes(*reader.array()?));
        let checks = has_checks.then(|| (0..length.div_ceil(PIECE)).map(&mut check).collect());
        let place = Place {
            length,
            checks: checks.transpose()?,
        };
        entries.push(Entry { number, start, place });
        start += length;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_where_they_were_put_and_damage_is_seen() {
        let columns = [(0, vec![1; 3 * PIECE / 2]), (7, vec![]), (4_000, vec![2; 5])];
        let lengths = columns.each_ref().map(|(_, column)| column.len());
        let all: usize = lengths.iter().sum();
        for (directory, pieces) in [(put(&columns), Some([2, 0, 1])), (before::put(&columns), None)] {
            let entries = read(&directory, 50..50 + all).unwrap();
            let starts = [50, 50 + lengths[0], 50 + lengths[0]];
            for (index, entry) in entries.iter().enumerate() {
                assert_eq!((entry.number, entry.start), (columns[index].0, starts[index]));
                assert_eq!(entry.place.length, lengths[index]);
                let checks = entry.place.checks.as_ref().map(Vec::len);
                assert_eq!(checks, pieces.map(|pieces| pieces[index]));
            }
            assert_eq!(entries.len(), columns.len());
            assert!(read(&directory, 50..49 + all).is_err(), "the file is too short");
            let mut flipped = directory;
            flipped[3] ^= 1;
            assert!(read(&flipped, 50..50 + all).is_err());
        }
        assert!(read(&[], 0..9).is_err());
    }
}
