//! Laying a needle over the slots of a template.
//!
//! Because a slot is a maximal run of letters and digits, there is only one way to lay a needle over a given slot: each of
//! its runs is the end of a slot (the first), a whole slot, the beginning of one (the last), or somewhere inside one (a
//! needle that is one run).

use super::template::is_run;
use super::{HEX, INT, WHOLE, WORD};

/// Where in a slot a piece of the needle must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Equal,
    Start,
    End,
    Inside,
}

/// What one slot must be.
#[derive(Clone, Copy)]
pub(super) struct Demand<'n> {
    pub(super) marker: u8,
    /// Which slot among those of its kind.
    pub(super) slot: usize,
    pub(super) place: Place,
    pub(super) piece: &'n str,
}

/// The maximal runs of letters and digits of a needle: start and end.
pub(super) fn runs(needle: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = needle.as_bytes();
    let starts = (0..bytes.len()).filter(|at| is_run(bytes[*at]) && (*at == 0 || !is_run(bytes[at - 1])));
    starts.map(|start| (start, run_end(bytes, start)))
}

/// The longest part of a needle that lies in no slot, because it has no run in it; empty if there is none.
pub(super) fn longest_between_runs(needle: &str) -> &str {
    let parts = needle.split(|letter: char| u8::try_from(letter).is_ok_and(is_run));
    parts.max_by_key(|part| part.len()).unwrap_or_default()
}

fn run_end(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| is_run(**byte)).count()
}

/// A slot in a template: where its marker is, the marker, and which of its kind it is.
pub(super) type SlotAt = (usize, u8, usize);

pub(super) fn find_slots(template: &[u8], slots: &mut Vec<SlotAt>) {
    slots.clear();
    let mut counts = [0; 3];
    for (at, byte) in template.iter().enumerate() {
        let kind = match *byte {
            INT => 0,
            HEX => 1,
            WORD | WHOLE => 2,
            _ => continue,
        };
        slots.push((at, *byte, counts[kind]));
        counts[kind] += 1;
    }
}

/// The ways to lay the needle over the template so that it touches a slot.
pub(super) fn ways<'n>(needle: &'n str, template: &[u8], slots: &[SlotAt]) -> Vec<Vec<Demand<'n>>> {
    let demand = |slot: SlotAt, place, piece| Demand {
        marker: slot.1,
        slot: slot.2,
        place,
        piece,
    };
    let mut ways = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        if slot.1 == WHOLE {
            return vec![vec![demand(*slot, Place::Inside, needle)]];
        }
        for (start, end) in runs(needle) {
            if start > 0 {
                if template[..slot.0].ends_with(&needle.as_bytes()[..start]) {
                    let mut way = Vec::new();
                    if follow(needle, start, template, &slots[index..], &mut way) {
                        ways.push(way);
                    }
                }
            } else if end == needle.len() {
                ways.push(vec![demand(*slot, Place::Inside, needle)]);
            } else {
                let mut way = vec![demand(*slot, Place::End, &needle[..end])];
                if follow_literal(needle, end, template, &slots[index..], &mut way) {
                    ways.push(way);
                }
            }
        }
    }
    ways
}

/// Lays `needle[at..]`, which begins with a run, over the first of `slots` and what is behind it.
fn follow<'n>(
    needle: &'n str,
    at: usize,
    template: &[u8],
    slots: &[SlotAt],
    way: &mut Vec<Demand<'n>>,
) -> bool {
    let end = run_end(needle.as_bytes(), at);
    let last = end == needle.len();
    way.push(Demand {
        marker: slots[0].1,
        slot: slots[0].2,
        place: if last { Place::Start } else { Place::Equal },
        piece: &needle[at..end],
    });
    last || follow_literal(needle, end, template, slots, way)
}

/// Lays `needle[at..]`, which does not begin with a run, over what is behind the first of `slots`.
fn follow_literal<'n>(
    needle: &'n str,
    at: usize,
    template: &[u8],
    slots: &[SlotAt],
    way: &mut Vec<Demand<'n>>,
) -> bool {
    let next = slots.get(1).map_or(template.len(), |next| next.0);
    let literal = &template[slots[0].0 + 1..next];
    let rest = &needle.as_bytes()[at..];
    if literal.starts_with(rest) {
        return true;
    }
    let at = at + literal.len();
    // A slot begins where a run does, and the text before a slot is never part of one.
    slots.len() > 1
        && rest.starts_with(literal)
        && needle.as_bytes().get(at).is_some_and(|byte| is_run(*byte))
        && follow(needle, at, template, &slots[1..], way)
}
