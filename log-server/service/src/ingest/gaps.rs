//! Which sequence numbers of a sender's run have not arrived although later ones have.
//!
//! Senders number what they accept without holes, so a hole that stays is a loss. Batches may overtake each other: a
//! hole is told of only after a while, and what fills it later closes it. Pure: it is told the time, and what the store
//! knows of a run that it does not know ([`Past`]), so that it goes on where an earlier run of the server ended. Memory
//! is bounded; runs that were quiet the longest are forgotten first.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log_record::Source;

use crate::store::Received;

/// How long a batch may be overtaken before the hole it leaves is told of: longer than a sender waits between two tries.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Runs that are watched.
const RUNS: usize = 4_096;
/// Holes of one run; a run with more numbers its records in another way, and is not watched any further.
const HOLES: usize = 256;

/// The holes of all runs.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    runs: HashMap<Arc<str>, Run>,
}

#[derive(Debug)]
struct Run {
    source: Arc<Source>,
    /// One more than the highest number seen.
    next: u64,
    seen: Instant,
    /// By their first number.
    holes: BTreeMap<u64, Hole>,
}

#[derive(Debug, Clone, Copy)]
struct Hole {
    last: u64,
    since: Instant,
    told: bool,
}

/// What is stored of a run.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The numbers that have arrived.
    pub(super) received: Received,
    /// Those that were told missing.
    pub(super) told: Received,
    /// Those of them that were told to have come after all.
    pub(super) closed: Received,
}

/// Something to tell of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gap {
    pub(super) source: Arc<Source>,
    pub(super) numbers: RangeInclusive<u64>,
    /// Whether these numbers, which were told missing, have come after all.
    pub(super) closed: bool,
}

impl Gaps {
    /// Whether the run is watched already.
    pub(super) fn knows(&self, boot: &str) -> bool {
        self.runs.contains_key(boot)
    }

    /// Goes on with a run where what is stored of it ends; returns the holes told of that were filled and not told
    /// closed, because the server died in between.
    pub(super) fn resume(&mut self, source: &Arc<Source>, past: &Past, now: Instant) -> Vec<Gap> {
        let Some(boot) = source.boot.as_ref().filter(|boot| !self.knows(boot)) else {
            return Vec::new();
        };
        let next = match past.received.highest() {
            Some(highest) => highest.saturating_add(1),
            // It has too many holes to be watched.
            None if past.received.is_beyond() => u64::MAX,
            None => return Vec::new(),
        };
        let holes = past.received.holes().into_iter().map(|hole| {
            let (first, last) = hole.into_inner();
            let told = past.told.is_beyond() || past.told.missing(first..=last).is_empty();
            let since = now;
            (first, Hole { last, since, told })
        });
        let run = Run {
            source: source.clone(),
            next,
            seen: now,
            holes: holes.take(HOLES).collect(),
        };
        self.make_room();
        self.runs.insert(boot.clone(), run);
        let filled = past.told.ranges().flat_map(|told| past.received.arrived(told));
        filled
            .flat_map(|filled| past.closed.missing(filled))
            .map(|numbers| Gap {
                source: source.clone(),
                numbers,
                closed: true,
            })
            .collect()
    }

    /// Takes note of numbers that have arrived; returns the holes told of that they fill.
    pub(super) fn arrived(
        &mut self,
        source: &Arc<Source>,
        numbers: RangeInclusive<u64>,
        now: Instant,
    ) -> Vec<Gap> {
        let Some(boot) = &source.boot else {
            return Vec::new();
        };
        let (first, last) = numbers.into_inner();
        let Some(run) = self.runs.get_mut(boot) else {
            self.make_room();
            let run = Run {
                source: source.clone(),
                next: last.saturating_add(1),
                seen: now,
                holes: BTreeMap::new(),
            };
            self.runs.insert(boot.clone(), run);
            return Vec::new();
        };
        run.seen = now;
        if first > run.next && run.holes.len() < HOLES {
            let hole = Hole {
                last: first - 1,
                since: now,
                told: false,
            };
            run.holes.insert(run.next, hole);
        }
        let closed = if first < run.next {
            run.fill(first, last)
        } else {
            Vec::new()
        };
        run.next = run.next.max(last.saturating_add(1));
        let gap = |numbers| Gap {
            source: run.source.clone(),
            numbers,
            closed: true,
        };
        closed.into_iter().map(gap).collect()
    }

