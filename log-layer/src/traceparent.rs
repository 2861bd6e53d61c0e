//! W3C `traceparent`: how a trace crosses process boundaries. Knows nothing of spans or transports.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::fork;

thread_local! {
    // Seeded by the system: the generator's own seed is clock and thread number, and two machines can share those.
    // A forked child must not go on where its parent does: it sows anew.
    static RANDOM: RefCell<(u32, fastrand::Rng)> = RefCell::new(sown());
}

/// Sixteen bytes that name a trace, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

/// Eight bytes that name a span, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(u64);

impl TraceId {
    pub(crate) fn random() -> TraceId {
        TraceId(u128::from(random()) << 64 | u128::from(random()))
    }

    /// The trace that a header continues. Strict: lower-case hex of the right length, no version `ff`, no zero ids.
    pub(crate) fn parse(header: &[u8]) -> Option<TraceId> {
        let (known, future) = header.split_at_checked(55)?;
        let [v1, v2, b'-', trace @ ..] = known else {
            return None;
        };
        let (trace, rest) = trace.split_at(32);
        let [b'-', parent @ .., b'-', f1, f2] = rest else {
            return None;
        };
        let version = hex(&[*v1, *v2])?;
        hex(&[*f1, *f2])?;
        let fits = match version {
            0 => future.is_empty(),
            0xff => false,
            // Later versions may only append.
            _ => future.first().is_none_or(|byte| *byte == b'-'),
        };
        let (trace, parent) = (hex(trace)?, hex(parent)?);
        (fits && trace != 0 && parent != 0).then_some(TraceId(trace))
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> TraceId {
        TraceId(u128::from_be_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn hex(self) -> impl std::fmt::Display {
        Hex {
            number: self.0,
            digits: 32,
        }
    }
}

impl SpanId {
    pub(crate) fn random() -> SpanId {
        SpanId(random())
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> SpanId {
        SpanId(u64::from_be_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(crate) fn hex(self) -> impl std::fmt::Display {
        Hex {
            number: u128::from(self.0),
            digits: 16,
        }
    }
}

/// The header that continues `trace` below `span`.
pub(crate) fn header(trace: TraceId, span: SpanId) -> String {
    format!("00-{}-{}-01", trace.hex(), span.hex())
}

/// The ids that somebody else has given to what this thread does, if somebody does.
pub(crate) fn of_others() -> Option<(TraceId, SpanId)> {
    #[cfg(feature = "opentelemetry")]
    return crate::opentelemetry::active();
    #[cfg(not(feature = "opentelemetry"))]
    None
}

/// Sixty-four bits of the system's randomness.
pub(crate) fn system_random() -> u64 {
    // The standard library keys its maps from the system's generator and offers no other way to it. It asks that once for
    // each thread, and a forked child inherits the answer.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn sown() -> (u32, fastrand::Rng) {
    (fork::generation(), fastrand::Rng::with_seed(system_random()))
}

fn random() -> u64 {
    // A thread that is ending has no generator any more.
    RANDOM
        .try_with(|random| {
            let mut random = random.borrow_mut();
            if random.0 != fork::generation() {
                *random = sown();
            }
            random.1.u64(1..)
        })
        .unwrap_or_else(|_| system_random() | 1)
}

fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

struct Hex {
    number: u128,
    digits: usize,
}

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:0digits$x}", self.number, digits = self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        let parsed = TraceId::parse(header.as_bytes()).map(|trace| trace.hex().to_string());
        assert_eq!(parsed.as_deref(), expected, "{header}");
    }

    #[test]
    fn a_header_is_read_strictly() {
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Some(TRACE),
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            Some(TRACE),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            Some(TRACE),
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            Some(TRACE),
        );
        check("", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", None);
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            None,
        );
        check(
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            None,
        );
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", None);
        check("00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01", None);
        check("0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é", None);
    }

    #[test]
    fn a_header_of_ours_is_read_back() {
        let trace = TraceId::random();
        let header = header(trace, SpanId::random());
        assert_eq!(header.len(), 55);
        assert_eq!(TraceId::parse(header.as_bytes()), Some(trace));
    }
}
