//! Texts come back as they were, and are found exactly where looking at them one by one finds them.

use std::collections::HashMap;

use super::super::bytes::{Reader, put_bytes, put_number, put_section};
use super::super::filter::{self, Filter, Terms};
use super::super::integers;
use super::super::memory::Memory;
use super::super::rows::Rows;
use super::super::{Damaged, Loaded};
use super::encode::Written;
use super::*;
use crate::query::fold;

/// The number of the column that holds the body.
const BODY: u32 = 7;

fn texts(random: &mut fastrand::Rng) -> Vec<String> {
    const PARTS: [&str; 30] = [
        "took ",
        "ms",
        " ",
        "request ",
        "-",
        "_",
        ":",
        "/",
        "登录",
        "失败",
        "é",
        "É",
        "K",
        "\u{212A}",
        "ſ",
        "\u{11}",
        "\u{0}",
        "a",
        "F",
        "ERROR",
        "connection",
        " reset",
        ".",
        "e",
        "0",
        "00",
        "12",
        "x9",
        "deadbeef1",
        "7F3A90",
    ];
    let phrases: Vec<Vec<u8>> = (0..random.usize(1..12))
        .map(|_| (0..random.usize(0..6)).map(|_| random.u8(..)).collect())
        .collect();
    let one = |random: &mut fastrand::Rng| {
        let mut text = String::new();
        for part in random.choice(&phrases).unwrap().clone() {
            match part % 40 {
                30..=32 => text += &random.u32(..120).to_string(),
                33 => text += &random.u64(..).to_string(),
                34 => text += &format!("{:06x}", random.u32(..0x10_00000)),
                35 => text += &format!("{:032x}", random.u128(..)),
                36 => text += &format!("{:02}", random.u32(..60)),
                37 => text += &format!("v{}", random.u32(..9)),
                38 => text += &"7".repeat(70),
                part => text += PARTS[usize::from(part % 30)],
            }
        }
        text
    };
    (0..random.usize(1..300)).map(|_| one(random)).collect()
}

fn needle(random: &mut fastrand::Rng, texts: &[String]) -> String {
    let text: Vec<char> = random.choice(texts).unwrap().chars().collect();
    let mut needle: String = if text.is_empty() || random.u8(..10) == 0 {
        random
            .choice(["9f", "0", "zebra", "request 1", "登", "x", "-"])
            .unwrap()
            .to_owned()
    } else {
        let start = random.usize(..text.len());
        text[start..random.usize(start..text.len()) + 1].iter().collect()
    };
    if random.u8(..6) == 0 {
        needle.push(random.alphanumeric());
    }
    fold(&needle, &mut String::new()).to_owned()
}

fn containing(texts: &mut Text<'_>, needle: &str) -> Result<Rows, Damaged> {
    let found = texts.find(needle)?;
    texts.rows_of(found)
}

