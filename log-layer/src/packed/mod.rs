//! An event as compact bytes: packed by the thread that logs, unpacked into JSON by the shipper's.
//!
//! Promises: packing costs no allocation once a thread's memory has grown, and holds no lock while it runs the user's
//! `Debug` code; whatever that code does, whole values stand in the bytes; what is unpacked is what was logged. The bytes
//! never leave the process: what is secret, repeated or too long as JSON is dealt with when they are unpacked.
//!
//! A packed event is its values, and then what stands around it:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | which of the last three are there, and whether something was cut |
//! | 4 | how long the values are together |
//! | 1 + 1 + n, repeated | a value: its tag, its field's number at the call-site, and what the tag says |
//! | 1 + n | the thread's name |
//! | 16 + 8 + 4 + n | trace, span, and the spans around the event as the inside of a JSON array |
//! | 8 | how many events of the call-site were suppressed before this one |
//!
//! Names are not in it: the call-site has them.

mod pack;
mod around;
mod unpack;

pub(crate) use around::{Around, Stamp, moved};
pub(crate) use pack::Packer;
pub(crate) use unpack::Unpacker;

/// Bits of the first byte.
mod has {
    pub(super) const THREAD: u8 = 1;
    pub(super) const SUPPRESSED: u8 = 2;
    pub(super) const SPANS: u8 = 4;
    pub(super) const TRUNCATED: u8 = 8;
}

/// Kinds of values, and what follows.
mod tag {
    /// Nothing.
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    /// Eight bytes, little-endian like every number here.
    pub(super) const I64: u8 = 2;
    pub(super) const U64: u8 = 3;
    pub(super) const F64: u8 = 4;
    /// Four bytes with the length, and so much text.
    pub(super) const TEXT: u8 = 5;
    /// One byte with the number of texts, and those: an error and its causes.
    pub(super) const ERROR: u8 = 6;
    /// As a text; JSON already.
    #[cfg(feature = "valuable")]
    pub(super) const JSON: u8 = 7;
}

/// Leaves room for a length; what is packed from here on is what it tells.
fn reserve_length(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    at
}

fn set_length(out: &mut [u8], at: usize) {
    let len = u32::try_from(out.len() - at - 4).expect("an event is far below 4 GiB");
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests;