    /// The holes that have been open for [`GRACE`] and were not told of.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Gap> {
        let mut overdue = Vec::new();
        for run in self.runs.values_mut() {
            for (first, hole) in &mut run.holes {
                if !hole.told && now.saturating_duration_since(hole.since) >= GRACE {
                    hole.told = true;
                    overdue.push(Gap {
                        source: run.source.clone(),
                        numbers: *first..=hole.last,
                        closed: false,
                    });
                }
            }
        }
        overdue
    }

    /// The gap could not be told of after all.
    pub(super) fn untold(&mut self, gap: &Gap) {
        let run = gap.source.boot.as_ref().and_then(|boot| self.runs.get_mut(boot));
        let Some(run) = run else { return };
        for (_, hole) in run.holes.range_mut(gap.numbers.clone()) {
            hole.told = false;
        }
    }

    /// Forgets a run; what is stored of it is asked for again.
    pub(super) fn forget(&mut self, boot: &str) {
        self.runs.remove(boot);
    }

    fn make_room(&mut self) {
        if self.runs.len() < RUNS {
            return;
        }
        // One with a hole to tell of stays: it may never send again.
        let waits = |run: &Run| run.holes.values().any(|hole| !hole.told);
        let quietest = self.runs.iter().min_by_key(|(_, run)| (waits(run), run.seen));
        if let Some(boot) = quietest.map(|(boot, _)| boot.clone()) {
            self.runs.remove(&boot);
        }
    }
}