#[test]
fn texts_come_back_and_are_found_where_a_plain_search_finds_them() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut scratch, mut absent, mut pruned) = (String::new(), 0, 0);
    for round in 0..400 {
        let texts = texts(&mut random);
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut terms = Terms::of_column(6, 0);
        let Written { head, body, kind } = TextWriter::write(&borrowed, None, &mut terms);
        let mut bits = Vec::new();
        filter::put(&mut bits, &[terms], true);
        let filter = Filter::read(Reader::new(&bits)).unwrap();
        let body = Memory::of([(BODY, body)]);
        let loaded = Loaded::new(&body);
        let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, kind).unwrap();
        // The other as heads were up to format 5.
        let kinds = [
            kind,
            Kind {
                firsts: false,
                ..kind
            },
        ];
        let mut back = Vec::new();
        read.each(0..texts.len(), |_, text| back.push(text.to_owned()))
            .unwrap();
        assert_eq!(back, texts);
        let chosen = Rows::where_true(texts.len(), |_| random.u8(..3) > 0);
        let (mut expected, mut counted) = (HashMap::new(), HashMap::new());
        for row in chosen.iter() {
            *expected.entry(texts[row].clone()).or_insert(0) += 1;
        }
        let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, kind).unwrap();
        read.count(&chosen, &mut |text, count| {
            *counted.entry(text.to_owned()).or_insert(0) += count;
        })
        .unwrap();
        assert_eq!(counted, expected, "round {round}");
        for _ in 0..20 {
            let needle = needle(&mut random, &texts);
            let expected: Vec<usize> = (0..texts.len())
                .filter(|row| fold(&texts[*row], &mut scratch).contains(&needle))
                .collect();
            for kind in kinds {
                let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, kind).unwrap();
                let found: Vec<usize> = containing(&mut read, &needle).unwrap().iter().collect();
                assert_eq!(found, expected, "round {round}: {needle:?} in {texts:?}");
                // Few are put together in another way than many.
                let few = &found[..found.len().min(FEW)];
                let mut back = Vec::new();
                read.each(few.iter().copied(), |_, text| back.push(text.to_owned()))
                    .unwrap();
                assert!(back.iter().eq(few.iter().map(|row| &texts[*row])));
            }
            let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, kind).unwrap();
            let found = read.find(&needle).unwrap();
            assert_eq!(read.count_of(&found), expected.len());
            absent += usize::from(expected.is_empty());
            if !filter.may_contain(6, &needle).unwrap() {
                pruned += 1;
                assert_eq!(
                    expected, [0_usize; 0],
                    "round {round}: the filter hides {needle:?} in {texts:?}"
                );
            }
        }
    }
    assert!(
        pruned > absent / 10,
        "the filter prunes nothing: {pruned} of {absent}"
    );
}

#[test]
fn damaged_bytes_are_an_error_or_texts_and_never_a_panic() {
    let texts: Vec<String> = (0..200)
        .map(|n| {
            format!(
                "user {n} took {}ms for {:08x} at v{}",
                n * 7,
                n * 0x10_0001,
                n % 5
            )
        })
        .collect();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Written { head, body, kind } = TextWriter::write(&borrowed, None, &mut Terms::of_column(6, 0));
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..3_000 {
        let (mut head, mut body) = (head.clone(), body.clone());
        for bytes in [&mut head, &mut body] {
            for _ in 0..random.usize(0..3) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        // With the checksums that belong to it, so that the reader itself must notice.
        let body = Memory::of([(BODY, body)]);
        let loaded = Loaded::new(&body);
        let read = || -> Result<(), Damaged> {
            let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, kind)?;
            containing(&mut read, "user 1")?;
            let length = read.length();
            read.each(0..length, |_, _| ())?;
            read.count(&Rows::all(length), &mut |_, _| ())
        };
        // Either is right: some damage leaves valid texts.
        let _ = read();
    }
}

/// The writer makes no such template; a file may come from anywhere.
#[test]
fn a_template_without_texts_is_no_trouble() {
    let (mut templates, mut head, mut body) = (Vec::new(), Vec::new(), Vec::new());
    put_number(&mut templates, 2);
    put_bytes(&mut templates, &[HEX, END, b'x', HEX, b' ', HEX, END]);
    // How many texts each has, and how many digits each slot.
    templates.extend_from_slice(&[1, 0, 8, 8, 8]);
    put_section(&mut head, &templates);
    put_section(&mut head, &[0]);
    integers::put_codes(&mut head, &[0]);
    put_section(&mut body, &[]);
    put_section(&mut body, &[0xDE, 0xAD, 0xBE, 0xEF]);
    integers::put(&mut body, &[]);
    put_section(&mut body, &[]);
    let body = Memory::of([(BODY, body)]);
    let loaded = Loaded::new(&body);
    for (needle, found) in [("dbe", true), ("ab", false), ("xab", false), ("f", true)] {
        let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, Kind::default()).unwrap();
        assert_eq!(
            !containing(&mut read, needle).unwrap().is_empty(),
            found,
            "{needle}"
        );
    }
    let mut read = Text::read(&mut Reader::new(&head), &loaded, BODY, Kind::default()).unwrap();
    let mut counted = Vec::new();
    read.count(&Rows::all(1), &mut |text, count| {
        counted.push((text.to_owned(), count))
    })
    .unwrap();
    assert_eq!(counted, [("deadbeef".to_owned(), 1)]);
}
