//! Blocks of several chunks, and blocks that stay open between pages, against a list in memory.

use super::files::*;
use super::*;

/// Every `n`th second, a few seconds earlier or later.
fn times(count: usize, random: &mut fastrand::Rng) -> Vec<i64> {
    let time = |place: usize| ARRIVED.as_nanos() + (place as i64 + random.i64(-9..9)) * 1_000_000_000;
    (0..count).map(time).collect()
}

/// All time in some rounds, and parts of it in others.
fn range(round: usize, seconds: i64, random: &mut fastrand::Rng) -> TimeRange {
    if round.is_multiple_of(3) {
        return TimeRange::ALL;
    }
    let at = |second: i64| Timestamp::from_nanos(ARRIVED.as_nanos() + second * 1_000_000_000);
    let from = random.i64(-20..seconds);
    TimeRange {
        from: at(from),
        to: at(from + random.i64(1..9_000)),
    }
}

/// `of_bucket` says of each record from a time to another whether it is an error; the others are infos.
#[track_caller]
fn check_buckets(histogram: &Histogrammed, of_bucket: impl Fn(i64, i64) -> Vec<bool>) {
    let step = i64::try_from(histogram.step.as_nanos()).unwrap();
    for bucket in &histogram.buckets {
        let start = bucket.start.as_nanos();
        let mut counts = [0; Level::ALL.len()];
        for is_error in of_bucket(start, start.saturating_add(step)) {
            let level = if is_error { Level::Error } else { Level::Info };
            counts[level as usize] += 1;
        }
        assert_eq!(bucket.counts, counts, "from {start}");
    }
}

#[tokio::test]
async fn pages_and_counts_of_many_chunks_are_those_of_a_list_however_often_they_are_asked_for() {
    const COUNT: usize = 18_000;
    let random = &mut fastrand::Rng::with_seed(11);
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    let times = times(COUNT, random);
    for (no, times) in (1..).zip(times.chunks(3_000)) {
        let records = times.iter().enumerate().map(|(place, time)| {
            let level = ["info", "error"][usize::from(place % 7 == 0)];
            format!(r#"{{"ts":{time},"level":"{level}","message":"m {no}-{place}"}}"#)
        });
        let records = records.collect::<Vec<_>>().join(",");
        stored(&store, batch("b", no, &records)).await;
    }
    store.close();
    let store = open(&data, eager());
    until_sealed(&store);
    assert_eq!(store.statistics().blocks, 1);

    let id = |place: usize| RecordId::new((place / 3_000 + 1) as i64, place % 3_000);
    let mut known: Vec<(i64, RecordId, bool)> = (0..COUNT)
        .map(|place| (times[place], id(place), place % 3_000 % 7 == 0))
        .collect();
    known.sort_unstable();
    for round in 0..60 {
        let range = range(round, COUNT as i64, random);
        let (q, errors) = [("", false), ("level:error", true)][random.usize(0..2)];
        let direction = [Direction::Older, Direction::Newer][random.usize(0..2)];
        let expected = known.iter().filter(|(time, _, is_error)| {
            range.holds(Timestamp::from_nanos(*time)) && (!errors || *is_error)
        });
        let mut expected: Vec<RecordId> = expected.map(|(_, id, _)| *id).collect();
        let counted = expected.len() as u64;
        if direction == Direction::Older {
            expected.reverse();
        }
        let filter = query::parse(q).unwrap().filter;
        let (mut found, mut after) = (Vec::new(), None);
        // Some pages of a long list are enough.
        for _ in 0..4 {
            let page = store
                .search(&Search {
                    filter: &filter,
                    range,
                    after,
                    direction,
                    limit: random.usize(1..300),
                    budget: &budget(),
                })
                .unwrap();
            found.extend(page.records.iter().map(|found| found.id));
            after = page.next;
            if after.is_none() {
                assert_eq!(found.len(), expected.len(), "{q:?} {range:?} {direction:?}");
                break;
            }
        }
        assert!(expected.starts_with(&found), "{q:?} {range:?} {direction:?}");
        let histogram = store.histogram(&Histogram {
            filter: &filter,
            range,
            buckets: random.usize(1..90),
            budget: &budget(),
        });
        let histogram = histogram.unwrap();
        assert_eq!(histogram.total, counted, "{q:?} {range:?}");
        check_buckets(&histogram, |start, end| {
            let of_bucket = known.iter().filter(|(time, _, is_error)| {
                (start..end).contains(time)
                    && range.holds(Timestamp::from_nanos(*time))
                    && (!errors || *is_error)
            });
            of_bucket.map(|(_, _, is_error)| *is_error).collect()
        });
    }
}

#[tokio::test]
async fn a_block_stays_open_until_another_takes_its_place_and_the_store_is_closed() {
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    let mut expected = Vec::new();
    for no in 1..=6 {
        stored(&store, batch("b", no, &format!(r#"{{"message":"{no}"}}"#))).await;
        until_sealed(&store);
        expected.insert(0, no.to_string());
        for _ in 0..3 {
            assert_eq!(messages(&store, ""), expected);
        }
        assert!((1..=super::super::kept::BLOCKS).contains(&store.inner.contents.kept.count()));
    }
    store.close();
    assert_eq!(store.inner.contents.kept.count(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_of_a_block_is_told_whether_it_stays_open_or_not() {
    let data = TempDir::new().unwrap();
    let store = open(&data, eager());
    stored(&store, batch("b", 1, r#"{"message":"m"}"#)).await;
    until_sealed(&store);
    let path = store.inner.contents.live().path().to_owned();
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute("DELETE FROM columns", []).unwrap();
    for _ in 0..2 {
        let found = page(&store, "", TimeRange::ALL, None, 9);
        assert_eq!((found.records.len(), found.partial), (0, Some(Partial::Damaged)));
    }
}