impl Run {
    /// Fills holes with the numbers; returns the parts of holes told of that are filled.
    fn fill(&mut self, first: u64, last: u64) -> Vec<RangeInclusive<u64>> {
        let touched: Vec<(u64, Hole)> = self
            .holes
            .range(..=last)
            .filter(|(_, hole)| hole.last >= first)
            .map(|(start, hole)| (*start, *hole))
            .collect();
        let mut closed = Vec::new();
        for (start, hole) in touched {
            self.holes.remove(&start);
            if start < first {
                self.holes.insert(
                    start,
                    Hole {
                        last: first - 1,
                        ..hole
                    },
                );
            }
            if hole.last > last {
                self.holes.insert(last + 1, hole);
            }
            if hole.told {
                closed.push(start.max(first)..=hole.last.min(last));
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(boot: &str) -> Arc<Source> {
        Arc::new(Source {
            boot: Some(boot.into()),
            ..Source::default()
        })
    }

    #[test]
    fn what_is_overtaken_is_no_loss_until_the_grace_is_over() {
        let (mut gaps, start, source) = (Gaps::default(), Instant::now(), source("b"));
        assert_eq!(gaps.arrived(&source, 5..=9, start), []);
        assert_eq!(gaps.arrived(&source, 20..=29, start), []);
        assert_eq!(gaps.overdue(start + GRACE / 2), []);
        assert_eq!(gaps.arrived(&source, 10..=19, start + GRACE / 2), []);
        assert_eq!(gaps.overdue(start + GRACE * 2), []);
    }

    #[test]
    fn a_hole_is_told_once_and_what_comes_late_closes_just_that_part() {
        let (mut gaps, start, source) = (Gaps::default(), Instant::now(), source("b"));
        gaps.arrived(&source, 1..=9, start);
        gaps.arrived(&source, 20..=29, start);
        let gap = |numbers, closed| Gap {
            source: source.clone(),
            numbers,
            closed,
        };
        assert_eq!(gaps.overdue(start + GRACE), [gap(10..=19, false)]);
        assert_eq!(gaps.overdue(start + GRACE), []);
        assert_eq!(gaps.arrived(&source, 12..=13, start), [gap(12..=13, true)]);
        assert_eq!(
            gaps.arrived(&source, 1..=30, start),
            [gap(10..=11, true), gap(14..=19, true)]
        );
        assert_eq!(gaps.arrived(&source, 1..=30, start), []);
    }

    #[test]
    fn holes_agree_with_a_list_of_numbers_in_any_order_of_arrival() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let (mut gaps, start, source) = (Gaps::default(), Instant::now(), source("b"));
            gaps.arrived(&source, 0..=0, start);
            let mut seen = vec![true];
            for _ in 0..random.usize(1..20) {
                let first = random.u64(0..60);
                let last = first + random.u64(0..8);
                gaps.arrived(&source, first..=last, start);
                let last = usize::try_from(last).unwrap();
                seen.resize(seen.len().max(last + 1), false);
                seen[usize::try_from(first).unwrap()..=last].fill(true);
            }
            let mut missing = vec![false; seen.len()];
            for gap in gaps.overdue(start + GRACE) {
                for number in gap.numbers {
                    missing[usize::try_from(number).unwrap()] = true;
                }
            }
            let expected: Vec<bool> = seen.iter().map(|seen| !seen).collect();
            assert_eq!(missing, expected);
        }
    }

    fn received(numbers: &[RangeInclusive<u64>]) -> Received {
        let mut received = Received::default();
        numbers
            .iter()
            .for_each(|numbers| received.insert(numbers.clone()));
        received
    }

    #[test]
    fn a_run_goes_on_where_what_is_stored_of_it_ends() {
        let (mut gaps, start, source) = (Gaps::default(), Instant::now(), source("b"));
        let gap = |numbers, closed| Gap {
            source: source.clone(),
            numbers,
            closed,
        };
        // Told of 10 to 29, and died before it was told that 12 and 13 are there; 40 to 49 was not told yet.
        let past = Past {
            received: received(&[1..=9, 12..=13, 30..=39, 50..=59]),
            told: received(&[10..=29]),
            closed: received(&[]),
        };
        assert_eq!(gaps.resume(&source, &past, start), [gap(12..=13, true)]);
        assert_eq!(gaps.resume(&source, &past, start), []);
        assert_eq!(gaps.overdue(start + GRACE / 2), []);
        assert_eq!(gaps.overdue(start + GRACE), [gap(40..=49, false)]);
        assert_eq!(
            gaps.arrived(&source, 14..=41, start),
            [gap(14..=29, true), gap(40..=41, true)]
        );
        assert_eq!(gaps.arrived(&source, 70..=71, start), []);
        assert_eq!(gaps.overdue(start + GRACE), [gap(60..=69, false)]);
        gaps.untold(&gap(60..=69, false));
        assert_eq!(gaps.overdue(start + GRACE), [gap(60..=69, false)]);
    }

    #[test]
    fn of_a_run_with_too_many_holes_nothing_is_told() {
        let (mut gaps, start, source) = (Gaps::default(), Instant::now(), source("b"));
        let mut past = Past::default();
        (0..5_000).for_each(|number| past.received.insert(number * 2..=number * 2));
        assert_eq!(gaps.resume(&source, &past, start), []);
        assert_eq!(gaps.arrived(&source, 20_000..=20_001, start), []);
        assert_eq!(gaps.overdue(start + GRACE), []);
    }

    #[test]
    fn memory_is_bounded_whatever_senders_do() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        for number in 0..5_000 {
            gaps.arrived(&source(&format!("boot {number}")), 1..=2, start);
        }
        let wild = source("wild");
        for number in 0..5_000 {
            gaps.arrived(&wild, number * 2..=number * 2, start);
        }
        assert_eq!(gaps.runs.len(), RUNS);
        assert_eq!(gaps.runs["wild"].holes.len(), HOLES);
    }
}
