//! Searching texts without putting them together.
//!
//! A needle that lies in the template alone is found once for all texts of the template. Otherwise it lies over slots
//! (see `laying`), and what a slot must then be is checked on the slots' columns.

use memchr::memmem::{self, Finder};

use super::super::bytes::Damaged;
use super::super::rows::Rows;
use super::body::Body;
use super::folded::Folded;
use super::laying::{Demand, Place, find_slots, longest_between_runs, runs, ways};
use super::{END, HEX, INT, OTHER_TEXTS, Template, Text, WHOLE, WORD, Words};
use crate::query::fold;

impl Words<'_> {
    /// Without case; they have been read.
    fn folded(&self) -> &Folded {
        let Words::Read { arena, ends, folded } = self else {
            unreachable!("who asks has read them");
        };
        folded.get_or_init(|| Folded::new(arena, ends))
    }
}

/// What texts of a template that match are like.
enum Match<'n> {
    None,
    Every,
    /// Those of which all demands of some list are met.
    Where(Vec<Vec<Demand<'n>>>),
}

/// Which words pass a demand, by place and piece.
type KnownWords<'n> = Vec<(Place, &'n str, Rows)>;

impl Text<'_> {
    /// The texts that contain the folded `needle`: [`Text::count_of`] says how many, [`Text::rows_of`] which.
    pub(in super::super) fn find(&mut self, needle: &str) -> Result<Found, Damaged> {
        if is_cut_up(needle) {
            return Ok(Found::Rows(self.containing_in_whole(needle)?));
        }
        let (matches, words) = self.matches(needle)?;
        Ok(Found::ByTemplate(self.met(&matches, &words)?))
    }

    /// How many texts these are.
    pub(in super::super) fn count_of(&self, found: &Found) -> usize {
        match found {
            Found::Rows(rows) => rows.count(),
            Found::ByTemplate(met) => {
                let met = self.templates.iter().zip(met);
                met.map(|(template, met)| met.count(template)).sum()
            }
        }
    }

    /// Which texts these are.
    pub(in super::super) fn rows_of(&mut self, found: Found) -> Result<Rows, Damaged> {
        match found {
            Found::Rows(rows) => Ok(rows),
            Found::ByTemplate(met) => self.rows(met),
        }
    }

    /// The texts that contain the needle once they are put together.
    fn containing_in_whole(&mut self, needle: &str) -> Result<Rows, Damaged> {
        let finder = Finder::new(needle);
        let mut scratch = String::new();
        let all = Rows::all(self.length());
        self.passing(&all, &mut |text| {
            finder.find(fold(text, &mut scratch).as_bytes()).is_some()
        })
    }

    /// Which texts of each template contain the needle, and the words that matter for that.
    fn matches<'n>(&mut self, needle: &'n str) -> Result<(Vec<Match<'n>>, KnownWords<'n>), Damaged> {
        let mut matches = self.in_templates(needle);
        let mut words = KnownWords::new();
        if self.may_touch_slots(needle)? {
            self.over_slots(needle, &mut matches, &mut words);
        }
        Ok((matches, words))
    }

    /// Those of `candidates` that pass `test`.
    pub(in super::super) fn passing(
        &mut self,
        candidates: &Rows,
        test: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Rows, Damaged> {
        let mut rows = Rows::none(self.length());
        if !candidates.is_empty() {
            self.each(candidates.iter(), |index, text| {
                if test(text) {
                    rows.insert(index);
                }
            })?;
        }
        Ok(rows)
    }

    /// The texts that may be numbers as JSON writes them.
    pub(in super::super) fn maybe_numbers(&mut self) -> Result<Rows, Damaged> {
        let may = |template: &Template| {
            self.arena[template.start..template.end]
                .bytes()
                .all(|byte| matches!(byte, INT..=WORD | b'-' | b'+' | b'.' | b'e' | b'E'))
        };
        let matches: Vec<Match<'_>> = self
            .templates
            .iter()
            .map(|template| if may(template) { Match::Every } else { Match::None })
            .collect();
        let met = self.met(&matches, &Vec::new())?;
        self.rows(met)
    }

    fn folded(&mut self) -> &Folded {
        let Text {
            folded,
            arena,
            templates,
            ..
        } = self;
        folded.get_or_insert_with(|| {
            let ends: Vec<usize> = templates.iter().map(|template| template.end).collect();
            Folded::new(arena, &ends)
        })
    }

    fn in_templates<'n>(&mut self, needle: &str) -> Vec<Match<'n>> {
        let mut matches: Vec<Match<'n>> = self.templates.iter().map(|_| Match::None).collect();
        self.folded()
            .find(needle, true, |template, _| matches[template] = Match::Every);
        matches
    }

    /// Whether some slot may hold one of the needle's runs.
    fn may_touch_slots(&mut self, needle: &str) -> Result<bool, Damaged> {
        let slots = |template: &Template| template.ints + template.words + template.hex.len() > 0;
        if !self.templates.iter().any(slots) {
            return Ok(false);
        }
        // A text that is kept whole may hold what is no run.
        let arena = self.arena.as_bytes();
        let any_whole = self
            .templates
            .iter()
            .any(|template| arena[template.start] == WHOLE);
        let between = longest_between_runs(needle).as_bytes();
        if !any_whole && memmem::find(self.folded().text.as_bytes(), between).is_none() {
            return Ok(false);
        }
        if runs(needle).any(|(start, end)| needle[start..end].bytes().all(|byte| byte.is_ascii_hexdigit())) {
            self.read_words()?;
            return Ok(true);
        }
        self.read_words()?;
        let folded = self.words.folded();
        let mut may = false;
        for (start, end) in runs(needle) {
            folded.find(&needle[start..end], true, |_, _| may = true);
        }
        Ok(may || any_whole)
    }

    fn over_slots<'n>(&mut self, needle: &'n str, matches: &mut [Match<'n>], known: &mut KnownWords<'n>) {
        self.folded();
        let words = self.words.folded();
        let templates = self.folded.as_ref().expect("it was made above");
        let mut slots = Vec::new();
        let between = Finder::new(longest_between_runs(needle));
        for (index, state) in matches.iter_mut().enumerate() {
            let template = &self.templates[index];
            if matches!(state, Match::Every) || template.ints + template.words + template.hex.len() == 0 {
                continue;
            }
            let (start, end) = templates.piece(index);
            let text = &templates.text.as_bytes()[start..end];
            if text.first() != Some(&WHOLE) && between.find(text).is_none() {
                continue;
            }
            find_slots(text, &mut slots);
            let mut ways = ways(needle, text, &slots);
            ways.retain(|way| {
                way.iter()
                    .all(|demand| may_be_met(demand, &template.hex, words, known))
            });
            if !ways.is_empty() {
                *state = Match::Where(ways);
            }
        }
    }

    /// Of the texts of each template, those that match.
    fn met(&mut self, matches: &[Match<'_>], words: &KnownWords<'_>) -> Result<Vec<Met>, Damaged> {
        if matches.iter().any(|state| matches!(state, Match::Where(_))) {
            self.read_body()?;
        }
        let (templates, mut body) = (&self.templates, self.body.as_mut());
        let met = |(code, (template, state)): (usize, (&Template, &Match<'_>))| {
            Ok(match (state, &mut body) {
                (Match::Where(ways), Some(body)) => Met::Some(where_met(code, template, ways, body, words)?),
                (Match::Every, _) => Met::All,
                (Match::None | Match::Where(_), _) => Met::None,
            })
        };
        templates.iter().zip(matches).enumerate().map(met).collect()
    }

    /// The texts of the templates that match. What is rare is found before all codes are read, and what a template has
    /// once without them.
    fn rows(&mut self, mut met: Vec<Met>) -> Result<Rows, Damaged> {
        let Text {
            templates,
            codes,
            firsts,
            ..
        } = self;
        let mut rows = Rows::none(codes.length());
        let is_alone = |(template, met): (&Template, &Met)| template.rows == 1 && met.count(template) == 1;
        if templates.iter().zip(&met).any(is_alone) {
            let firsts = firsts.read(templates.len(), codes.length())?;
            for (first, (template, met)) in firsts.iter().zip(templates.iter().zip(&mut met)) {
                if is_alone((template, met)) {
                    rows.insert(*first);
                    *met = Met::None;
                }
            }
        }
        let mut left: usize = templates
            .iter()
            .zip(&met)
            .map(|(template, met)| met.count(template))
            .sum();
        let every: Vec<bool> = met.iter().map(|met| matches!(met, Met::All)).collect();
        let by_template = !met.iter().any(|met| matches!(met, Met::Some(_)));
        let mut seen = vec![0; templates.len()];
        let mut start = 0;
        while left > 0 && start < rows.length() {
            let codes = codes.first(start + 1, templates.len() - 1)?;
            let range = start..codes.len();
            start = codes.len();
            let found = if by_template {
                rows.insert_where(range, |row| every[codes[row] as usize])
            } else {
                rows.insert_where(range, |row| {
                    let code = codes[row] as usize;
                    seen[code] += 1;
                    met[code].holds(seen[code] - 1)
                })
            };
            left = left.saturating_sub(found);
        }
        if left == 0 { Ok(rows) } else { Err(OTHER_TEXTS) }
    }
}

/// What was found: how many texts these are is known at once, which ones only once the template of each text is read.
pub(in super::super) enum Found {
    Rows(Rows),
    ByTemplate(Vec<Met>),
}

/// Which texts of a template match.
pub(in super::super) enum Met {
    None,
    All,
    Some(Rows),
}

impl Met {
    fn holds(&self, place: usize) -> bool {
        match self {
            Met::None => false,
            Met::All => true,
            Met::Some(rows) => place < rows.length() && rows.holds(place),
        }
    }

    fn count(&self, template: &Template) -> usize {
        match self {
            Met::None => 0,
            Met::All => template.rows,
            Met::Some(rows) => rows.count(),
        }
    }
}

/// Whether what it would be found by is not kept as it is.
fn is_cut_up(needle: &str) -> bool {
    needle.bytes().any(|byte| matches!(byte, END | INT..=WHOLE))
}

/// Whether a slot of that kind can be what is demanded.
fn may_be_met<'n>(demand: &Demand<'n>, hex: &[u8], words: &Folded, known: &mut KnownWords<'n>) -> bool {
    let piece = demand.piece;
    match demand.marker {
        INT => piece.bytes().all(|byte| byte.is_ascii_digit()),
        HEX => {
            let length = usize::from(hex[demand.slot]);
            let fits = match demand.place {
                Place::Equal => piece.len() == length,
                Place::Start | Place::End | Place::Inside => piece.len() <= length,
            };
            fits && piece.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        _ => {
            let is_known = |entry: &&(Place, &str, Rows)| entry.0 == demand.place && entry.1 == piece;
            if let Some((_, _, rows)) = known.iter().find(is_known) {
                return !rows.is_empty();
            }
            let rows = passing_words(words, demand.place, piece);
            let may = !rows.is_empty();
            known.push((demand.place, piece, rows));
            may
        }
    }
}

fn passing_words(words: &Folded, place: Place, piece: &str) -> Rows {
    let mut rows = Rows::none(words.ends.len());
    words.find(piece, place == Place::Inside, |word, at| {
        let (start, end) = words.piece(word);
        let passes = match place {
            Place::Equal => at == start && at + piece.len() == end,
            Place::Start => at == start,
            Place::End => at + piece.len() == end,
            Place::Inside => true,
        };
        if passes {
            rows.insert(word);
        }
    });
    rows
}

/// Which texts of a template meet all demands of some way.
fn where_met(
    code: usize,
    template: &Template,
    ways: &[Vec<Demand<'_>>],
    body: &mut Body<'_>,
    words: &KnownWords<'_>,
) -> Result<Rows, Damaged> {
    let mut met = Rows::none(template.rows);
    for way in ways {
        let mut rows = Rows::all(template.rows);
        for demand in way {
            retain(&mut rows, demand, code, template, body, words)?;
        }
        met.unite(&rows);
    }
    Ok(met)
}

/// Takes out those of a template's `rows` that do not meet a demand.
fn retain(
    rows: &mut Rows,
    demand: &Demand<'_>,
    code: usize,
    template: &Template,
    body: &mut Body<'_>,
    words: &KnownWords<'_>,
) -> Result<(), Damaged> {
    let (piece, slot) = (demand.piece.as_bytes(), demand.slot);
    let mut outcome = Ok(());
    match demand.marker {
        INT => {
            let mut digits = itoa::Buffer::new();
            rows.retain(|row| match body.int(code, template, slot, row) {
                Ok(number) => stands(digits.format(number).as_bytes(), demand.place, piece),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            });
        }
        HEX => {
            let slot = body.hex_slot(code, template, slot)?;
            let wanted: Vec<u8> = piece.iter().map(|byte| hex_value(*byte)).collect();
            rows.retain(|row| hex_stands(slot.digits(row), slot.length, demand.place, &wanted));
        }
        _ => {
            let is_it = |known: &&(Place, &str, Rows)| known.0 == demand.place && known.1 == demand.piece;
            let passing = words.iter().find(is_it).map(|(_, _, rows)| rows);
            rows.retain(|row| match body.word(code, template, slot, row) {
                Ok(word) => passing.is_some_and(|passing| passing.holds(word)),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            });
        }
    }
    outcome
}

fn stands(text: &[u8], place: Place, piece: &[u8]) -> bool {
    match place {
        Place::Equal => text == piece,
        Place::Start => text.starts_with(piece),
        Place::End => text.ends_with(piece),
        Place::Inside => text.windows(piece.len()).any(|window| window == piece),
    }
}

/// Whether the digits, two a byte, have those that are wanted in that place.
fn hex_stands(packed: &[u8], length: usize, place: Place, wanted: &[u8]) -> bool {
    let digit = |at: usize| packed[at / 2] >> (4 * (1 - at % 2)) & 15;
    let stands_at = |start: usize| (start..).zip(wanted).all(|(at, wanted)| digit(at) == *wanted);
    let most = length - wanted.len();
    match place {
        Place::Equal | Place::Start => stands_at(0),
        Place::End => stands_at(most),
        Place::Inside => (0..=most).any(stands_at),
    }
}

fn hex_value(digit: u8) -> u8 {
    if digit <= b'9' {
        digit - b'0'
    } else {
        digit - b'a' + 10
    }
}
