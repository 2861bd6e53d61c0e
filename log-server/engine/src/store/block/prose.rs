//! Text that says something new in each line, made of words that come again: each word is told by a number of two bytes.
//! What compressors do with such text, saying how far back the word stood and how long it is, takes about three.
//!
//! Format: [`TAG`], which begins no frame of zstd · how many words there are · a section with the words, each ended by a
//! zero · a section with the low bytes of the numbers · one with the high ones. A number below 256 is that byte, another
//! one a word. Between two words that follow each other there is a blank. The most frequent word has the lowest number.

use std::collections::HashMap;

use super::bytes::{Damaged, Reader, damaged, put_number, put_section};

/// Begins what is told by words.
pub(super) const TAG: u8 = b'W';
/// Shorter text has too few words that come again.
const LEAST: usize = 16_384;
/// Numbers below stand for bytes.
const BYTES: usize = 256;
/// More words have no numbers.
const WORDS_MOST: usize = (1 << 16) - BYTES;
/// Words must come so often, on average, that it pays to list them.
const REPEATS: usize = 4;

/// Room that is made for the text of a number.
const USUAL: usize = 16;

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80
}

/// What a text is made of.
#[derive(Clone, Copy)]
enum Token<'t> {
    Word(&'t [u8]),
    Byte(u8),
}

/// Shows the words and what is between them, but for single blanks between words.
fn each_token<'t>(text: &'t [u8], mut see: impl FnMut(Token<'t>)) {
    let mut at = 0;
    let mut after_word = false;
    while at < text.len() {
        let start = if after_word && text[at] == b' ' && text.get(at + 1).is_some_and(|next| is_letter(*next))
        {
            at + 1
        } else {
            at
        };
        let length = text[start..].iter().take_while(|byte| is_letter(**byte)).count();
        after_word = length > 0;
        if after_word {
            see(Token::Word(&text[start..start + length]));
            at = start + length;
        } else {
            see(Token::Byte(text[at]));
            at += 1;
        }
    }
}

/// The text by its words, if that may be worth it.
pub(super) fn encode(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() < LEAST {
        return None;
    }
    let mut counts = HashMap::<&[u8], usize, foldhash::fast::RandomState>::default();
    let mut words = 0;
    each_token(text, |token| {
        if let Token::Word(word) = token {
            *counts.entry(word).or_default() += 1;
            words += 1;
        }
    });
    if counts.len() > WORDS_MOST || counts.len() * REPEATS > words {
        return None;
    }
    let mut ranked: Vec<(&[u8], usize)> = counts.into_iter().collect();
    // The same text is told in the same way each time.
    ranked.sort_unstable_by_key(|(word, count)| (std::cmp::Reverse(*count), *word));
    let mut dictionary = Vec::new();
    let mut numbers = HashMap::<&[u8], usize, foldhash::fast::RandomState>::default();
    for (rank, (word, _)) in ranked.iter().enumerate() {
        dictionary.extend_from_slice(word);
        dictionary.push(0);
        numbers.insert(word, BYTES + rank);
    }
    let (mut low, mut high) = (Vec::new(), Vec::new());
    each_token(text, |token| {
        let number = match token {
            Token::Byte(byte) => usize::from(byte),
            Token::Word(word) => numbers[word],
        };
        low.push(number as u8);
        high.push((number >> 8) as u8);
    });
    let mut out = vec![TAG];
    put_number(&mut out, ranked.len() as u64);
    put_section(&mut out, &dictionary);
    put_section(&mut out, &low);
    put_section(&mut out, &high);
    Some(out)
}

/// The text again, which has `length` bytes.
pub(super) fn decode(encoded: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    const OTHER: Damaged = damaged("a text has other words than it says");
    let mut reader = Reader::new(encoded);
    if reader.byte()? != TAG {
        return Err(OTHER);
    }
    let count = reader.count(WORDS_MOST)?;
    let (dictionary, low, high) = (
        reader.section()?.open_part()?,
        reader.section()?.open_part()?,
        reader.section()?.open_part()?,
    );
    let mut words: Vec<&[u8]> = dictionary.split(|byte| *byte == 0).collect();
    // Behind the last zero.
    if words.pop().is_none_or(|rest| !rest.is_empty()) || words.len() != count || low.len() != high.len() {
        return Err(OTHER);
    }
    let mut text = Vec::with_capacity(length.min(low.len() * USUAL));
    let mut after_word = false;
    for (low, high) in low.iter().zip(high.iter()) {
        let number = usize::from(*low) | usize::from(*high) << 8;
        match number.checked_sub(BYTES) {
            None => {
                text.push(*low);
                after_word = false;
            }
            Some(rank) => {
                if after_word {
                    text.push(b' ');
                }
                text.extend_from_slice(words.get(rank).ok_or(OTHER)?);
                after_word = true;
            }
        }
        if text.len() > length {
            return Err(OTHER);
        }
    }
    if text.len() == length {
        Ok(text)
    } else {
        Err(OTHER)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines of words out of so many.
    fn prose(lines: usize, words: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(4);
        let words: Vec<String> = (0..words)
            .map(|_| (0..random.usize(3..10)).map(|_| random.lowercase()).collect())
            .collect();
        let mut text = Vec::new();
        for _ in 0..lines {
            for _ in 0..random.usize(6..16) {
                text.extend_from_slice(random.choice(&words).unwrap().as_bytes());
                text.push(b' ');
            }
            text.push(0);
        }
        text
    }

    #[test]
    fn words_that_come_again_take_little_more_than_their_number() {
        let text = prose(20_000, 5_000);
        let encoded = encode(&text).unwrap();
        assert_eq!(decode(&encoded, text.len()).unwrap(), text);
        let (mut section, words) = (Vec::new(), 20_000 * 10);
        put_section(&mut section, &text);
        assert!(
            encoded.len() < 2 * words && encoded.len() * 4 < section.len() * 3,
            "{}",
            encoded.len()
        );
    }

    #[test]
    fn text_without_words_that_come_again_is_left_alone() {
        assert!(encode(&prose(10, 100)).is_none());
        let mut random = fastrand::Rng::with_seed(4);
        let noise: Vec<u8> = (0..100_000).map(|_| random.u8(..)).collect();
        assert!(encode(&noise).is_none());
    }

    #[test]
    fn damage_is_an_error_or_a_text_of_that_length() {
        let text = prose(3_000, 300);
        let encoded = encode(&text).unwrap();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..3_000 {
            let mut damaged = encoded.clone();
            let at = random.usize(..damaged.len());
            damaged[at] = random.u8(..);
            if let Ok(read) = decode(&damaged, text.len()) {
                assert_eq!(read.len(), text.len());
            }
        }
        assert!(decode(&encoded, text.len() - 1).is_err() && decode(&encoded, text.len() + 1).is_err());
    }

    proptest! {
        #[test]
        fn every_text_comes_back(pieces in proptest::collection::vec("[a-cé ,\u{0}\u{11}退]{0,6}", 1..8), seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut text = Vec::new();
            while text.len() < LEAST {
                text.extend_from_slice(random.choice(&pieces).unwrap().as_bytes());
                text.push(b" \x00,"[random.usize(..3)]);
            }
            if let Some(encoded) = encode(&text) {
                prop_assert_eq!(decode(&encoded, text.len()), Ok(text));
            }
        }
    }
}
