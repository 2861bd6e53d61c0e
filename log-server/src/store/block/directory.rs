//! Where the columns of a block are in the bytes that hold them all.
//!
//! Format: of each column its number and its length, and as every column the xxh3 of that.

use std::ops::Range;

use super::bytes::{Damaged, Reader, open_column, put_number, seal_column};

/// The directory of columns that stand one after the other.
pub(in crate::store) fn put(columns: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut directory = Vec::new();
    for (number, column) in columns {
        put_number(&mut directory, u64::from(*number));
        put_number(&mut directory, column.len() as u64);
    }
    seal_column(directory)
}

/// The places of the columns, the first of which begins where `all` begins.
///
/// # Errors
/// When the directory is not what was written, or has columns that are not within `all`.
pub(in crate::store) fn read(
    directory: &[u8],
    all: Range<usize>,
) -> Result<Vec<(u32, Range<usize>)>, Damaged> {
    let mut places = Vec::new();
    let mut reader = Reader::new(open_column(directory)?);
    let mut start = all.start;
    while !reader.rest().is_empty() {
        let number = reader.count(u16::MAX.into())? as u32;
        let length = reader.count(all.end.saturating_sub(start))?;
        places.push((number, start..start + length));
        start += length;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_where_they_were_put_and_damage_is_seen() {
        let columns = [(0, vec![1; 300]), (7, vec![]), (4_000, vec![2; 5])];
        let mut directory = put(&columns);
        let length = directory.len();
        let places = [
            (0, length..length + 300),
            (7, length + 300..length + 300),
            (4_000, length + 300..length + 305),
        ];
        assert_eq!(read(&directory, length..length + 305).as_deref(), Ok(&places[..]));
        assert!(
            read(&directory, length..length + 304).is_err(),
            "the file is too short"
        );
        directory[1] ^= 1;
        assert!(read(&directory, length..length + 305).is_err());
        assert!(read(&[], 0..9).is_err());
    }
}
