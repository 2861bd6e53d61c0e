//! Frames: how batches stand in a segment of the spool, and how they are found again in whatever is left of it.
//!
//! Promises: a frame that is read is one that was written, byte for byte; between damaged bytes every whole frame is
//! still found; reading ends, after work in proportion to the bytes. Knows no files.

use crc32fast::Hasher;
use memchr::memmem;

/// Begins every frame. Its first byte stands in no UTF-8 text, so what a program logs can never look like a frame.
const MAGIC: [u8; 4] = [0xff, b'L', b'S', 1];

/// Magic, checksum, length, kind, number, records.
pub(super) const HEADER: usize = 4 + 4 + 4 + 1 + 8 + 4;

/// Larger than any batch, so a length beyond it was never written.
const MAX_PAYLOAD: usize = 16 << 20;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of a batch that is not sealed yet.
    Part = 1,
    /// A sealed batch; the parts of that number no longer count.
    Batch = 2,
    /// The batch of that number is settled.
    Done = 3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// The batch's number.
    pub(super) no: u64,
    /// How many records it holds.
    pub(super) records: u32,
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let checksum = out.len();
        out.extend_from_slice(&[0; 4]);
        let len = u32::try_from(self.payload.len()).expect("a batch is far below 4 GiB");
        out.extend_from_slice(&len.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.no.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(self.payload);
        let crc = crc32fast::hash(&out[checksum + 4..]);
        out[checksum..checksum + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header([u8; HEADER]);

impl Header {
    /// None if no frame begins like that.
    pub(super) fn read(bytes: [u8; HEADER]) -> Option<Header> {
        let header = Header(bytes);
        (bytes[..4] == MAGIC && header.payload() <= MAX_PAYLOAD).then_some(header)
    }

    /// How long the payload is.
    pub(super) fn payload(&self) -> usize {
        self.number(8) as usize
    }

    /// The frame with that payload; none if it is not what was written.
    pub(super) fn frame<'a>(&self, payload: &'a [u8]) -> Option<Frame<'a>> {
        let Header(bytes) = self;
        let mut hasher = Hasher::new();
        hasher.update(&bytes[8..]);
        hasher.update(payload);
        if hasher.finalize() != self.number(4) {
            return None;
        }
        Some(Frame {
            kind: match bytes[12] {
                1 => Kind::Part,
                2 => Kind::Batch,
                3 => Kind::Done,
                _ => return None,
            },
            no: u64::from_le_bytes(bytes[13..21].try_into().expect("eight bytes")),
            records: self.number(21),
            payload,
        })
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"))
    }
}

/// The frames in some bytes, each with where it begins.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes that belong to no frame.
    pub(super) skipped: usize,
    /// How many bytes may still be checked: bytes made to look like frames must not cost more than their number.
    effort: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Frames<'a> {
        Frames {
            bytes,
            at: 0,
            skipped: 0,
            effort: bytes.len().saturating_mul(8),
        }
    }

    /// The frame that begins here, if one does.
    fn read(&mut self) -> Option<Frame<'a>> {
        let (header, rest) = self.bytes[self.at..].split_first_chunk()?;
        let header = Header::read(*header)?;
        let payload = rest.get(..header.payload())?;
        self.effort = self.effort.checked_sub(payload.len())?;
        header.frame(payload)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (usize, Frame<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.bytes.len() {
            let at = self.at;
            if let Some(frame) = self.read() {
                self.at += frame.len();
                return Some((at, frame));
            }
            let rest = &self.bytes[at + 1..];
            self.at = memmem::find(rest, &MAGIC).map_or(self.bytes.len(), |next| at + 1 + next);
            self.skipped += self.at - at;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (no, payload) in (1..).zip(payloads) {
            let frame = Frame {
                kind: Kind::Batch,
                no,
                records: 7,
                payload,
            };
            frame.write(&mut bytes);
        }
        bytes
    }

    /// The numbers of the frames that are found, each checked to be as it was written.
    #[track_caller]
    fn found(bytes: &[u8], payloads: &[Vec<u8>]) -> (Vec<u64>, usize) {
        let mut frames = Frames::new(bytes);
        let mut numbers = Vec::new();
        for (_, frame) in frames.by_ref() {
            assert_eq!(frame.payload, payloads[usize::try_from(frame.no).unwrap() - 1]);
            assert_eq!((frame.kind, frame.records), (Kind::Batch, 7));
            numbers.push(frame.no);
        }
        (numbers, frames.skipped)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(payloads in vec(vec(any::<u8>(), 0..200), 0..20)) {
            let (numbers, skipped) = found(&written(&payloads), &payloads);
            prop_assert_eq!(numbers, (1..=payloads.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(skipped, 0);
        }

        #[test]
        fn any_bytes_end_without_a_frame_that_was_not_written(bytes in vec(any::<u8>(), 0..2000)) {
            let mut frames = Frames::new(&bytes);
            prop_assert_eq!(frames.by_ref().count(), 0);
            prop_assert_eq!(frames.skipped, bytes.len());
        }

        /// Bytes from a small set, so that the magic and small lengths are frequent.
        #[test]
        fn bytes_that_look_like_frames_end_too(pieces in vec(prop_oneof![
            Just(MAGIC.to_vec()), vec(0_u8..4, 0..30), Just(vec![0xff]), Just(written(&[vec![1, 2, 3]]))
        ], 0..200)) {
            let bytes = pieces.concat();
            let mut frames = Frames::new(&bytes);
            for (_, frame) in frames.by_ref() {
                prop_assert_eq!(frame.payload, &[1_u8, 2, 3]);
            }
            prop_assert!(frames.skipped <= bytes.len());
        }

        #[test]
        fn one_damaged_place_costs_one_frame_and_a_cut_only_what_is_behind_it(
            payloads in vec(vec(any::<u8>(), 0..100), 1..10),
            place in any::<prop::sample::Index>(),
            change in 1..=u8::MAX,
            zeros in 0..60_usize,
        ) {
            let whole = written(&payloads);
            let at = place.index(whole.len());
            let count = payloads.len();

            let mut flipped = whole.clone();
            flipped[at] ^= change;
            let (numbers, skipped) = found(&flipped, &payloads);
            prop_assert_eq!(numbers.len(), count - 1);
            prop_assert!(skipped > 0);

            let end = (at + zeros).min(whole.len());
            let mut zeroed = whole.clone();
            zeroed[at..end].fill(0);
            found(&zeroed, &payloads);

            let (numbers, _) = found(&whole[..at], &payloads);
            let ends: Vec<usize> = payloads.iter().scan(0, |end, payload| {
                *end += HEADER + payload.len();
                Some(*end)
            }).collect();
            prop_assert_eq!(numbers.len(), ends.iter().filter(|end| **end <= at).count());
        }
    }
}
